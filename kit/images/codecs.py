"""Decode one strip or tile of a page.

Codecs of bytes (deflate, LZW, packbits, zstd) decode directly into the array where the samples are wanted,
and predictor 2 is undone there: each sample is stored as its difference to the one before it in its row. The
8-bit row 10 12 11 is stored as 10 2 255 (-1 modulo 256). Codecs of images decode into an array of the
expected shape; tifffile decodes JPEG, whose colours need care, and all others. No decoder makes more than its
strip or tile needs, whatever the stored bytes claim.
"""

from __future__ import annotations

import math
import mmap
import sys
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.errors import KitError
from kit.images import lzw
from kit.images.directory import Page
from kit.images.image_codecs import DAMAGED, image_decoder, missing_library, shape_text
from kit.streams import Streams

Samples = NDArray[np.uint8] | NDArray[np.uint16]

_BYTE_CODECS = {
    5: "lzw_decode",
    8: "deflate_decode",
    32773: "packbits_decode",
    32946: "deflate_decode",
    34925: "lzma_decode",
    34926: "zstd_decode",
    50000: "zstd_decode",
}
_DEFLATE, _LZW = (8, 32946), 5
_CHUNK = 4 << 20
_CACHED = 1 << 18
"""Bytes that stay in a processor's cache between two passes over them."""
_SPARE = 16
"""Give written memory back after this many chunks or blocks of rows."""
_REUSED = 8 << 20
"""A thread keeps up to this many bytes of memory to decode its next segment."""


@dataclass(frozen=True)
class OpenFile:
    """A TIFF whose pixels are being read.

    Attributes:
        path: for messages.
        descriptor: descriptor of the open file.
        streams: read its bytes.
        byteorder: "little" or "big".
    """

    path: Path
    descriptor: int
    streams: Streams
    byteorder: str

    def mapped(self) -> mmap.mmap:
        """Map the complete file.

        Raises:
            OSError: the file system maps no files.
        """
        # Private: file systems in user space may refuse shared mappings even for reading.
        return mmap.mmap(self.descriptor, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)


class Codec:
    """Decodes the segments of one plane of a page.

    Args:
        file: the open file.
        page: its tags.
        plane: which plane of a planar page; 0 otherwise.

    Attributes:
        page: its tags.
        plane: which plane of a planar page; 0 otherwise.
        dtype: of the decoded samples, in the machine's byte order.
        shape: rows, columns and channels of a complete segment, also where the image's border cuts it.

    Raises:
        KitError: the library for the compression is missing or cannot read the page.
    """

    def __init__(self, file: OpenFile, page: Page, plane: int) -> None:
        self.path, self.page, self.plane = file.path, page, plane
        self.dtype: np.dtype[Any] = np.dtype(f"u{page.bits // 8}")
        self.shape = (*page.segment, page.channels)
        self._file = file
        self._own = threading.local()
        self._byteorder = file.byteorder
        self._swap = page.bits > 8 and file.byteorder != sys.byteorder
        self._by_bytes = (
            page.compression in _BYTE_CODECS and page.predictor in (1, 2) and page.fill_order == 1
        )
        self._unpack: Callable[[Any, Any], Any] = (
            self._of_bytes() if self._by_bytes else image_decoder(file.path, page, plane, self.dtype)
        )

    def rows_of(self, number: int) -> int:
        """Return how many rows of a segment lie within the image."""
        top = number // self.page.grid[1] * self.page.segment[0]
        return min(self.page.segment[0], self.page.height - top)

    def columns_of(self, number: int) -> int:
        """Return how many columns of a segment lie within the image."""
        left = number % self.page.grid[1] * self.page.segment[1]
        return min(self.page.segment[1], self.page.width - left)

    def decode(self, number: int, *, keep: bool = True) -> Samples:
        """Return the samples of a segment, at least its part within the image, (rows, columns, channels).

        Args:
            number: number of the segment.
            keep: if False, the array is valid until this thread decodes its next segment. Getting new memory
                from the system can take longer than decoding.

        Raises:
            KitError: it cannot be decoded.
        """
        pixels_HWC: Samples
        offset, count = self.page.stored(self.plane, number)
        if count and not self._by_bytes:
            try:
                pixels_HWC = self._unpack(self._read(offset, count), number)
                rows, columns = self.rows_of(number), self.columns_of(number)
                if (pixels_HWC.shape[2:], pixels_HWC.dtype) != (self.shape[2:], self.dtype) or not (
                    pixels_HWC.shape[0] >= rows and pixels_HWC.shape[1] >= columns
                ):
                    raise ValueError(f"it holds {shape_text(pixels_HWC.shape)} samples")  # noqa: TRY301
            except Exception as error:  # codecs raise classes of their own, too
                raise self._damaged(number, error) from error
            return pixels_HWC
        size = math.prod(self.shape) * self.dtype.itemsize
        memory = np.empty(size, np.uint8) if keep or size > _REUSED else self._buffer("pixels", size)
        pixels_HWC = memory.view(self.dtype).reshape(self.shape)
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
        offset, count = self.page.stored(self.plane, number)
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
                size = _fill(flat, _inflated(_parts(self._file.streams, offset, count), len(flat)), spare)
            else:
                size = len(self._unpack(memoryview(self._file.mapped())[offset : offset + count], flat))
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
        stored = self._file.streams.read(offset, count)
        if not head:
            return stored
        data = self._buffer("stored", len(head) + len(stored)).data
        data[: len(head)], data[len(head) :] = head, stored
        return data

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
            raise missing_library("imagecodecs", self.path, error) from error
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
                filled = out[: _fill(out, _inflated([data], len(out)))]
            return filled

        return unpack

    def _integrate(self, part_HWC: Samples) -> None:
        self._delta(part_HWC, axis=1, out=part_HWC)

    def _damaged(self, number: int, error: Exception) -> KitError:
        if isinstance(error, MemoryError):
            return KitError(
                f"there is not enough memory for {self.page.kind} {number}",
                where=self.path,
                fix="free memory",
            )
        if "requires the 'imagecodecs' package" in str(error):
            return missing_library("imagecodecs", self.path, error)
        return KitError(f"{self.page.kind} {number} cannot be decoded: {error}", where=self.path, fix=DAMAGED)


def _parts(streams: Streams, offset: int, left: int) -> Iterator[memoryview]:
    """Yield stored bytes, a few MiB at a time."""
    while left and (data := streams.read(offset, min(_CHUNK, left))):
        yield data
        offset, left = offset + len(data), left - len(data)


def _inflated(parts: Iterable[Any], needed: int) -> Iterator[bytes]:
    """Yield a deflated segment, a few MiB at a time, to its end, where the checksum is."""
    inflater = zlib.decompressobj()
    left = 2 * needed + _CHUNK
    for part in parts:
        data = part
        while len(data) and not inflater.eof:
            yield (chunk := inflater.decompress(data, _CHUNK))
            data = inflater.unconsumed_tail
            left -= len(chunk)
            if left < 0:
                raise ValueError(f"it holds more than twice the {needed} bytes that it should")
    yield inflater.flush()
    if not inflater.eof:
        raise ValueError("its data ends too early")


def _fill(flat: NDArray[np.uint8], chunks: Iterator[bytes], spare: Callable[[], None] | None = None) -> int:
    """Copy chunks one after another while there is room; return how many bytes all of them have."""
    size = 0
    for number, chunk in enumerate(chunks):
        part = np.frombuffer(chunk, np.uint8)[: max(0, len(flat) - size)]
        flat[size : size + len(part)] = part
        size += len(chunk)
        if spare and number % _SPARE == 0:
            spare()
    return size
