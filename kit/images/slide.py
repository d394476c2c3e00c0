"""Read a slide of any layout in full-width bands of 8-bit RGB.

Slides are read in bands and not in windows because strips are as wide as the slide: a row of 20 windows would
decode each strip 20 times.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from kit.artefacts import open_regular
from kit.errors import KitError
from kit.images.codecs import OpenFile, Samples
from kit.images.decode_threads import for_each, processors
from kit.images.header import TiffHeader, read_header, require_rgb8, unreadable
from kit.images.pixels import to_rgb
from kit.images.planes import Plane, open_plane
from kit.streams import Streams

S = TypeVar("S", bound="Slide")
CACHE_BYTES = 192 << 20
"""Bytes of decoded pixels kept for the next band: 2,000 rows of a slide of 30,000 columns."""
GIANT_BYTES = 64 << 20
"""Decode a strip or tile of this many bytes or more once, into a scratch file."""
_RELEASE_BYTES = 64 << 20
"""Give back the pages of mapped scratch files after this many bytes: memory holds bands, never a slide."""
_AT_ONCE_BYTES = 128 << 20
"""Most bytes of decoded samples that all threads hold before they are copied to the band."""
_ALONE_BYTES = 1 << 20
"""One thread reads bands of up to this many bytes: starting others would take longer."""


class Slide:
    """An open slide; `open_slide` makes it, and it is closed by `close` or as a context manager.

    Args:
        header: header of a file that `require_rgb8` accepts.
        planes: one plane of interleaved channels, or three of one channel each.
        file: the open file, closed with the slide.
        notes: what was left out, cut or assumed.
        threads: number of threads that decode.

    Attributes:
        height: rows.
        width: columns.
        notes: what was left out, cut or assumed, one sentence each.
    """

    def __init__(
        self, header: TiffHeader, planes: list[Plane], file: OpenFile, notes: tuple[str, ...], threads: int
    ) -> None:
        self.header = header
        self.height, self.width = header.height, header.width
        self.notes = notes
        self._planes = planes
        self._file: OpenFile | None = file
        self._unit = planes[0].unit
        if any(plane.unit != self._unit for plane in planes):
            threads = 1  # blocks of the planes differ: two threads would decode the same segment
        held = self._unit[0] * self._unit[1] * header.channels * (header.bits // 8)
        self._threads = max(1, min(threads, _AT_ONCE_BYTES // held))
        self._read_bytes = 0

    def read_band(self, y0: int, y1: int) -> NDArray[np.uint8]:
        """Read full-width rows.

        Args:
            y0: first row.
            y1: end, exclusive; 0 <= y0 <= y1 <= height.

        Returns:
            (y1 - y0, width, 3) RGB.

        Raises:
            KitError: the pixels cannot be decoded, or memory is too small.
            ValueError: the rows lie outside the slide, or the slide is closed.
        """
        if y0 < 0 or y1 < y0 or y1 > self.height:
            raise ValueError(f"rows {y0} to {y1} of a slide of {self.height}")
        if self._file is None:
            raise ValueError("the slide is closed")
        try:
            out_HWC = np.empty((y1 - y0, self.width, 3), np.uint8)
            if out_HWC.size:
                self._read(y0, y1, out_HWC)
        except MemoryError as error:
            raise KitError(
                f"there is not enough memory to read {y1 - y0} rows of {self.width} pixels",
                where=self._file.path,
                fix="use fewer workers or a machine with more memory; if the image is small, it is damaged",
            ) from error
        return out_HWC

    def _read(self, y0: int, y1: int, out_HWC: NDArray[np.uint8]) -> None:
        def place(block: tuple[int, int, int, int]) -> None:
            y, x, height, width = block
            samples = [plane.get(*block) for plane in self._planes]
            self._place(samples, out_HWC[y - y0 : y - y0 + height, x : x + width])

        for plane in self._planes:
            plane.segments.forget(y0)
        missing = [
            (plane.segments, number)
            for plane in self._planes
            for number in plane.segments.pending(plane.touched(y0, 0, y1 - y0, self.width))
        ]
        for_each(lambda item: item[0].prepare(item[1]), missing, self._threads)
        blocks = itertools.product(_cuts(y0, y1 - y0, self._unit[0]), _cuts(0, self.width, self._unit[1]))
        threads = self._threads if out_HWC.size > _ALONE_BYTES else 1
        for_each(place, ((y, x, height, width) for (y, height), (x, width) in blocks), threads)
        self._read_bytes += out_HWC.size
        if self._read_bytes > _RELEASE_BYTES:
            self._read_bytes = 0
            for plane in self._planes:
                plane.segments.release()

    def _place(self, samples: list[Samples], out_HWC: NDArray[np.uint8]) -> None:
        to_rgb(samples, self.header.significant_bits - 8, out_HWC)

    def close(self) -> None:
        """Close the file and remove scratch files."""
        self._planes = []
        if self._file is not None:
            self._file.streams.close()
            os.close(self._file.descriptor)
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_slide(
    path: Path, *, scratch: Path | None = None, giant: int = GIANT_BYTES, threads: int | None = None
) -> Slide:
    """Open a TIFF as 8-bit RGB, whatever its layout; of a pyramid, the full-resolution level.

    Args:
        path: the file.
        scratch: folder of scratch files for strips and tiles from `giant` on; the system's temporary folder
            if None.
        giant: decoded bytes of a strip or tile from which on a scratch file is used.
        threads: number of threads that decode; that of the processors, up to a limit, if None.

    Raises:
        KitError: the file is missing, empty, no TIFF, cut short, or neither 8- nor 16-bit RGB, or the library
            for its compression is missing; says how to mend it.
    """
    header = read_header(path)
    return opened(Slide, header, require_rgb8(header), scratch=scratch, giant=giant, threads=threads)


def opened(
    kind: type[S],
    header: TiffHeader,
    notes: Sequence[str],
    *,
    scratch: Path | None = None,
    giant: int = GIANT_BYTES,
    threads: int | None = None,
) -> S:
    """Open a file as a class of slides; other arguments and errors as of `open_slide`.

    Args:
        kind: the class.
        header: of the file.
        notes: what was left out, cut or assumed.
        scratch: see `open_slide`.
        giant: see `open_slide`.
        threads: see `open_slide`.
    """
    pages = header.parts[:3]
    file = _opened(header.path, header)
    try:
        stored = [(page, plane) for page in pages for plane in range(3 if page.planar else 1)]
        keep = CACHE_BYTES // len(stored)
        planes = [
            open_plane(file, page, plane, keep=keep, giant=giant, scratch=scratch) for page, plane in stored
        ]
        file.streams.expect(part for plane in planes for part in plane.stored())
    except BaseException:
        os.close(file.descriptor)
        raise
    return kind(header, planes, file, tuple(notes), threads or processors())


def _opened(path: Path, header: TiffHeader) -> OpenFile:
    try:
        descriptor = open_regular(path)
    except OSError as error:
        raise unreadable(path, error) from error
    return OpenFile(path, descriptor, Streams(descriptor), header.byteorder)


def _cuts(start: int, count: int, unit: int) -> list[tuple[int, int]]:
    """Return start and length of the pieces of start..start+count between multiples of `unit`.

    >>> _cuts(3, 10, 4)
    [(3, 1), (4, 4), (8, 4), (12, 1)]
    """
    edges = [start, *range(start // unit * unit + unit, start + count, unit), start + count]
    return [(low, high - low) for low, high in itertools.pairwise(edges)]
