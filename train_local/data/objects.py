"""Connected objects of a large mask, found band by band without an array of the whole mask."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Objects:
    """Collects the runs of a mask's rows, and joins those that touch.

    A run is a row of foreground pixels. Two runs of neighbouring rows belong to one object if they overlap or
    meet at a corner. In this mask the runs 0 and 2 meet at a corner, 1 and 2 overlap, so all are one object:

        row 0    # # . . # #      run 0: columns 0 to 2,  run 1: columns 4 to 6
        row 1    . . # # # .      run 2: columns 2 to 5

    Args:
        width: of the mask.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._parts: list[NDArray[np.int64]] = []

    def add(self, row: int, foreground_HW: NDArray[np.bool_]) -> None:
        """Take a band.

        Args:
            row: its first row in the mask.
            foreground_HW: its pixels.
        """
        edges_HW = np.diff(np.pad(foreground_HW, ((0, 0), (1, 1))).astype(np.int8), axis=1)
        # Row by row, a run's start and end come in turns: both lists have the same order.
        y, first = np.nonzero(edges_HW == 1)
        _, end = np.nonzero(edges_HW == -1)
        self._parts.append(np.stack([y + row, first, end], axis=1))

    def found(self) -> NDArray[np.float32]:
        """Return (N, 6): y0, x0, y1, x1, centre y, centre x of each object."""
        runs = np.concatenate([*self._parts, np.zeros((0, 3), np.int64)])
        if not len(runs):
            return np.zeros((0, 6), np.float32)
        y, first, end = runs.T
        label = self._labels(y, first, end)
        count = int(label.max()) + 1
        length = end - first
        area = np.bincount(label, length, count)
        centre_y = np.bincount(label, length * y, count) / area
        # The columns of a run from 4 to 6 are 4 and 5: their mean is (4 + 6 - 1) / 2.
        centre_x = np.bincount(label, length * (first + end - 1) / 2, count) / area
        box = np.empty((count, 4), np.int64)
        for place, values, smallest in ((0, y, True), (1, first, True), (2, y + 1, False), (3, end, False)):
            box[:, place] = np.iinfo(np.int64).max if smallest else 0
            (np.minimum if smallest else np.maximum).at(box[:, place], label, values)
        return np.column_stack([box, centre_y, centre_x]).astype(np.float32)

    def _labels(
        self, y: NDArray[np.int64], first: NDArray[np.int64], end: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """The object of each run."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        # One number for each place, growing in reading order, so that a search finds the runs of the next row
        # that end at or behind this run's start, and begin at or before its end.
        step = self._width + 2
        low = np.searchsorted(y * step + end, (y + 1) * step + first, "left")
        high = np.searchsorted(y * step + first, (y + 1) * step + end, "right")
        pairs = np.maximum(high - low, 0)
        upper = np.repeat(np.arange(len(y)), pairs)
        # A run with the neighbours 7, 8 and 9 has low 7 and three pairs: 7 + (0, 1, 2).
        lower = np.repeat(low - (pairs.cumsum() - pairs), pairs) + np.arange(pairs.sum())
        links = coo_array((np.ones(len(upper), bool), (upper, lower)), shape=(len(y), len(y)))
        count, label = connected_components(links, directed=False)
        # Objects are numbered as OpenCV does it: by the first square of 2 x 2 pixels that they touch.
        order = np.full(count, np.iinfo(np.int64).max)
        np.minimum.at(order, label, y // 2 * step + first // 2)
        renumbered = np.empty(count, np.int64)
        renumbered[order.argsort()] = np.arange(count)
        return np.asarray(renumbered[label], np.int64)
