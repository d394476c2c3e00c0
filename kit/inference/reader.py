"""Cut network inputs from a slide, which is read in full-width bands, each row once."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kit.images.reflection import reflected
from kit.images.tissue import is_background
from kit.inference.band_source import BandSource
from kit.inference.layout import Layout
from kit.inference.resize import resize_image
from kit.inference.tiles import Tile, move_up

_ROWS = 256
"""Image rows read and shrunk at once."""


class Batch(NamedTuple):
    """Windows for one forward pass.

    Attributes:
        tiles: the cores of the windows, in the order of the layout; may be empty in the last batch.
        inputs: what the network sees, for each of the layout's inputs one array uint8 (n, rows, columns, 3).
        skipped: number of tiles without tissue that were left out since the batch before.
    """

    tiles: list[Tile]
    inputs: list[NDArray[np.uint8]]
    skipped: int


def batches(
    source: BandSource,
    layout: Layout,
    size: int,
    *,
    tiles: Iterable[Tile] | None = None,
    skip_background: bool = False,
) -> Iterator[Batch]:
    """Yield the windows of an image in batches, row by row; outside the image they show it mirrored.

    Each row of pixels that a window shows is read once, except those that are mirrored at the upper and lower
    border. Memory holds one row of windows: at the network's resolution if all windows share one grid of its
    pixels (`_on_one_grid`), else at the image's.

    Args:
        source: the image.
        layout: its windows.
        size: windows in a batch.
        tiles: cores of the wanted windows, in the layout's order; None for all.
        skip_background: leave out windows without tissue.
    """
    wanted = layout.tiles() if tiles is None else tiles
    batch: list[Tile] = []
    inputs: list[NDArray[np.uint8]] = []
    skipped = 0
    for tile, shown in _windows(source, layout, wanted, skip_background=skip_background):
        if shown is None:
            skipped += 1
            continue
        if not batch:
            inputs = [np.empty((size, *sides, 3), np.uint8) for sides in layout.inputs]
        for x_NHWC, input_HWC in zip(inputs, shown, strict=True):
            x_NHWC[len(batch)] = input_HWC
        batch.append(tile)
        if len(batch) == size:
            yield Batch(batch, inputs, skipped)
            batch, skipped = [], 0
    if batch or skipped:
        yield Batch(batch, [x_NHWC[: len(batch)] for x_NHWC in inputs], skipped)


def _windows(
    source: BandSource, layout: Layout, tiles: Iterable[Tile], *, skip_background: bool
) -> Iterator[tuple[Tile, list[NDArray[np.uint8]] | None]]:
    """Yield each of some tiles with its network inputs, or with None if its window shows no tissue."""
    if layout.core is None:
        for tile in tiles:
            image_HWC = source.read_band(0, source.height)
            yield tile, [resize_image(image_HWC, *sides) for sides in layout.inputs]
        return
    (window, _), sides = layout.window, [rows for rows, _ in layout.inputs]
    shared = all(_on_one_grid(layout.core, layout.context, side) for side in sides)
    band = _Band(source, layout, sides if shared else [window], look=skip_background)
    for tile in tiles:
        band.move_to(tile.y0 - layout.context)
        if skip_background and not band.has_tissue(tile):
            yield tile, None
        elif shared:
            yield tile, band.cut(tile)
        else:
            (window_HWC,) = band.cut(tile)
            yield tile, [resize_image(window_HWC, side, side) for side in sides]


def _on_one_grid(core: int, context: int, side: int) -> bool:
    """Return whether shrinking rows of the image gives each window the same pixels as shrinking it alone.

    It does if cores and contexts become whole pixels: a core of 4 and a context of 2 shrunk from 8 to 4
    pixels become 2 and 1. From 8 to 3 pixels, the core would become 1.5: then each window is shrunk by
    itself.
    """
    window = core + 2 * context
    return side <= window and core * side % window == 0 and context * side % window == 0


# With a core of 4 pixels and a context of 2, the windows of the first two rows of tiles show these image
# rows:
#
#     row             -2 -1  0  1  2  3  4  5  6  7  8  9
#     first windows    m  m  C  C  C  C  c  c               m: mirrored, C: core, c: context
#     second windows               c  c  C  C  C  C  c  c
#
# A `_Band` holds the 8 rows of one row of windows, already shrunk to the network's resolution. For the next
# row of tiles it moves up by one core: the rows 2..6 stay, the rows 6..10 are read. Rows and columns outside
# the image are its own, mirrored: row -1 is row 1, row -2 is row 2.
class _Band:
    """The image rows that one row of windows shows, with mirrored borders, kept at one or more sizes.

    Args:
        source: the image.
        layout: its windows.
        sides: for each size, pixels that a window's side becomes; cores and contexts become whole pixels.
        look: find out which windows show tissue.
    """

    def __init__(self, source: BandSource, layout: Layout, sides: Sequence[int], *, look: bool) -> None:
        assert layout.core is not None, "the image is one window"
        self._source, self._core, self._context = source, layout.core, layout.context
        self._window = layout.window[0]
        self._across = -(-source.width // layout.core)
        self._sides = sides
        # Fewest image pixels that become whole pixels, for each size: 2 where 8 become 4, 4 where 8 become 6.
        self._units = [self._window // math.gcd(self._window, side) for side in sides]
        unit = math.lcm(*self._units)
        self._rows = max(unit, _ROWS // unit * unit)
        width = self._across * layout.core + 2 * layout.context
        self._held = [np.empty((side, width * side // self._window, 3), np.uint8) for side in sides]
        self._top: int | None = None
        self._look = look
        self._tissue: deque[tuple[int, NDArray[np.bool_]]] = deque()

    def move_to(self, top: int) -> None:
        """Hold the rows from `top` on; after the first call, `top` is any number of cores further down."""
        kept, by = 0, self._window
        if self._top is not None:
            by = top - self._top
            assert by >= 0 == by % self._core, "bands follow one another"
        if by < self._window:
            kept = self._window - by
            for held_HWC, side in zip(self._held, self._sides, strict=True):
                move_up(held_HWC, by * side // self._window)
        self._top = top
        while self._tissue and self._tissue[0][0] <= top:
            self._tissue.popleft()
        for first in range(kept, self._window, self._rows):
            self._fill(first, min(first + self._rows, self._window))

    def cut(self, tile: Tile) -> list[NDArray[np.uint8]]:
        """Return the tile's window at each size, as views that the next `move_to` overwrites."""
        cuts = []
        for held_HWC, side in zip(self._held, self._sides, strict=True):
            left = tile.x0 * side // self._window
            cuts.append(held_HWC[:, left : left + side])
        return cuts

    def has_tissue(self, tile: Tile) -> bool:
        """Return whether the tile's window shows tissue."""
        return any(tissue_N[tile.x0 // self._core] for _, tissue_N in self._tissue)

    def _fill(self, first: int, last: int) -> None:
        """Read the rows first..last of the band, look for tissue in them and shrink them to each size."""
        assert self._top is not None, "move first"
        rows = reflected(self._top + first, self._top + last, self._source.height)
        low = int(rows.min())
        rows_HWC = _take(self._source.read_band(low, int(rows.max()) + 1), rows - low)
        if self._look:
            windows = (
                rows_HWC[:, max(0, x0 - self._context) : x0 + self._core + self._context]
                for x0 in range(0, self._source.width, self._core)
            )
            found = np.array([not is_background(window_HWC) for window_HWC in windows])
            self._tissue.append((self._top + last, found))
        for held_HWC, side, unit in zip(self._held, self._sides, self._units, strict=True):
            out_HWC = held_HWC[first * side // self._window : last * side // self._window]
            self._shrink(rows_HWC, out_HWC, side, unit)

    def _shrink(self, rows_HWC: NDArray[np.uint8], out_HWC: NDArray[np.uint8], side: int, unit: int) -> None:
        """Shrink full-width rows in three parts: mirrored left, image, its end with mirrored right."""
        width = self._source.width
        right = self._across * self._core + self._context
        inner = width // unit * unit
        for begin, end in ((-self._context, 0), (0, inner), (inner, right)):
            if begin == end:
                continue
            inside = begin >= 0 and end <= width
            part_HWC = rows_HWC[:, begin:end] if inside else rows_HWC[:, reflected(begin, end, width)]
            left, stop = ((place + self._context) * side // self._window for place in (begin, end))
            out_HWC[:, left:stop] = resize_image(part_HWC, len(out_HWC), stop - left)


def _take(rows_HWC: NDArray[np.uint8], positions: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return rows by their positions; a view if these are all rows in order, as they are inside the image."""
    in_order = len(positions) == len(rows_HWC) and bool((np.diff(positions) == 1).all())
    return rows_HWC if in_order else np.take(rows_HWC, positions, axis=0)
