"""Boxes around the foreground of masks.

A box is x0, y0, x1, y1 in pixels, far ends exclusive; an empty mask has zeros. In this image

    column   0123456
    row 3    .##....
    row 4    ...#...

the foreground is in the columns 1 to 3 and the rows 3 to 4: its box is 1, 3, 4, 5.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


def of_masks(masks_NHW: NDArray[np.bool_] | NDArray[np.uint8]) -> Integers:
    """Return the box (n, 4) of each of n masks; anything but zero is foreground."""
    rows, columns = (spans(np.asarray(masks_NHW.any(axis=axis))) for axis in (2, 1))
    return np.stack([columns[:, 0], rows[:, 0], columns[:, 1], rows[:, 1]], axis=1)


def of_runs(starts: Integers, ends: Integers, first: Integers, height: int) -> Integers:
    """Return the box (k, 4) of each of k masks that are given as column-major runs.

    In an image of 10 rows, the pixels 12 to 14 are the rows 2 to 4 of column 1: box 1, 2, 2, 5. The pixels 18
    to 21 are the last two of column 1 and the first two of column 2: box 1, 0, 3, 10. A run that goes on in
    the next column always touches the bottom of one column and the top of the next, so its box has all rows.

    Args:
        starts: (n,) first pixel of each run, ascending within a mask.
        ends: (n,) pixel after the last.
        first: (k,) position of each mask's first run; every mask has one.
        height: rows of the image.
    """
    column, last_column = starts // height, (ends - 1) // height
    crossing = column != last_column
    top = np.where(crossing, 0, starts - column * height)
    bottom = np.where(crossing, height, ends - last_column * height)
    return np.stack(
        [
            column[first],
            np.minimum.reduceat(top, first),
            np.maximum.reduceat(last_column, first) + 1,
            np.maximum.reduceat(bottom, first),
        ],
        axis=1,
    )


def spans(covered: NDArray[np.bool_]) -> Integers:
    """Return the first True and the place after the last one (n, 2) of each row of `covered` (n, length)."""
    first = covered.argmax(axis=1)
    after = covered.shape[1] - covered[:, ::-1].argmax(axis=1)
    return np.where(covered.any(axis=1, keepdims=True), np.stack([first, after], axis=1), 0)
