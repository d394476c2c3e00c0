"""Read mask images, whose values say which pixels are foreground, or which instance a pixel belongs to."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.competitions.definition import Kind
from kit.errors import KitError
from kit.masks import rle

_CHANNELS = 4
"""Largest number of values per pixel in a mask image: red, green, blue, opacity."""


def read(path: Path, height: int, width: int, kind: Kind) -> NDArray[Any]:
    """Return the values of a mask image.

    Args:
        path: a TIFF, or another format that OpenCV reads.
        height: rows of its image.
        width: columns of its image.
        kind: of the competition; a colour may mean foreground, but not the number of an instance.

    Returns:
        (height, width).

    Raises:
        KitError: the file is damaged, has another size than its image, or too many channels.
    """
    import cv2
    import tifffile

    try:
        if path.suffix.lower() in (".tif", ".tiff"):
            with tifffile.TiffFile(path) as tiff:
                shape = tiff.series[0].shape  # checked before reading: a damaged file may claim any size
                fits = math.prod(shape) <= _CHANNELS * height * width
                label = tiff.series[0].asarray() if fits else None
        else:
            label = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            shape = (0,) if label is None else label.shape
    except Exception as error:  # damaged TIFFs raise errors of every kind
        raise KitError(f"mask image cannot be read: {error}", where=path, fix="write it again") from error
    if not math.prod(shape):
        raise KitError("mask image cannot be read", where=path, fix="write it again, as PNG or TIFF")
    if label is not None:
        label = _flat(label, height, width, kind)
        shape = label.shape
    if label is None or shape != (height, width):
        raise KitError(
            f"mask image has the shape {' x '.join(map(str, shape))}, its image {height} x {width}",
            where=path,
            fix="masks have the size of their images and one channel",
        )
    return label


def _flat(label: NDArray[Any], height: int, width: int, kind: Kind) -> NDArray[Any]:
    """Return values without axes of length one; for semantic masks, colours become foreground."""
    # TIFFs of one mask have the shapes (1, 1, H, W) and (1, H, W) from stacks, (H, W, 1) from tools that keep
    # the channel. A coloured image of one row, (1, W, 3), keeps its first axis: it is no stack.
    while label.ndim > 2 and label.shape[0] == 1 and (label.ndim > 3 or label.shape[:2] != (height, width)):
        label = label[0]
    if label.ndim == 3 and label.shape[2] == 1:
        return label[..., 0]
    if label.ndim == 3 and kind == "semantic":
        return np.asarray(label[..., :3].any(axis=2))  # a fourth channel is opacity
    return label


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
