"""A slide of any layout the competitions use, read in full-width bands or windows of 8-bit RGB.

Bands beat windows: strips are as wide as the slide, so each window would decode all of them again.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from kit.errors import KitError
from kit.images.header import TiffHeader, read_header, require_rgb8
from kit.images.rasters import Raster, Segments, open_raster

CACHE_BYTES = 192 << 20
"""Decoded pixels kept for the next band: 2000 rows of a slide 30,000 wide."""


class Slide:
    """An open slide; make it with `open_slide`, close it or use it as a context manager.

    Args:
        header: of a file that `require_rgb8` accepts.
        rasters: one of interleaved channels, or three of one channel each.
        descriptor: the open file, closed with the slide.
        notes: what was left out or assumed.

    Attributes:
        height: rows.
        width: columns.
        notes: what was left out or assumed, a sentence each.
    """

    def __init__(self, header: TiffHeader, rasters: list[Raster], descriptor: int, notes: list[str]) -> None:
        self.header = header
        self.height, self.width = header.height, header.width
        self.notes = notes
        self._rasters = rasters
        self._descriptor: int | None = descriptor

    def read_band(self, y0: int, y1: int) -> NDArray[np.uint8]:
        """Full-width rows.

        Args:
            y0: first row.
            y1: end, exclusive; 0 <= y0 <= y1 <= height.

        Returns:
            (y1 - y0, width, 3) RGB.

        Raises:
            KitError: the pixels cannot be decoded.
            ValueError: rows outside the slide.
        """
        return self._read(y0, 0, y1 - y0, self.width)

    def read_window(self, y0: int, x0: int, h: int, w: int) -> NDArray[np.uint8]:
        """A window that may reach beyond the slide, which is mirrored there (the edge pixel is not repeated).

        Args:
            y0: first row, may be negative.
            x0: first column, may be negative.
            h: rows.
            w: columns.

        Returns:
            (h, w, 3) RGB.

        Raises:
            KitError: the pixels cannot be decoded.
        """
        if y0 >= 0 and x0 >= 0 and y0 + h <= self.height and x0 + w <= self.width:
            return self._read(y0, x0, h, w)
        rows, columns = reflected(y0, h, self.height), reflected(x0, w, self.width)
        top, left = int(rows.min()), int(columns.min())
        inside = self._read(top, left, int(rows.max()) + 1 - top, int(columns.max()) + 1 - left)
        return inside[np.ix_(rows - top, columns - left)]

    def close(self) -> None:
        """Let go of the file and of scratch files."""
        self._rasters = []
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, top: int, left: int, rows: int, columns: int) -> NDArray[np.uint8]:
        if top < 0 or rows < 0 or top + rows > self.height:
            raise ValueError(f"rows {top} to {top + rows} of a slide of {self.height}")
        if self._descriptor is None:
            raise ValueError("the slide is closed")
        out_HWC = np.empty((rows, columns, 3), np.uint8)
        if out_HWC.size and len(self._rasters) == 1:
            self._rasters[0].read_into(out_HWC, top, left)
        elif out_HWC.size:
            for channel, raster in enumerate(self._rasters):
                raster.read_into(out_HWC[:, :, channel : channel + 1], top, left)
        return out_HWC


def open_slide(path: Path, *, scratch: Path | None = None) -> Slide:
    """Open a TIFF as 8-bit RGB, whatever its layout; of a pyramid, the full-resolution level.

    Args:
        path: the file.
        scratch: folder for decoding slides stored as one huge strip; the system's temporary one when None.

    Raises:
        KitError: missing, empty, no TIFF, cut short, or not 8-bit RGB; says how to mend it.
    """
    header = read_header(path)
    notes = require_rgb8(header)
    try:
        from tifffile import TiffFile  # on Kaggle it is there only after the bundle is installed
    except ImportError as error:
        raise KitError(f"tifffile is not installed: {error}", fix="python -m pip install tifffile") from error

    descriptor = os.open(path, os.O_RDONLY)
    try:
        with TiffFile(path) as tiff:
            segments = [
                Segments(path, descriptor, page, tiff.pages[page.index], plane)
                for page in header.parts[:3]
                for plane in range(3 if page.planar else 1)
            ]
        rasters = [open_raster(plane, CACHE_BYTES // len(segments), scratch) for plane in segments]
    except BaseException:
        os.close(descriptor)
        raise
    unwritten = sum(count == 0 for page in header.parts[:3] for count in page.byte_counts)
    if unwritten:
        notes.append(f"{unwritten} of its strips or tiles were never written and are read as black")
    return Slide(header, rasters, descriptor, notes)


def reflected(start: int, count: int, size: int) -> NDArray[np.int64]:
    """Indices from `start` on, mirrored into 0..size-1 as often as needed, the edges not repeated."""
    if size == 1:
        return np.zeros(count, np.int64)
    period = 2 * (size - 1)
    index = np.arange(start, start + count) % period
    return np.minimum(index, period - index)
