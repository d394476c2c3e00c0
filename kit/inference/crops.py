"""A network's masks on their way to the image: cut out on the device, copied together, resized as they are.

A mask of a 2048-px input is 4 MB, of which its instance covers a hundredth. Only that is copied and resized.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from kit.inference import views
from kit.masks.boxes import spans

Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]

_COPIED = 1 << 26
"""Bytes of masks that are copied from the device at once, unless one mask alone is larger."""


@dataclass(frozen=True)
class Crop:
    """The part of a mask that holds all its foreground.

    Attributes:
        pixels: bool (rows, columns).
        top: row of the whole mask it starts at.
        left: column of the whole mask it starts at.
    """

    pixels: Bools
    top: int
    left: int


def cut(mask_NHW: torch.Tensor, order: Sequence[int], view: str) -> Iterator[Crop | None]:
    """Masks found under a view, cut out and turned back, in some order.

    Args:
        mask_NHW: bool, on any device, as the view shows the image.
        order: which masks.
        view: its name.

    Yields:
        One crop a mask, in the image's own frame at the network's resolution; None for an empty mask.
    """
    if not len(order):
        return
    count, height, width = mask_NHW.shape
    byte_NHW = mask_NHW.view(torch.uint8)  # whose maximum takes a tenth of the time of `any` of bool
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
    """The mask at another size, as `kit.inference.resize.resize_mask` resizes whole masks, but exactly.

    Coverage is counted in whole parts of a pixel, so it is the same from whichever side one looks: a mask
    found in a mirrored image is the mirrored mask.

    Args:
        crop: of a mask of the size `source`.
        source: (height, width).
        target: (height, width).
        threshold: coverage in (0, 1) from which a pixel belongs to the mask.

    Returns:
        What is left; None if that is nothing.
    """
    if source == target:
        return crop
    shrinks = target[0] <= source[0] and target[1] <= source[1]
    pixels = crop.pixels.astype(np.int64)
    rows, top, whole_y = _resampled(pixels, crop.top, source[0], target[0], shrinks=shrinks)
    columns, left, whole_x = _resampled(rows.T, crop.left, source[1], target[1], shrinks=shrinks)
    covered = columns.transpose()
    inside: Bools = covered >= threshold * (whole_y * whole_x)
    return Crop(inside, top, left) if inside.any() else None


def _portions(order: Sequence[int], sizes: Sequence[int]) -> Iterator[list[int]]:
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
    """Coverage along the first axis, in whole parts.

    Args:
        pixels: (n, other), the source pixels begin..begin + n of that axis; the others are 0.
        begin: the first of them.
        source: pixels of the whole axis.
        target: pixels it gets.
        shrinks: mean over each target pixel's area; else linear between the centres of source pixels and
            beyond the outermost their value.

    Returns:
        (target pixels, other); the first of the target pixels, all others being 0; how many parts make a
        whole.
    """
    divisor, end = math.gcd(source, target), begin + len(pixels)
    source_parts, target_parts = source // divisor, target // divisor
    framed = np.pad(pixels, ((1, 1), (0, 0)))
    if shrinks:
        # Sums up to the edges of target pixels, which lie i * source_parts / target_parts from the start.
        first, after = begin * target_parts // source_parts, -(-end * target_parts // source_parts)
        edges = np.arange(first, after + 1) * source_parts - begin * target_parts
        pixel, part = np.divmod(edges.clip(0, len(pixels) * target_parts), target_parts)
        sums = np.cumsum(framed[:-1], axis=0)[pixel] * target_parts + part[:, None] * framed[pixel + 1]
        return np.diff(sums, axis=0), first, source_parts
    whole = 2 * target_parts
    centre = ((2 * np.arange(target) + 1) * source_parts - target_parts).clip(0, whole * (source - 1))
    touched = np.flatnonzero((centre > whole * (begin - 1)) & (centre < whole * end))
    pixel, part = np.divmod(centre[touched], whole)
    near, far = framed[pixel - begin + 1], framed[pixel - begin + 2]
    first = int(touched[0]) if len(touched) else 0
    return (whole - part)[:, None] * near + part[:, None] * far, first, whole
