"""Bring the masks of a network to the image: cut them out on the device, copy only that, resize the crops.

A mask of a 2048-px input has 4 MB, and its instance covers about a hundredth of it. Only that part is copied
and resized.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from kit.inference import views
from kit.masks.spans import spans

Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]

_COPIED = 1 << 26
"""Most bytes of masks copied from the device at once, unless one mask alone is larger."""


@dataclass(frozen=True)
class Crop:
    """The part of a mask that holds all its foreground.

    Attributes:
        pixels: bool (rows, columns).
        top: row of the complete mask where it starts.
        left: column of the complete mask where it starts.
    """

    pixels: Bools
    top: int
    left: int


def cut(mask_NHW: torch.Tensor, order: Sequence[int], view: str) -> Iterator[Crop | None]:
    """Cut out masks found under a view and turn them back, in a given order.

    Args:
        mask_NHW: bool, on any device, as the view shows the image.
        order: positions of the wanted masks.
        view: name of the view.

    Yields:
        For each mask its crop, in the image's own frame at the network's resolution; None if it is empty.
    """
    if not len(order):
        return
    count, height, width = mask_NHW.shape
    byte_NHW = mask_NHW.view(torch.uint8)  # its maximum takes a tenth of the time of `any` of bool
    covered = torch.cat([byte_NHW.amax(dim=2), byte_NHW.amax(dim=1)], dim=1).cpu().numpy().astype(bool)
    frames = np.concatenate([spans(covered[:, :height]), spans(covered[:, height:])], axis=1)
    frame_of = frames.tolist()  # top, bottom, left, right
    rows, columns = (width, height) if views.get(view).swap else (height, width)
    boxes = frames[:, [2, 0, 3, 1]].astype(np.float64).reshape(count, 4)
    corners = views.invert_boxes(view, boxes, rows, columns)[:, [1, 0]].astype(np.int64).tolist()
    for portion in _portions(order, [(f[1] - f[0]) * (f[3] - f[2]) for f in frame_of]):
        parts = []
        for index in portion:
            top, bottom, left, right = frame_of[index]
            parts.append(views.invert(view, mask_NHW[index, top:bottom, left:right]))
        flat = torch.cat([part.reshape(-1) for part in parts]).cpu().numpy()
        stops = np.cumsum([part.numel() for part in parts])
        for index, part, own in zip(portion, parts, np.split(flat, stops[:-1]), strict=True):
            yield Crop(own.reshape(tuple(part.shape)), *corners[index]) if len(own) else None


def resize(crop: Crop, source: tuple[int, int], target: tuple[int, int], threshold: float) -> Crop | None:
    """Resize a mask as `kit.inference.resize.resize_mask` does, but with exact integers.

    Coverage is counted in integer parts of a pixel. So there is no rounding, and the mask of a mirrored image
    is the mirrored mask.

    Args:
        crop: the foreground of a mask of the size `source`.
        source: (height, width) of the mask.
        target: (height, width) that it gets.
        threshold: coverage in (0, 1) from which a pixel belongs to the mask.

    Returns:
        The resized crop; None if no pixel reaches the threshold.
    """
    if source == target:
        return crop
    shrinks = target[0] <= source[0] and target[1] <= source[1]
    pixels = crop.pixels.astype(np.int64)
    rows, top, parts_y = _resampled(pixels, crop.top, source[0], target[0], shrinks=shrinks)
    columns, left, parts_x = _resampled(rows.T, crop.left, source[1], target[1], shrinks=shrinks)
    covered = columns.transpose()
    inside: Bools = covered >= threshold * (parts_y * parts_x)
    return Crop(inside, top, left) if inside.any() else None


def _portions(order: Sequence[int], sizes: Sequence[int]) -> Iterator[list[int]]:
    """Yield the masks in groups whose crops have at most `_COPIED` bytes together."""
    portion: list[int] = []
    total = 0
    for index in order:
        if portion and total + sizes[index] > _COPIED:
            yield portion
            portion, total = [], 0
        portion.append(index)
        total += sizes[index]
    yield portion


def _resampled(
    pixels: Integers, begin: int, source: int, target: int, *, shrinks: bool
) -> tuple[Integers, int, int]:
    """Return the coverage of target pixels along the first axis, in integer parts of a pixel.

    >>> _resampled(np.array([[1]]), 1, 6, 4, shrinks=True)
    (array([[1],
           [1]]), 0, 3)

    Args:
        pixels: (n, other), the source pixels begin..begin + n of the axis; all others are 0.
        begin: the first of these source pixels.
        source: pixels of the complete axis.
        target: pixels that the axis gets.
        shrinks: True for the mean over each target pixel's area. False for linear interpolation between the
            centres of source pixels; beyond the outermost centres their values continue.

    Returns:
        Coverage of the target pixels that are not 0, (target pixels, other); the first of these pixels; how
        many parts make a pixel.
    """
    # Shrinking 6 pixels to 4: 3 source pixels become 2 target pixels, so the target pixels end at 1.5, 3, 4.5
    # and 6. Each source pixel has 2 parts and each target pixel is 3 parts. If only pixel 1 is foreground
    # (1..2), target pixel 0 (0..1.5) covers one part of it, and target pixel 1 (1.5..3) the other: coverage
    # 1, 1, 0, 0 of 3.
    divisor, end = math.gcd(source, target), begin + len(pixels)
    source_parts, target_parts = source // divisor, target // divisor
    framed = np.pad(pixels, ((1, 1), (0, 0)))
    if shrinks:
        # Target pixel i begins at i * source_parts / target_parts source pixels. The sum up to each edge is
        # that of all source pixels before it, and a part of the one it cuts; differences of the sums are
        # coverages.
        first, after = begin * target_parts // source_parts, -(-end * target_parts // source_parts)
        edges = np.arange(first, after + 1) * source_parts - begin * target_parts
        pixel, part = np.divmod(edges.clip(0, len(pixels) * target_parts), target_parts)
        sums = np.cumsum(framed[:-1], axis=0)[pixel] * target_parts + part[:, None] * framed[pixel + 1]
        return np.diff(sums, axis=0), first, source_parts
    # Enlarging 2 pixels to 4: the centre of target pixel 1 lies at 0.75, a quarter from the centre of source
    # pixel 0 (0.5) to that of pixel 1 (1.5). With 4 parts per pixel, that is 3 parts of pixel 0 and 1 of
    # pixel 1.
    parts = 2 * target_parts
    centre = ((2 * np.arange(target) + 1) * source_parts - target_parts).clip(0, parts * (source - 1))
    touched = np.flatnonzero((centre > parts * (begin - 1)) & (centre < parts * end))
    pixel, part = np.divmod(centre[touched], parts)
    near, far = framed[pixel - begin + 1], framed[pixel - begin + 2]
    first = int(touched[0]) if len(touched) else 0
    return (parts - part)[:, None] * near + part[:, None] * far, first, parts
