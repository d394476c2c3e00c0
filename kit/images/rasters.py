"""The stored planes of a slide behind one call: copy this window into that array.

Three ways, by what the file allows: map it (raw, contiguous), decode only the strips and tiles that a window
touches, or, where one strip holds a whole slide, decode it once to a scratch file and map that.
"""

from __future__ import annotations

import os
import tempfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kit.errors import KitError
from kit.images.directory import Page

GIANT_BYTES = 64 << 20
"""A decoded strip or tile from here on is not decoded again for every band, but once to a scratch file."""

_RAW, _DEFLATE = 1, (8, 32946)
_CHUNK = 4 << 20
_DAMAGED = "the file is damaged: copy or download it again"


class Raster(Protocol):
    """One stored plane (or all of them interleaved) of a slide."""

    def read_into(self, out_HWC: NDArray[np.uint8], top: int, left: int) -> None:
        """Fill `out_HWC` with the window that starts there, inside the plane; drop surplus channels."""


class MappedRaster:
    """Pixels that lie in a file as they lie in memory.

    Args:
        pixels_HWC: the mapped file.
    """

    def __init__(self, pixels_HWC: NDArray[np.uint8]) -> None:
        self._pixels = pixels_HWC

    def read_into(self, out_HWC: NDArray[np.uint8], top: int, left: int) -> None:
        """See `Raster`."""
        rows, columns, channels = out_HWC.shape
        np.copyto(out_HWC, self._pixels[top : top + rows, left : left + columns, :channels])


class SegmentCache:
    """The strips and tiles decoded last, up to a number of bytes, for windows that overlap.

    Args:
        budget: bytes of pixels to keep.
    """

    def __init__(self, budget: int) -> None:
        self._budget, self._held = budget, 0
        self._segments: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()

    def get(self, number: int, decode: Callable[[int], NDArray[np.uint8]]) -> NDArray[np.uint8]:
        """The segment of that number, decoded if it is not at hand."""
        segment = self._segments.get(number)
        if segment is not None:
            self._segments.move_to_end(number)
            return segment
        segment = decode(number)
        self._segments[number] = segment
        self._held += segment.nbytes
        while self._held > self._budget and len(self._segments) > 1:
            self._held -= self._segments.popitem(last=False)[1].nbytes
        return segment


class Segments:
    """Decodes single strips or tiles of one plane.

    Args:
        path: for error messages.
        descriptor: the open file.
        page: its tags.
        codec: the same page as tifffile sees it, its file still open.
        plane: which plane of a planar page; 0 otherwise.
    """

    def __init__(self, path: Path, descriptor: int, page: Page, codec: Any, plane: int) -> None:
        self.path, self.page = path, page
        self.rows, self.columns = page.segment
        self.down, self.across = -(-page.height // self.rows), -(-page.width // self.columns)
        self.channels = 1 if page.planar else page.samples
        self._first = plane * self.down * self.across
        self._descriptor = descriptor
        # Looked up now: tifffile reads from its own open file while it makes this function.
        self._decode = codec.decode
        # tifffile's names for what the pieces of a JPEG share.
        self._tables = {"jpegtables": codec.jpegtables, "jpegheader": codec.jpegheader}

    def stored(self, number: int) -> tuple[int, int]:
        """Offset and stored bytes of a segment of this plane."""
        return self.page.offsets[self._first + number], self.page.byte_counts[self._first + number]

    def decode(self, number: int) -> NDArray[np.uint8]:
        """Pixels of a segment (rows, columns, channels), cut at the image's edge.

        Raises:
            KitError: it cannot be decoded.
        """
        down, across = divmod(number, self.across)
        rows = min(self.rows, self.page.height - down * self.rows)
        columns = min(self.columns, self.page.width - across * self.columns)
        offset, count = self.stored(number)
        if count == 0:
            return np.zeros((rows, columns, self.channels), np.uint8)
        data = os.pread(self._descriptor, count, offset)
        try:
            pixels = self._decode(data, self._first + number, **self._tables)[0]
            return np.asarray(pixels[0, :rows, :columns])
        except Exception as error:  # codecs raise classes of their own besides RuntimeError, ValueError, ...
            raise self._damaged(number, error) from error

    def pieces(self) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
        """All pixels, piece by piece: top, left, (rows, columns, channels).

        Raises:
            KitError: a segment cannot be decoded.
        """
        page = self.page
        streamable = page.compression in _DEFLATE and page.predictor in (1, 2) and page.fill_order == 1
        for number in range(self.down * self.across):
            top, left = number // self.across * self.rows, number % self.across * self.columns
            if streamable and not page.tiled and self.stored(number)[1]:
                for band in self._inflate(number, min(self.rows, page.height - top)):
                    yield top, left, band
                    top += len(band)
            else:
                yield top, left, self.decode(number)

    def _inflate(self, number: int, rows: int) -> Iterator[NDArray[np.uint8]]:
        """A deflated strip as bands of rows: it need not fit into memory."""
        row_bytes = self.page.width * self.channels
        rest, done = b"", 0
        for data in self._inflated_bytes(number):
            rest += data
            whole = min(len(rest) // row_bytes, rows - done)
            if whole:
                band = np.frombuffer(rest, np.uint8, whole * row_bytes).reshape(whole, -1, self.channels)
                yield np.cumsum(band, axis=1, dtype=np.uint8) if self.page.predictor == 2 else band
            rest, done = rest[whole * row_bytes :], done + whole
        if done < rows:
            raise self._damaged(number, ValueError(f"{done} rows instead of {rows}"))

    def _inflated_bytes(self, number: int) -> Iterator[bytes]:
        """What a deflated strip holds, a few MiB at a time, to its very end, where the checksum is."""
        offset, left = self.stored(number)
        inflater = zlib.decompressobj()
        while left and not inflater.eof:
            data = os.pread(self._descriptor, min(_CHUNK, left), offset)
            offset, left = offset + len(data), left - len(data) if data else 0
            while data:
                try:
                    yield inflater.decompress(data, _CHUNK)
                except zlib.error as error:
                    raise self._damaged(number, error) from error
                data = inflater.unconsumed_tail
        yield inflater.flush()
        if not inflater.eof:
            raise self._damaged(number, ValueError("its data ends too early"))

    def _damaged(self, number: int, error: Exception) -> KitError:
        kind = "tile" if self.page.tiled else "strip"
        if "requires the 'imagecodecs' package" in str(error):
            return KitError(str(error), where=self.path, fix="install imagecodecs beside tifffile")
        return KitError(f"{kind} {number} cannot be decoded: {error}", where=self.path, fix=_DAMAGED)


class SegmentRaster:
    """Decodes the strips or tiles that a window touches.

    Args:
        segments: decodes one.
        keep: bytes of decoded ones kept for the next window.
    """

    def __init__(self, segments: Segments, keep: int) -> None:
        self._segments, self._cache = segments, SegmentCache(keep)

    def read_into(self, out_HWC: NDArray[np.uint8], top: int, left: int) -> None:
        """See `Raster`."""
        s = self._segments
        rows, columns, channels = out_HWC.shape
        for down in range(top // s.rows, -(-(top + rows) // s.rows)):
            for across in range(left // s.columns, -(-(left + columns) // s.columns)):
                pixels = self._cache.get(down * s.across + across, s.decode)
                y, x = down * s.rows - top, across * s.columns - left
                inside = pixels[max(0, -y) : rows - y, max(0, -x) : columns - x, :channels]
                y, x = max(0, y), max(0, x)
                out_HWC[y : y + inside.shape[0], x : x + inside.shape[1]] = inside


class ScratchRaster:
    """Decodes a plane once, when first asked, into a nameless file that vanishes with the process.

    Args:
        segments: decodes the plane.
        folder: where the file is put; the system's temporary folder when None.
    """

    def __init__(self, segments: Segments, folder: Path | None) -> None:
        self._segments, self._folder = segments, folder
        self._mapped: MappedRaster | None = None

    def read_into(self, out_HWC: NDArray[np.uint8], top: int, left: int) -> None:
        """See `Raster`."""
        if self._mapped is None:
            self._mapped = MappedRaster(self._decode_all())
        self._mapped.read_into(out_HWC, top, left)

    def _decode_all(self) -> NDArray[np.uint8]:
        page = self._segments.page
        shape = (page.height, page.width, self._segments.channels)
        size = page.height * page.width * self._segments.channels
        try:
            with tempfile.TemporaryFile(dir=self._folder) as stream:
                # Reserve the space now: a full disk would kill the process when a mapped page is written.
                os.posix_fallocate(stream.fileno(), 0, size)
                pixels = np.memmap(stream, np.uint8, "r+", shape=shape)
        except OSError as error:
            raise KitError(
                f"no room to decode {page.height} x {page.width} pixels of one strip: {error.strerror}",
                where=self._folder or tempfile.gettempdir(),
                fix=f"free {size / 2**30:.1f} GiB there or set TMPDIR to a larger disk",
            ) from error
        for top, left, piece in self._segments.pieces():
            pixels[top : top + piece.shape[0], left : left + piece.shape[1]] = piece
        return pixels


def open_raster(segments: Segments, keep: int, scratch: Path | None) -> Raster:
    """The cheapest way to the pixels of one plane.

    Args:
        segments: decodes the plane.
        keep: bytes of decoded pixels to keep for the next window.
        scratch: folder for a plane that is stored in one piece; the system's temporary one when None.
    """
    page = segments.page
    start = _contiguous_from(segments)
    if start is not None:
        shape = (page.height, page.width, segments.channels)
        return MappedRaster(np.memmap(segments.path, np.uint8, "r", start, shape))
    if segments.rows * segments.columns * segments.channels >= GIANT_BYTES:
        return ScratchRaster(segments, scratch)
    return SegmentRaster(segments, keep)


def _contiguous_from(segments: Segments) -> int | None:
    """Where the plane starts in the file if it lies there as it would in memory."""
    page = segments.page
    if page.tiled or page.compression != _RAW or page.fill_order != 1:
        return None
    row_bytes = page.width * segments.channels
    expected = first = segments.stored(0)[0]
    for number in range(segments.down):
        rows = min(segments.rows, page.height - number * segments.rows)
        if segments.stored(number) != (expected, rows * row_bytes) or expected == 0:
            return None
        expected += rows * row_bytes
    return first
