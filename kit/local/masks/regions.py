"""The connected regions of a mask."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kit.masks import coco, rle


def regions(mask_HW: NDArray[np.bool_] | NDArray[np.uint8], most: int) -> list[bytes]:
    """Return the regions of a mask (pixels that touch at sides or corners), largest first.

    Args:
        mask_HW: anything but zero is foreground.
        most: regions at most; smaller ones are left out.

    Returns:
        COCO compressed counts of each.
    """
    import cv2

    # Every run of the mask lies in one region, that of its first pixel:
    #
    #     mask   x . x     numbers   1 0 2     runs (down the columns) [0, 2] and [4, 1]
    #            x . .               1 0 0     region 1 gets the first, region 2 the second
    height, width = mask_HW.shape
    binary_HW = (np.asarray(mask_HW) != 0).astype(np.uint8)
    runs = _within_columns(rle.encode(binary_HW), height)
    if len(runs) == 0:
        return []
    _, number_HW = cv2.connectedComponents(binary_HW, connectivity=8)
    number = number_HW[runs[:, 0] % height, runs[:, 0] // height]
    areas = np.bincount(number, runs[:, 1])
    kept = np.argsort(-areas, kind="stable")[:most]
    order = np.argsort(number, kind="stable")
    first = np.searchsorted(number[order], [kept, kept + 1])
    return [
        coco.from_runs(_joined(runs[order[begin:end]]), height, width)
        for begin, end in first.T.tolist()
        if end > begin
    ]


def _within_columns(runs: rle.Runs, height: int) -> rle.Runs:
    """Cut runs at the ends of columns: what goes on at the top of the next one may be another region."""
    from kit.masks.mask_set import MaskSet

    whole = MaskSet(1, np.zeros(len(runs), np.int64), runs[:, 0], runs[:, 0] + runs[:, 1]).columns(height)
    return np.stack([whole.starts, whole.ends - whole.starts], axis=1)


def _joined(runs: rle.Runs) -> rle.Runs:
    """Join runs that touch, as run lengths have to be."""
    return rle.union([runs])
