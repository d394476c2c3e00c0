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

from kit.masks import rle
from kit.masks.mask_set import MaskSet
from kit.masks.spans import spans


def of_masks(masks_NHW: NDArray[np.bool_] | NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the box of each of n masks, (n, 4); anything but zero is foreground."""
    rows, columns = (spans(np.asarray(masks_NHW.any(axis=axis))) for axis in (2, 1))
    return np.stack([columns[:, 0], rows[:, 0], columns[:, 1], rows[:, 1]], axis=1)


def of_runs(runs: rle.Runs, height: int) -> tuple[int, int, int, int]:
    """Return the box of column-major runs in an image of `height` rows.

    >>> of_runs(np.array([[12, 3]]), 10), of_runs(np.array([[18, 4]]), 10)
    ((1, 2, 2, 5), (1, 0, 3, 10))
    """
    starts, lengths = runs[:, 0], runs[:, 1]
    x0, y0, x1, y1 = of_set(MaskSet(1, np.zeros_like(starts), starts, starts + lengths), height)[0].tolist()
    return x0, y0, x1, y1


def of_set(masks: MaskSet, height: int) -> NDArray[np.int64]:
    """Return the box of each mask in an image of `height` rows, (count, 4).

    In an image of 10 rows, the pixels 12 to 14 are the rows 2 to 4 of column 1: box 1, 2, 2, 5. The pixels 18
    to 21 are the last two of column 1 and the first two of column 2: box 1, 0, 3, 10. A run that goes on in
    the next column always touches the bottom of one column and the top of the next, so its box has all rows.
    """
    found = np.zeros((masks.count, 4), np.int64)
    if len(masks.of) == 0:
        return found
    first = np.flatnonzero(np.diff(masks.of, prepend=-1))
    column, last_column = masks.starts // height, (masks.ends - 1) // height
    crossing = column != last_column
    top = np.where(crossing, 0, masks.starts - column * height)
    bottom = np.where(crossing, height, masks.ends - last_column * height)
    found[masks.of[first]] = np.stack(
        [
            column[first],
            np.minimum.reduceat(top, first),
            np.maximum.reduceat(last_column, first) + 1,
            np.maximum.reduceat(bottom, first),
        ],
        axis=1,
    )
    return found
