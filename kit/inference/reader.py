"""Network inputs cut from a slide: full-width bands are read one after another, each row once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kit.errors import KitError
from kit.inference.resize import resize_image
from kit.inference.settings import SemanticSettings
from kit.inference.tiles import Tile, plan, reflect


class BandSource(Protocol):
    """What the engine needs of a slide; `kit.images.slide.Slide` is one."""

    @property
    def height(self) -> int:
        """Rows."""

    @property
    def width(self) -> int:
        """Columns."""

    def read_band(self, y0: int, y1: int) -> NDArray[np.uint8]:
        """RGB rows y0..y1, uint8 (y1 - y0, width, 3)."""


class ArraySource:
    """An image already in memory as a `BandSource`.

    Args:
        image_HWC: uint8 RGB.
    """

    def __init__(self, image_HWC: NDArray[np.uint8]) -> None:
        self._image_HWC = image_HWC

    @property
    def height(self) -> int:
        """Rows."""
        return int(self._image_HWC.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self._image_HWC.shape[1])

    def read_band(self, y0: int, y1: int) -> NDArray[np.uint8]:
        """Rows y0..y1."""
        return self._image_HWC[y0:y1]


def require_pixels(source: BandSource, where: str) -> None:
    """Refuse an image without a single pixel.

    Raises:
        KitError: height or width is zero.
    """
    if source.height < 1 or source.width < 1:
        raise KitError(
            f"image has no pixels: {source.height} x {source.width}",
            where=where,
            fix="download the image again; its header gives a size of zero",
        )


class _RollingBand:
    """Rows of a slide that only move down; rows shared by two bands are read once."""

    def __init__(self, source: BandSource) -> None:
        self._source = source
        self._y0 = 0
        self._rows_HWC = np.empty((0, source.width, 3), np.uint8)

    def move_to(self, y0: int, y1: int) -> tuple[NDArray[np.uint8], int]:
        """Hold at least the rows y0..y1.

        Returns:
            The rows held, (n, width, 3), and which row of the slide the first of them is.
        """
        held = self._y0 + len(self._rows_HWC)
        if self._y0 <= y0 < held < y1:
            kept, fresh = self._rows_HWC[y0 - self._y0 :], self._source.read_band(held, y1)
            self._rows_HWC, self._y0 = np.concatenate([kept, fresh]), y0
        elif not self._y0 <= y0 < y1 <= held:
            self._rows_HWC, self._y0 = self._source.read_band(y0, y1), y0
        return self._rows_HWC, self._y0


def _take(image_HWC: NDArray[np.uint8], positions: NDArray[np.int64], axis: int) -> NDArray[np.uint8]:
    """`numpy.take`, but a view where the positions are one ascending run (always, inside)."""
    first, last = int(positions[0]), int(positions[-1])
    if last - first == len(positions) - 1 and bool((np.diff(positions) == 1).all()):
        return image_HWC[first : last + 1] if axis == 0 else image_HWC[:, first : last + 1]
    return np.take(image_HWC, positions, axis=axis)


def windows(source: BandSource, settings: SemanticSettings) -> Iterator[tuple[Tile, NDArray[np.uint8]]]:
    """Every tile of an image with its network input, uint8 (input_size, input_size, 3), row by row.

    Holds one band of `core + 2 * context` rows; what lies outside the image is mirrored in each window.
    """
    rolling = _RollingBand(source)
    context, window, size = settings.context, settings.window, settings.input_size
    for tile in plan(source.height, source.width, settings.core):
        top, left = tile.y0 - context, tile.x0 - context
        rows, columns = reflect(top, top + window, source.height), reflect(left, left + window, source.width)
        band_HWC, band_y0 = rolling.move_to(int(rows.min()), int(rows.max()) + 1)
        window_HWC = _take(_take(band_HWC, columns, axis=1), rows - band_y0, axis=0)
        yield tile, np.ascontiguousarray(resize_image(window_HWC, size, size))
