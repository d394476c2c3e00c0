"""Decode one strip or tile of a page.

Codecs of bytes (deflate, LZW, packbits, zstd) decode directly into the array where the samples are wanted,
and predictor 2 is undone there: each sample is stored as its difference to the one before it in its row. The
8-bit row 10 12 11 is stored as 10 2 255 (-1 modulo 256). tifffile decodes all others (JPEG and its like).
"""

from __future__ import annotations

import math
import mmap
import os
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.errors import KitError
from kit.images import lzw
from kit.images.directory import RAW, Page

Samples = NDArray[np.uint8] | NDArray[np.uint16]

_BYTE_CODECS = {
    5: "lzw_decode",
    8: "deflate_decode",
    32773: "packbits_decode",
    32946: "deflate_decode",
    50000: "zstd_decode",
}
"""TIFF's compression -> imagecodecs' function."""
_MOST = {RAW: 2, 5: 3000, 8: 1040, 32773: 64, 32946: 1040}
"""TIFF's compression -> most decoded bytes per stored byte, rounded up."""
_MOST_OF_OTHERS = 1 << 15
_DEFLATE, _LZW, _JPEG = (8, 32946), 5, 7
_BLACK_IS_ZERO, _RGB = 1, 2
"""TIFF's numbers of colour spaces."""
_CHUNK = 4 << 20
_CACHED = 1 << 18
"""Bytes that stay in a processor's cache between two passes over them."""
_SPARE = 16
"""Give written memory back after this many chunks or blocks of rows."""
_REUSED = 8 << 20
"""A thread keeps up to this many bytes of memory to decode its next segment."""
_DAMAGED = "the file is damaged: copy or download it again"


@dataclass(frozen=True)
class OpenFile:
    """A TIFF whose pixels are being read.

    Attributes:
        path: for messages.
        descriptor: descriptor of the open file.
        mapped: the complete file, mapped.
        byteorder: "little" or "big".
    """

    path: Path
    descriptor: int
    mapped: mmap.mmap
    byteorder: str


def require_plausible(path: Path, page: Page) -> None:
    """Refuse sizes that no stored bytes can make, before memory or a scratch file is made for them.

    A page of 8-bit RGB whose largest LZW strip has 5,000 bytes: they make 5,000 * 3,000 bytes at most. If its
    tags say 60,000 x 65,000 pixels in one strip (11.7 GB), they are damaged.

    Raises:
        KitError: a segment is larger than all that the compression could make of the largest stored one.
    """
    rows, columns = page.segment
    largest = max(page.byte_counts, default=0)
    needed = rows * columns * page.channels * (page.bits // 8)
    if largest and needed > largest * _MOST.get(page.compression, _MOST_OF_OTHERS):
        kind = "tile" if page.tiled else "strip"
        raise KitError(
            f"no {kind} of at most {largest} stored bytes can hold its {rows} x {columns} pixels: "
            "the tags are damaged",
            where=path,
            fix=_DAMAGED,
        )


class Codec:
    """Decodes the segments of one plane of a page.

    Args:
        file: the open file.
        page: its tags.
        plane: which plane of a planar page; 0 otherwise.

    Attributes:
        page: its tags.
        dtype: of the decoded samples, in the machine's byte order.
        shape: rows, columns and channels of a complete segment, also where the image's border cuts it.

    Raises:
        KitError: the library for the compression is missing or cannot read the page.
    """

    def __init__(self, file: OpenFile, page: Page, plane: int) -> None:
        self.path, self.page = file.path, page
        self.dtype: np.dtype[Any] = np.dtype(np.uint8 if page.bits == 8 else np.uint16)
        self.shape = (*page.segment, page.channels)
        self._descriptor, self._mapped = file.descriptor, file.mapped
        self._first = plane * page.grid[0] * page.grid[1]
        self._own = threading.local()
        self._byteorder = file.byteorder
        self._swap = page.bits > 8 and file.byteorder != sys.byteorder
        self._by_bytes = (
            page.compression in _BYTE_CODECS and page.predictor in (1, 2) and page.fill_order == 1
        )
        self._unpack = self._of_bytes() if self._by_bytes else self._of_images()

    def stored(self, number: int) -> tuple[int, int]:
        """Return offset and stored bytes of a segment of this plane; 0 bytes if it was never written."""
        offset, count = self.page.offsets[self._first + number], self.page.byte_counts[self._first + number]
        return offset, count if offset else 0

    def rows_of(self, number: int) -> int:
        """Return how many rows of a segment lie within the image."""
        top = number // self.page.grid[1] * self.page.segment[0]
        return min(self.page.segment[0], self.page.height - top)

    def decode(self, number: int, *, keep: bool = True) -> Samples:
        """Return the samples of a segment, at least its part within the image, (rows, columns, channels).

        Args:
            number: number of the segment.
            keep: if False, the array is valid until this thread decodes its next segment. Getting new memory
                from the system can take longer than decoding.

        Raises:
            KitError: it cannot be decoded.
        """
        offset, count = self.stored(number)
        if count and not self._by_bytes:
            try:
                return self._unpack(self._read(offset, count), self._first + number)
            except Exception as error:  # codecs raise classes of their own, too
                raise self._damaged(number, error) from error
        size = math.prod(self.shape) * self.dtype.itemsize
        memory = np.empty(size, np.uint8) if keep or size > _REUSED else self._buffer("pixels", size)
        pixels_HWC: Samples = memory.view(self.dtype).reshape(self.shape)
        self.decode_into(number, pixels_HWC)
        return pixels_HWC

    def decode_into(self, number: int, out_HWC: Samples, spare: Callable[[], None] | None = None) -> None:
        """Decode a segment into an array.

        Args:
            number: number of the segment.
            out_HWC: contiguous, of `shape`; rows outside the image have any values.
            spare: for segments of gigabytes in a mapped file. It is called from time to time and gives back
                the memory written so far. Deflate is decoded in parts; all other codecs fill the mapped file
                at once.

        Raises:
            KitError: it cannot be decoded.
        """
        offset, count = self.stored(number)
        rows = self.rows_of(number)
        if not count:
            out_HWC[:rows] = self.page.unwritten
            return
        if not self._by_bytes:
            pixels_HWC = self.decode(number)
            out_HWC[:rows, : pixels_HWC.shape[1]] = pixels_HWC[:rows]
            return
        try:
            flat = out_HWC.reshape(-1).view(np.uint8)
            if spare is None:
                head = self._lzw_head(count, out_HWC[:rows])
                data = self._read(offset, count, head)
                if head and lzw.decode(data, out_HWC[:rows]):
                    return
                size = len(self._unpack(data[len(head) :], flat))
            elif self.page.compression in _DEFLATE:
                size = _fill(flat, _inflated(self._descriptor, offset, count), spare)
            else:
                size = len(self._unpack(memoryview(self._mapped)[offset : offset + count], flat))
            needed = rows * out_HWC[0].nbytes
            if size < needed:
                raise ValueError(f"it holds {size} bytes instead of {needed}")  # noqa: TRY301  # reported below
            self._undo(out_HWC[:rows], spare)
        except Exception as error:  # codecs raise classes of their own, too
            raise self._damaged(number, error) from error

    def _lzw_head(self, count: int, out_HWC: Samples) -> bytes:
        if self.page.compression != _LZW:
            return b""
        return lzw.head(count, out_HWC, self.page.predictor, self._byteorder)

    def _read(self, offset: int, count: int, head: bytes = b"") -> memoryview:
        """Return `head` and stored bytes behind it; valid until this thread reads the next ones."""
        data = self._buffer("stored", len(head) + count).data
        data[: len(head)] = head
        size = len(head)
        # One call reads at most 2 GiB; on a network's file system maybe less.
        while got := os.preadv(self._descriptor, [data[size:]], offset + size - len(head)):
            size += got
        return data[:size]

    def _buffer(self, name: str, size: int) -> NDArray[np.uint8]:
        """Return memory of this thread that is used again and again."""
        held: NDArray[np.uint8] | None = getattr(self._own, name, None)
        if held is None or len(held) < size:
            held = np.empty(size, np.uint8)
            setattr(self._own, name, held)
        return held[:size]

    def _undo(self, pixels_HWC: Samples, spare: Callable[[], None] | None) -> None:
        """Swap bytes and undo the predictor in place, in blocks that fit the processor's cache."""
        if not self._swap and self.page.predictor == 1:
            return
        block = max(1, _CACHED // pixels_HWC[0].nbytes)
        for top in range(0, len(pixels_HWC), block):
            part_HWC = pixels_HWC[top : top + block]
            if self._swap:
                part_HWC.byteswap(inplace=True)
            if self.page.predictor == 2:
                self._integrate(part_HWC)
            if spare and top // block % _SPARE == 0:
                spare()

    def _of_bytes(self) -> Callable[[Any, Any], Any]:
        try:
            import imagecodecs
        except ImportError as error:
            raise _missing("imagecodecs", self.path, error) from error
        self._delta: Any = imagecodecs.delta_decode
        decode = getattr(imagecodecs, _BYTE_CODECS[self.page.compression])
        # `self` must not be used below: in a circle of references, the mapped file would outlive the slide.
        checked = self.page.compression in _DEFLATE

        def unpack(data: memoryview, out: NDArray[np.uint8]) -> NDArray[np.uint8]:
            try:
                filled: NDArray[np.uint8] = decode(data, out=out)
            except Exception:  # classes of imagecodecs' own
                if not checked:
                    raise
                # Some writers store more bytes than the image needs. As libtiff does, take the needed ones,
                # if a checksum shows that the data is not damaged.
                held = np.frombuffer(decode(data), np.uint8)[: len(out)]
                filled = out[: len(held)]
                np.copyto(filled, held)
            return filled

        return unpack

    def _integrate(self, part_HWC: Samples) -> None:
        self._delta(part_HWC, axis=1, out=part_HWC)

    def _of_images(self) -> Callable[[Any, Any], Samples]:
        try:
            from tifffile import TiffFile, TiffPage
        except ImportError as error:
            raise _missing("tifffile", self.path, error) from error
        try:
            with TiffFile(self.path) as tiff:
                tiff.filehandle.seek(self.page.offset)
                codec = TiffPage(tiff, index=self.page.index)
                if self.page.compression == _JPEG:
                    _name_colours(codec, self.page)
                # Make the function now: tifffile reads from its open file to make it.
                decode = codec.decode
                # tifffile's names for what all segments of a JPEG share.
                tables = {"jpegtables": codec.jpegtables, "jpegheader": codec.jpegheader}
        except Exception as error:  # damaged tags lead to errors of any class
            raise KitError(f"TIFF cannot be decoded: {error}", where=self.path, fix=_DAMAGED) from error

        def unpack(data: bytes, number: int) -> Samples:
            pixels: Samples = np.asarray(decode(data, number, **tables)[0][0])
            return pixels

        return unpack

    def _damaged(self, number: int, error: Exception) -> KitError:
        kind = "tile" if self.page.tiled else "strip"
        if "requires the 'imagecodecs' package" in str(error):
            return _missing("imagecodecs", self.path, error)
        return KitError(f"{kind} {number} cannot be decoded: {error}", where=self.path, fix=_DAMAGED)


def _name_colours(codec: Any, page: Page) -> None:
    """Correct the colour space that tifffile assumes for a JPEG to what libtiff reads and writes.

    A plane of one channel is gray, whatever the page's colour space. Three interleaved samples are YCbCr
    only if the page or a JFIF marker says so, even if the page calls them "black is zero".
    """
    if page.channels == 1:
        codec.photometric = _BLACK_IS_ZERO
    elif page.channels == 3 and page.photometric == _BLACK_IS_ZERO:
        codec.photometric, codec.extrasamples = _RGB, ()


def _inflated(descriptor: int, offset: int, left: int) -> Iterator[bytes]:
    """Yield a deflated segment, a few MiB at a time, to its end, where the checksum is."""
    inflater = zlib.decompressobj()
    while left and not inflater.eof:
        data = os.pread(descriptor, min(_CHUNK, left), offset)
        offset, left = offset + len(data), left - len(data) if data else 0
        while data:
            yield inflater.decompress(data, _CHUNK)
            data = inflater.unconsumed_tail
    yield inflater.flush()
    if not inflater.eof:
        raise ValueError("its data ends too early")


def _fill(flat: NDArray[np.uint8], chunks: Iterator[bytes], spare: Callable[[], None]) -> int:
    """Copy chunks one after another while there is room; return how many bytes all of them have."""
    size = 0
    for number, chunk in enumerate(chunks):
        part = np.frombuffer(chunk, np.uint8)[: max(0, len(flat) - size)]
        flat[size : size + len(part)] = part
        size += len(chunk)
        if number % _SPARE == 0:
            spare()
    return size


def _missing(library: str, path: Path, error: Exception) -> KitError:
    return KitError(
        f"{library} is needed for this TIFF: {error}", where=path, fix=f"python -m pip install {library}"
    )
