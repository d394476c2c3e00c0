"""Rows of a run-length coded mask, a few at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kit.predictions import SemanticMask


class MaskBands:
    """Row bands of a column-major run-length mask, without ever holding the full mask.

    Runs are first cut at the ends of columns. Then a band needs no search: each piece that reaches into it
    adds +1 where it begins and -1 where it ends, and the sum down each column is the mask. A piece of the
    rows 2 to 4 in a band of the rows 3 to 6:

        row     edges    sum down
        3       +1       1          it began above, so it begins with the band
        4        0       1
        5       -1       0
        6        0       0

    Args:
        mask: of any size.
    """

    def __init__(self, mask: SemanticMask) -> None:
        start, length = mask.runs[:, 0], mask.runs[:, 1]
        # With 10 rows, a run of 14 pixels from pixel 8 is in the columns 0 to 2: three pieces, of the rows
        # 8 to 9, 0 to 9 and 0 to 1. `column` counts 0, 1, 2 for it: `first`, repeated, plus 0, 1, 2.
        first, last = start // mask.height, (start + length - 1) // mask.height
        pieces = last - first + 1
        column = (
            np.repeat(first, pieces) + np.arange(pieces.sum()) - np.repeat(pieces.cumsum() - pieces, pieces)
        )
        top = np.maximum(np.repeat(start, pieces) - column * mask.height, 0)
        bottom = np.minimum(np.repeat(start + length, pieces) - column * mask.height, mask.height)
        self._column, self._top, self._bottom = column, top, bottom
        self._width = mask.width

    def band(self, y0: int, y1: int) -> NDArray[np.uint8]:
        """Return the rows y0 to y1 as uint8 (y1 - y0, W) of 0 and 255."""
        hit = (self._top < y1) & (self._bottom > y0)
        column = self._column[hit]
        edges_HW = np.zeros((y1 - y0 + 1, self._width), np.int8)
        np.add.at(edges_HW, (np.maximum(self._top[hit] - y0, 0), column), 1)
        np.add.at(edges_HW, (np.minimum(self._bottom[hit], y1) - y0, column), -1)
        covered_HW: NDArray[np.uint8] = edges_HW[:-1].cumsum(axis=0, dtype=np.int8).astype(np.uint8) * 255
        return covered_HW
