"""Make the rows of a stored map from predicted windows: cut out their cores, or blend overlapping windows.

Rows are written as soon as no later window reaches them, so memory holds one row of windows.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kit.inference.layout import Layout
from kit.inference.store import MapWriter, levels_of
from kit.inference.tiles import Tile, move_up

if TYPE_CHECKING:
    from kit.inference.semantic_blocks import ConfidentBlocks

_ROWS = 64
"""Blended rows that are converted to levels at once: they stay in the processor's cache."""


def enlarge(
    maps: Sequence[NDArray[np.float32]],
    height: int,
    width: int,
    factor: float,
    offset: float = 0.0,
    *,
    out_HW: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Resize maps to one size (bilinear) and return sum(maps) * factor + offset.

    The centre of pixel i lies at i + 0.5; beyond the centres of the outermost pixels their values continue.

    Args:
        maps: float32 (rows, columns), each of its own size.
        height: wanted rows.
        width: wanted columns.
        factor: of the sum; applied to the small maps, like the offset, because they have fewer pixels.
        offset: added to the product.
        out_HW: float32 (height, width) for the result, unless the first map has that size itself.
    """
    import cv2  # needed for predicting alone

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
    """Takes the windows of an image in the layout's order and writes the rows of the map.

    Args:
        layout: the windows of the image.
        file: gets the rows.
        confident: blocks whose probability is known; None if there are none.
    """

    def __init__(self, layout: Layout, file: MapWriter, confident: ConfidentBlocks | None = None) -> None:
        self._layout, self._file, self._confident = layout, file, confident
        self._core = layout.core or layout.height
        self._levels = levels_of(file.dtype)
        self._y0 = 0

    def put(self, tile: Tile, maps: Sequence[NDArray[np.float32]]) -> None:
        """Take a window.

        Cores without a window get the probability of their confident blocks, and 0 elsewhere.

        Args:
            tile: core of the window.
            maps: float32 (rows, columns), each of the complete window at its own resolution; their sum is the
                probability.

        Raises:
            KitError: the disk is full.
        """
        self._move_to(tile.y0)
        self._add(tile, maps)

    def finish(self) -> None:
        """Write the remaining rows of the image.

        Raises:
            KitError: the disk is full.
        """
        self._move_to(-(-self._layout.height // self._core) * self._core)

    def _move_to(self, y0: int) -> None:
        while self._y0 < y0:
            self._row_done()
            self._y0 += self._core

    def _without_windows(self, out_HW: NDArray[Any], first: int) -> None:
        """Fill rows of levels, from one row of the image on, as where no core has a window."""
        if self._confident is None:
            out_HW[...] = 0
        else:
            self._confident.fill(out_HW, first, self._levels)

    @abstractmethod
    def _add(self, tile: Tile, maps: Sequence[NDArray[np.float32]]) -> None:
        """Add a window to the current row of tiles."""

    @abstractmethod
    def _row_done(self) -> None:
        """Write what can be written now that the row of tiles from `_y0` on has all its windows."""


def reach(window: int, sides: Sequence[int], first: int, count: int) -> slice:
    """Return which pixels of a window have to be enlarged so that the wanted ones are right, along one axis.

    >>> reach(100, [40, 50], first=20, count=60)
    slice(10, 90, None)

    Args:
        window: pixels of the window.
        sides: pixels of each map, which shows the complete window.
        first: first wanted pixel.
        count: number of wanted pixels.
    """
    # Maps can only be cut between their own pixels, so the cut has to lie where pixels of all maps begin. A
    # window of 100 pixels with maps of 40 and 50 pixels: their pixels are 2.5 and 2 wide and begin together
    # every 10. Bilinear interpolation also uses the map pixel beside, so one such unit is added on each side.
    # For the wanted pixels 20..80, the pixels 10..90 are enlarged: 4..36 of the first map, 5..45 of the
    # second.
    unit = math.lcm(*(window // math.gcd(window, side) for side in sides))
    return slice(max(0, first // unit - 1) * unit, min(window, (-(-(first + count) // unit) + 1) * unit))


class Halo(Blend):
    """Takes each pixel from the window whose core it lies in."""

    def __init__(self, layout: Layout, file: MapWriter, confident: ConfidentBlocks | None = None) -> None:
        super().__init__(layout, file, confident)
        self._band_HW = np.empty((min(self._core, layout.height), layout.width), file.dtype)
        self._without_windows(self._band_HW, 0)
        # Only the core is enlarged: less than half of the pixels of the published windows.
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
        # Half a level is added so that the conversion to integers rounds.
        height, width = self._part_HW.shape
        part_HW = enlarge(parts, height, width, self._levels, 0.5, out_HW=self._part_HW)
        top, left = self._first
        self._band_HW[: tile.height, tile.x0 : tile.x0 + tile.width] = part_HW[
            top : top + tile.height, left : left + tile.width
        ]

    def _row_done(self) -> None:
        self._file.append(self._band_HW[: self._layout.height - self._y0])
        below = self._y0 + self._core
        if below < self._layout.height:
            self._without_windows(self._band_HW[: self._layout.height - below], below)


def density(window: int) -> NDArray[np.float32]:
    """Return the weights of a window's pixels along one axis: a normal density of sigma window / 8.

    They are 1 at the centre and about 3e-4 at both ends, as nnU-Net does it (Isensee et al., Nature Methods
    18, 2021).
    """
    distance = np.arange(window) - (window - 1) / 2
    weights: NDArray[np.float32] = np.exp(-0.5 * (distance / (window / 8)) ** 2).astype(np.float32)
    return weights


class _Row(NamedTuple):
    """One row of windows.

    Attributes:
        top: row of the image where its windows begin; negative in the first row.
        weights: (W,) sum of the windows' weights in each column.
        seen: (W,) columns whose core has a window.
    """

    top: int
    weights: NDArray[np.float32]
    seen: NDArray[np.bool_]


class Gaussian(Blend):
    """Takes for each pixel the mean of all windows that show it, weighted by their `density` along both axes.

    The sum of the weights needs no map. A window weighs pixel (y, x) with d(y) * d(x), and the windows of a
    row share d(y), so their sum is d(y) times the sum of their d(x): one number per row, one per column.
    Cores without a window add nothing to their neighbours.
    """

    def __init__(self, layout: Layout, file: MapWriter, confident: ConfidentBlocks | None = None) -> None:
        super().__init__(layout, file, confident)
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
        """Return the current row of windows; add it if it is new."""
        top = self._y0 - self._layout.context
        if not self._rows or self._rows[-1].top != top:
            width = self._layout.width
            self._rows.append(_Row(top, np.zeros(width, np.float32), np.zeros(width, bool)))
        return self._rows[-1]

    def _write(self, first: int, last: int) -> None:
        """Write the rows first..last, which belong to cores of one row of tiles."""
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
        mean_HW += 0.5  # so that the conversion to integers rounds
        level_HW = mean_HW.astype(self._file.dtype)
        if self._confident is not None:
            filled_HW = np.empty_like(level_HW)
            self._without_windows(filled_HW, first)
            level_HW[:, ~seen_W] = filled_HW[:, ~seen_W]
        self._file.append(level_HW)
