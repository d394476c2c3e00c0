"""Say what the values of a mask image mean: foreground, numbers of instances, or something unclear.

A mask that is read wrongly trains networks on nonsense, and no later step can notice. So what is not clearly
0/1, 0/255 or labels is told or refused.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.competitions.definition import Kind
from kit.errors import KitError
from kit.local.competitions.mask_images import WRITE, MaskImage
from kit.local.competitions.remarks import Remarks
from kit.masks import rle

_BRIGHT = 0.75
"""Greys count as a mask only if the brightest has this share of the full scale."""
_GREY_SHARE = 0.4
"""With more of the pixels between black and the brightest looking like greys, they are greys."""
_BLOCK = 1 << 22
"""Pixels that are compared with their neighbours at a time."""
_FEW = 4
"""With fewer values, 0 included, an image holds labels."""
_MOST_MID = 1 / 3
"""With more of the foreground between 1/4 and 3/4 of the full scale, half is no clear limit."""


def labels(image: MaskImage, kind: Kind, remarks: Remarks) -> NDArray[Any]:
    """Return (height, width): for semantic masks anything but 0 is foreground, else the numbers of instances.

    Args:
        image: as `mask_images.read` returns it.
        kind: of the competition.
        remarks: get what was assumed.

    Raises:
        KitError: it is not clear what is foreground, or which instance a pixel belongs to.
    """
    if kind == "instance" and image.lossy:
        raise KitError(
            "mask image numbers instances, but its format changes values (JPEG or a lossy one like it)",
            where=image.path,
            fix=f"make the masks again from their source: {WRITE}",
        )
    grey_HW = _one_channel(image, kind)
    values = _distinct(grey_HW)
    _require_numbers(image, values)
    shades_HW = grey_HW if image.palette is None else _shades(image, image.palette, values)
    if shades_HW is not None:
        share = 1.0 if image.lossy else _grey_share(shades_HW)
        if share > _GREY_SHARE and (halved_HW := _halved(image, shades_HW, kind, remarks)) is not None:
            return halved_HW
    bright = values[values > 0]
    where = str(image.path)
    if len(bright) > 1 and bright[-1] == 255 and bright[-2] != 254:
        remarks.alarm(
            "mask images hold 255 beside other labels; it counts like these, but often means 'not labelled'",
            where,
            "write 0 where nothing is labelled, or ignore this if 255 is a label",
        )
    if kind == "instance" and len(bright) == 1 and _regions(grey_HW) > 1:
        remarks.alarm(
            "mask images hold one value for many separate regions, which count as one instance",
            where,
            "give every instance its own value, or write kind = 'semantic'",
        )
    return grey_HW


def _one_channel(image: MaskImage, kind: Kind) -> NDArray[Any]:
    """Return grey values; colours become their largest component where a colour may mean foreground."""
    pixels = image.pixels
    if image.opacity is not None and _is_constant(pixels) and not _is_constant(image.opacity):
        raise KitError(
            "mask image differs in its opacity (alpha) only, which is not read", where=image.path, fix=WRITE
        )
    if pixels.ndim == 2:
        return pixels
    first = pixels[..., 0]
    if np.array_equal(first, pixels[..., 1]) and np.array_equal(first, pixels[..., 2]):
        return np.ascontiguousarray(first)
    if kind == "instance":
        raise KitError(
            "mask image holds colours, and a colour is no number of an instance",
            where=image.path,
            fix=f"number the instances 1, 2, 3 ...: {WRITE}",
        )
    brightest: NDArray[Any] = pixels.max(axis=2)
    if brightest.all() and not _is_constant(pixels):
        raise KitError(
            "mask image holds several colours and none is black, so the background is not clear",
            where=image.path,
            fix=f"{WRITE}; a mask in colours needs a black background",
        )
    return brightest


def _is_constant(pixels: NDArray[Any]) -> bool:
    return bool((pixels == pixels[0, 0]).all())


def _distinct(grey_HW: NDArray[Any]) -> NDArray[Any]:
    """Return the values of an image, ascending."""
    # Sorting the 10^9 pixels of a slide takes minutes; the first pixels of its runs are few.
    flat = grey_HW.reshape(-1)
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    return np.unique(flat[starts])


def _require_numbers(image: MaskImage, values: NDArray[Any]) -> None:
    if values.dtype.kind not in "buif":
        problem = f"mask image holds values of the type {values.dtype}"
    elif not np.isfinite(values).all():
        problem = "mask image holds values that are no finite numbers (NaN or infinity)"
    elif values[0] < 0:
        problem = f"mask image holds negative values, down to {values[0]:g}"
    else:
        return
    raise KitError(problem, where=image.path, fix=WRITE)


def _shades(image: MaskImage, palette: NDArray[Any], values: NDArray[Any]) -> NDArray[Any] | None:
    """Return the greys that the indices of a palette stand for; None if they stand for colours.

    Raises:
        KitError: indices and colours disagree about the background.
    """
    # Masks of classes have any colours: 0 = purple, 1 = green, 2 = yellow. But a tool that compresses PNGs
    # turns a black and white mask into the indices 0 = white and 1 = black.
    known = values[values < len(palette)]
    used = palette[known]
    dark = known[~used.any(axis=1)]
    if len(dark) and palette[0].any():
        raise KitError(
            f"mask image has a palette whose background is not clear: 0 has a colour, {dark[0]} is black",
            where=image.path,
            fix=f"{WRITE}, and without a palette",
        )
    if len(known) < len(values) or (used != used[:, :1]).any():
        return None
    greys: NDArray[Any] = palette[:, 0].astype(np.uint8)[image.pixels]
    return greys


def _grey_share(grey_HW: NDArray[Any]) -> float:
    """Return how many of the pixels between 0 and the largest value look like steps from one to the other."""
    # A mask of 0 and 255 that was scaled, one that was saved as JPEG, and labels, a row of each:
    #
    #     0 0 64 191 255 255      64 and 191 lie between the values beside them
    #     0 2  0   7 255 254      7 is equal to no neighbour
    #     0 0  7   7   7   0      most pixels of a label have neighbours of the same label
    values = _distinct(grey_HW)
    if len(values) < _FEW:
        return 0.0
    height, width = grey_HW.shape
    rows = max(1, _BLOCK // width)
    grey = between = 0
    for top in range(0, height, rows):
        # One more row above and below, so that the block's own rows have neighbours; the border repeats.
        first, last = max(top - 1, 0), min(top + rows + 1, height)
        block = np.pad(grey_HW[first:last], ((top == 0, last == height), (1, 1)), mode="edge")
        own, left, right = block[1:-1, 1:-1], block[1:-1, :-2], block[1:-1, 2:]
        up, down = block[:-2, 1:-1], block[2:, 1:-1]
        some = (own > 0) & (own < values[-1])
        step = ((left < own) & (own < right)) | ((left > own) & (own > right))
        step |= ((up < own) & (own < down)) | ((up > own) & (own > down))
        alone = (own != left) & (own != right) & (own != up) & (own != down)
        alone &= (left > 0) | (right > 0) | (up > 0) | (down > 0)
        between += int(some.sum())
        grey += int((some & (step | alone)).sum())
    return grey / max(between, 1)


def _halved(image: MaskImage, grey_HW: NDArray[Any], kind: Kind, remarks: Remarks) -> NDArray[Any] | None:
    """Return the pixels of at least half the full scale; None if the values may as well be labels."""
    brightest = grey_HW.max()
    full = next((full for full in (1, 255) if brightest <= full), 65535)
    if brightest in (0, full) and len(_distinct(grey_HW)) <= 2:  # JPEG may keep the values
        return None
    again = f"make the masks again from their source: {WRITE}"
    if brightest < full * _BRIGHT and not image.lossy:
        remarks.alarm(
            "mask images hold values like greys; every value but 0 is used as a label", str(image.path), again
        )
        return None
    mid = np.count_nonzero((grey_HW > full / 4) & (grey_HW < full * 3 / 4)) / np.count_nonzero(grey_HW)
    if brightest < full * _BRIGHT or mid > _MOST_MID or kind == "instance":
        raise KitError(
            f"mask image holds greys up to {brightest:g}, neither 0 and {full} nor labels",
            where=image.path,
            fix=f"was it scaled, or saved as JPEG? {again}",
        )
    remarks.alarm(
        f"mask images hold greys between 0 and {full}, as scaling or JPEG makes them; half of {full} or more "
        "is foreground",
        str(image.path),
        again,
    )
    return np.asarray(grey_HW >= full / 2)


def _regions(grey_HW: NDArray[Any]) -> int:
    """Return the number of separate regions."""
    import cv2

    return int(cv2.connectedComponents((grey_HW != 0).astype(np.uint8))[0]) - 1


def runs_by_label(label_HW: NDArray[Any]) -> list[rle.Runs]:
    """Return the runs of every value except zero, in ascending order of the values."""
    # One pass over the pixels for all instances, instead of one comparison of the image per instance. An
    # image of one column with the pixels 7 7 0 3 7 has the runs (start, length) 0 2, 2 1, 3 1 and 4 1, of
    # the values 7, 0, 3 and 7. Sorted by value: 2 1 of value 0, 3 1 of value 3, then 0 2 and 4 1 of value 7.
    flat = np.ascontiguousarray(label_HW.T).reshape(-1)
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    lengths = np.diff(starts, append=flat.size)
    values = flat[starts]
    order = np.argsort(values, kind="stable")
    pieces = np.flatnonzero(np.diff(values[order])) + 1
    runs = np.stack([starts, lengths], axis=1)[order]
    groups = zip(np.split(values[order], pieces), np.split(runs, pieces), strict=True)
    return [part for value, part in groups if value[0] != 0]
