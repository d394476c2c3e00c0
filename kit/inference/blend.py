"""From predicted windows to the rows of a stored map: cores cut out, or all windows blended.

Rows leave for the file as soon as no later window reaches them, so memory is one row of windows.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kit.inference.layout import Layout
from kit.inference.store import MapWriter, levels_of
from kit.inference.tiles import Tile, move_up

_ROWS = 64
"""Blended rows that become levels at once: they stay in the processor's cache."""


def enlarge(
    maps: Sequence[NDArray[np.float32]],
    height: int,
    width: int,
    factor: float,
    offset: float = 0.0,
    *,
    out_HW: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Sum of maps at one size: bilinear, pixel centres at half numbers, borders continued.

    Args:
        maps: float32 (rows, columns), each of its own size.
        height: wanted rows.
        width: wanted columns.
        factor: on the sum; applied, like the offset, where there are few pixels.
        offset: added to the product.
        out_HW: float32 (height, width) for the sum, unless the first map has that size itself.
    """
    import cv2  # only who predicts needs it

    total_HW: NDArray[np.float32] | None = None
    for map_HW in maps:
        scaled_HW = np.multiply(map_HW, np.float32(factor), order="C")
        if total_HW is None:
            scaled_HW += np.float32(offset)
        if scaled_HW.shape != (height, width):
            dst = out_HW if total_HW is None else None
            scaled_HW = cv2.resize(scaled_HW, (width, height), dst=dst, interpolation=cv2.INTER_LINEAR)
        total_HW = scaled_HW if total_HW is None else np.add(total_HW, scaled_HW, out=total_HW)
    assert total_HW is not None, "no map"
    return total_HW


class Blend(ABC):
    """Takes the windows of an image in the layout's order and writes its rows.

    Args:
        layout: of the image.
        file: where the rows go.
    """

    def __init__(self, layout: Layout, file: MapWriter) -> None:
        self._layout, self._file = layout, file
        self._core = layout.core or layout.height
        self._levels = levels_of(file.dtype)
        self._y0 = 0

    def put(self, tile: Tile, maps: Sequence[NDArray[np.float32]]) -> None:
        """Take a window; a tile that is left out is probability 0.

        Args:
            tile: its core.
            maps: probabilities of the whole window, float32 (rows, columns) each at its own resolution; their
                sum is meant.

        Raises:
            KitError: the disk is full.
        """
        self._move_to(tile.y0)
        self._add(tile, maps)

    def finish(self) -> None:
        """Write what is left of the image.

        Raises:
            KitError: the disk is full.
        """
        self._move_to(-(-self._layout.height // self._core) * self._core)

    def _move_to(self, y0: int) -> None:
        while self._y0 < y0:
            self._row_done()
            self._y0 += self._core

    @abstractmethod
    def _add(self, tile: Tile, maps: Sequence[NDArray[np.float32]]) -> None:
        """Take a window of the current row of tiles."""

    @abstractmethod
    def _row_done(self) -> None:
        """The current row of tiles, from `_y0` on, has all its windows."""


def reach(window: int, sides: Sequence[int], first: int, count: int) -> slice:
    """The pixels of a window that have to be enlarged for some of them to be right, along one axis.

    A pixel is made of map pixels up to one beside it, and a cut is right only where the pixels of all maps
    begin and end together.

    Args:
        window: pixels.
        sides: pixels of the maps, each of which shows the whole window.
        first: of the wanted pixels.
        count: of the wanted pixels.
    """
    unit = math.lcm(*(window // math.gcd(window, side) for side in sides))
    return slice(max(0, first // unit - 1) * unit, min(window, (-(-(first + count) // unit) + 1) * unit))


class Halo(Blend):
    """Each pixel comes from the window whose core it lies in."""

    def __init__(self, layout: Layout, file: MapWriter) -> None:
        super().__init__(layout, file)
        self._band_HW = np.zeros((min(self._core, layout.height), layout.width), file.dtype)
        # Only what the core is made of is enlarged: less than half of the published windows.
        rows, columns = (
            reach(window, [sides[axis] for sides in layout.inputs], layout.context, layout.core or window)
            for axis, window in enumerate(layout.window)
        )
        self._first = (layout.context - rows.start, layout.context - columns.start)
        self._cuts = [
            tuple(
                slice(part.start * side // window, part.stop * side // window)
                for part, side, window in zip((rows, columns), sides, layout.window, strict=True)
            )
            for sides in layout.inputs
        ]
        self._part_HW = np.empty((rows.stop - rows.start, columns.stop - columns.start), np.float32)

    def _add(self, tile: Tile, maps: Sequence[NDArray[np.float32]]) -> None:
        parts = [map_HW[cut] for map_HW, cut in zip(maps, self._cuts, strict=True)]
        # Half a level is added so that cutting off rounds.
        height, width = self._part_HW.shape
        part_HW = enlarge(parts, height, width, self._levels, 0.5, out_HW=self._part_HW)
        top, left = self._first
        self._band_HW[: tile.height, tile.x0 : tile.x0 + tile.width] = part_HW[
            top : top + tile.height, left : left + tile.width
        ]

    def _row_done(self) -> None:
        self._file.append(self._band_HW[: self._layout.height - self._y0])
        self._band_HW[...] = 0


def density(window: int) -> NDArray[np.float32]:
    """Weights of a window's pixels along one axis: a normal density, sigma window / 8, 1 at the centre.

    The way of nnU-Net (Isensee et al., Nature Methods 18, 2021), whose smallest weight is about 3e-4.
    """
    distance = np.arange(window) - (window - 1) / 2
    weights: NDArray[np.float32] = np.exp(-0.5 * (distance / (window / 8)) ** 2).astype(np.float32)
    return weights


class _Row(NamedTuple):
    """One row of windows.

    Attributes:
        top: row of the image where they begin.
        weights: (W,) sum of the windows' weights in each column.
        seen: (W,) columns whose core has a window.
    """

    top: int
    weights: NDArray[np.float32]
    seen: NDArray[np.bool_]


class Gaussian(Blend):
    """Each pixel is the mean of all windows that show it, weighted by their `density` along both axes.

    The weights' sum needs no map: in a row of windows it is one weight a row times one sum a column. A core
    that was left out is 0, and its window lends nothing to its neighbours.
    """

    def __init__(self, layout: Layout, file: MapWriter) -> None:
        super().__init__(layout, file)
        self._window = layout.window[0]
        self._weight = density(self._window)
        self._weight_HW = np.outer(self._weight, self._weight)
        self._window_HW = np.empty(layout.window, np.float32)
        self._sum_HW = np.zeros((min(self._window, layout.height), layout.width), np.float32)
        self._written = 0
        self._rows: deque[_Row] = deque()

    def _add(self, tile: Tile, maps: Sequence[NDArray[np.float32]]) -> None:
        window_HW = enlarge(maps, self._window, self._window, self._levels, out_HW=self._window_HW)
        window_HW *= self._weight_HW
        top, left = tile.y0 - self._layout.context, tile.x0 - self._layout.context
        y0, y1 = max(0, top), min(top + self._window, self._layout.height)
        x0, x1 = max(0, left), min(left + self._window, self._layout.width)
        self._sum_HW[y0 - self._written : y1 - self._written, x0:x1] += window_HW[
            y0 - top : y1 - top, x0 - left : x1 - left
        ]
        row = self._row()
        row.weights[x0:x1] += self._weight[x0 - left : x1 - left]
        row.seen[tile.x0 : tile.x0 + tile.width] = True

    def _row_done(self) -> None:
        self._row()
        height, below = self._layout.height, self._y0 + self._core
        stop = height if below >= height else max(0, below - self._layout.context)
        first = self._written
        while first < stop:
            last = min(first + _ROWS, stop, (first // self._core + 1) * self._core)
            self._write(first, last)
            first = last
        move_up(self._sum_HW, stop - self._written)
        self._sum_HW[len(self._sum_HW) - (stop - self._written) :] = 0
        self._written = stop
        while self._rows and self._rows[0].top + self._window <= stop:
            self._rows.popleft()

    def _row(self) -> _Row:
        """What is known of the current row of windows."""
        top = self._y0 - self._layout.context
        if not self._rows or self._rows[-1].top != top:
            width = self._layout.width
            self._rows.append(_Row(top, np.zeros(width, np.float32), np.zeros(width, bool)))
        return self._rows[-1]

    def _write(self, first: int, last: int) -> None:
        """Write the rows first..last, which lie in the cores of one row of tiles."""
        weight_HW = np.zeros((last - first, self._layout.width), np.float32)
        for row in self._rows:
            y0, y1 = max(first, row.top), min(last, row.top + self._window)
            if y0 < y1:
                along = self._weight[y0 - row.top : y1 - row.top]
                weight_HW[y0 - first : y1 - first] += along[:, None] * row.weights
            if row.top + self._layout.context == first // self._core * self._core:
                seen_W = row.seen
        weight_HW[:, ~seen_W] = np.inf
        mean_HW = self._sum_HW[first - self._written : last - self._written] / weight_HW
        mean_HW += 0.5  # cutting off rounds
        self._file.append(mean_HW.astype(self._file.dtype))
