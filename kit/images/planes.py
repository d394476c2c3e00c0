"""One stored plane of a slide (or all planes, interleaved) as an array that is never in memory at once.

Where segments come from depends on the file: of raw ones the rows that a band shows are read
(`RawSegments`), compressed ones are decoded when a band touches them (`DecodedSegments`) or, if one is a
large part of a slide, decoded once into a scratch file, which is mapped (`ScratchSegments`).
"""

from __future__ import annotations

import math
import mmap
import os
import tempfile
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from kit.errors import KitError
from kit.images.codecs import Codec, OpenFile, Samples
from kit.images.directory import COPY_AGAIN, RAW, Page
from kit.streams import PIECE

# A plane is cut into segments: strips as wide as the image, or tiles. The segments of 100 rows x 250 columns
# with tiles of 64 x 128, and a band of the rows 50..80, which touches all four:
#
#         0      128     250
#       0 +-------+-------+
#         |   0   |   1   |
#      50 |=======|=======|      rows 50..64 of segments 0 and 1: used in part, kept for the next band
#      64 +-------+-------+
#         |   2   |   3   |      rows 64..80 of segments 2 and 3: used in part, kept
#     100 +-------+-------+
_BLOCK_BYTES = PIECE
"""Bytes of raw or mapped rows that are best read at once."""


_ALL = slice(None)


class Segments(ABC):
    """Source of the segments of a plane.

    Args:
        page: the plane's tags.
        plane: which plane of a planar page; 0 otherwise.

    Attributes:
        page: the plane's tags.
    """

    def __init__(self, page: Page, plane: int) -> None:
        self.page, self._plane = page, plane

    @abstractmethod
    def get(self, number: int, rows: slice = _ALL, *, complete: bool) -> Samples:
        """Return the samples of a segment, at least its part within the image, (rows, columns, channels).

        Args:
            number: number of the segment.
            rows: of the segment that are wanted.
            complete: all of it is used now, so that it need not be kept. The array is valid until this thread
                asks for the next segment.

        Raises:
            KitError: it cannot be decoded.
        """

    def stored(self, number: int) -> tuple[int, int]:
        """Return offset and stored bytes of a segment; 0 bytes if it was never written."""
        return self.page.stored(self._plane, number)

    def pending(self, numbers: list[int]) -> list[int]:  # noqa: ARG002  # a subclass may prepare segments
        """Return those of the segments that need `prepare` before `get`."""
        return []

    def prepare(self, number: int) -> None:  # noqa: B027  # a subclass may prepare segments
        """Do the work that is done once for a segment; `KitError` if it cannot be decoded."""

    def forget(self, top: int) -> None:  # noqa: B027  # a subclass may keep segments
        """Drop kept segments that lie completely above a row."""

    def release(self) -> None:  # noqa: B027  # a subclass may be mapped
        """Give the memory of mapped pages back to the system; it reads them again when they are needed."""


class RawSegments(Segments):
    """Raw segments: their bytes are the samples.

    Args:
        file: the open file.
        page: its tags.
        plane: which plane of a planar page; 0 otherwise.
    """

    def __init__(self, file: OpenFile, page: Page, plane: int) -> None:
        super().__init__(page, plane)
        self._path, self._read = file.path, file.streams.read
        order = "<" if file.byteorder == "little" else ">"
        self._dtype = np.dtype(f"{order}u{page.bits // 8}")

    def get(self, number: int, rows: slice = _ALL, *, complete: bool) -> Samples:  # noqa: ARG002  # nothing is kept
        """See `Segments`."""
        page = self.page
        inside = page.segment[0]
        if not page.tiled:
            inside = min(inside, page.height - number * inside)
        first, last, _ = rows.indices(inside)
        shape = (last - first, page.segment[1], page.channels)
        offset, count = self.stored(number)
        if not count:
            return np.broadcast_to(np.array(page.unwritten, self._dtype), shape)
        row_bytes = math.prod(shape[1:]) * self._dtype.itemsize
        try:
            if count < inside * row_bytes:
                raise ValueError(f"it holds {count} bytes instead of {inside * row_bytes}")  # noqa: TRY301
            data = self._read(offset + first * row_bytes, (last - first) * row_bytes)
            return np.frombuffer(data, self._dtype).reshape(shape)
        except (OSError, ValueError) as error:
            kind = "tile" if page.tiled else "strip"
            problem = f"{kind} {number} cannot be decoded: {error}"
            raise KitError(problem, where=self._path, fix=COPY_AGAIN) from error


class DecodedSegments(Segments):
    """Segments decoded when they are asked for; one used in part is kept until a band lies below it.

    Args:
        codec: decodes a segment.
        budget: bytes of samples to keep; the last segment is kept in any case.
    """

    def __init__(self, codec: Codec, budget: int) -> None:
        super().__init__(codec.page, codec.plane)
        self._codec, self._budget, self._held = codec, budget, 0
        self._kept: OrderedDict[int, Samples] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, number: int, rows: slice = _ALL, *, complete: bool) -> Samples:
        """See `Segments`."""
        with self._lock:
            segment = self._kept.get(number)
            if segment is not None:
                self._kept.move_to_end(number)
                return segment[rows]
        segment = self._codec.decode(number, keep=not complete)
        if not complete:
            with self._lock:
                self._held += segment.nbytes if number not in self._kept else 0
                self._kept[number] = segment
                while self._held > self._budget and len(self._kept) > 1:
                    self._held -= self._kept.popitem(last=False)[1].nbytes
        return segment[rows]

    def forget(self, top: int) -> None:
        """See `Segments`."""
        across, rows = self.page.grid[1], self.page.segment[0]
        with self._lock:
            for number in [number for number in self._kept if (number // across + 1) * rows <= top]:
                self._held -= self._kept.pop(number).nbytes


class ScratchSegments(Segments):
    """Segments decoded once, each when it is first asked for, into a file without a name.

    The file disappears when the process ends.

    Args:
        codec: decodes a segment.
        folder: folder of the file; the system's temporary folder if None.
    """

    def __init__(self, codec: Codec, folder: Path | None) -> None:
        super().__init__(codec.page, codec.plane)
        self._codec, self._folder = codec, folder
        self._size = math.prod(codec.shape) * codec.dtype.itemsize
        self._map: mmap.mmap | None = None
        self._done: set[int] = set()
        self._turns: dict[int, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, number: int, rows: slice = _ALL, *, complete: bool) -> Samples:  # noqa: ARG002  # all are kept
        """See `Segments`."""
        codec = self._codec
        count = math.prod(codec.shape)
        pixels_HWC = np.frombuffer(self._mapped(), codec.dtype, count, number * self._size)
        return pixels_HWC.reshape(codec.shape)[rows]

    def pending(self, numbers: list[int]) -> list[int]:
        """See `Segments`."""
        return [number for number in numbers if number not in self._done]

    def prepare(self, number: int) -> None:
        """See `Segments`."""
        # Differences are undone in place, so another thread must not decode the same segment: it waits.
        with self._turns.setdefault(number, threading.Lock()):
            if number in self._done:
                return
            self._codec.decode_into(number, self.get(number, complete=True), self.release)
            self._done.add(number)
            self.release()

    def release(self) -> None:
        """See `Segments`; the file keeps the written samples."""
        if self._map is not None:
            self._map.madvise(mmap.MADV_DONTNEED)

    def _mapped(self) -> mmap.mmap:
        with self._lock:
            if self._map is None:
                self._map = self._made()
            return self._map

    def _made(self) -> mmap.mmap:
        size = math.prod(self.page.grid) * self._size
        return scratch_map(self._codec.path, (self.page.height, self.page.width), size, self._folder)


def scratch_map(path: Path, shape: tuple[int, int], size: int, folder: Path | None) -> mmap.mmap:
    """Map a new file without a name, which disappears when the process ends.

    Args:
        path: of the image, for the message.
        shape: its rows and columns, for the message.
        size: of the new file, bytes.
        folder: where it is made; the system's temporary folder if None.

    Raises:
        KitError: there is no room for it.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as stream:
            # Reserve the space now: if the disk is full later, writing to a mapped page kills the
            # process.
            os.posix_fallocate(stream.fileno(), 0, size)
            return mmap.mmap(stream.fileno(), size)
    except OSError as error:
        raise KitError(
            f"no room to decode the {shape[0]} x {shape[1]} pixels of {path}: {error.strerror}",
            where=folder or tempfile.gettempdir(),
            fix=f"free {size / 2**30:.1f} GiB there or set TMPDIR to a larger disk",
        ) from error


class Plane:
    """Reads windows of a plane from its segments.

    Args:
        segments: the segments of the plane.

    Attributes:
        unit: rows and columns of the blocks that threads should read; a segment that is decoded is one block.
    """

    def __init__(self, segments: Segments) -> None:
        self.segments = segments
        self._rows, self._columns = segments.page.segment
        self.unit = segments.page.segment
        self._row_bytes = self._columns * segments.page.channels * (segments.page.bits // 8)
        if not isinstance(segments, DecodedSegments):
            self.unit = (min(self._rows, max(1, _BLOCK_BYTES // self._row_bytes)), self._columns)

    def touched(self, top: int, left: int, rows: int, columns: int) -> list[int]:
        """Return the numbers of the segments that a window touches."""
        across = self.segments.page.grid[1]
        return [
            down * across + right
            for down in range(top // self._rows, -(-(top + rows) // self._rows))
            for right in range(left // self._columns, -(-(left + columns) // self._columns))
        ]

    def stored(self) -> Iterator[tuple[int, int, int]]:
        """Yield first row, offset and bytes of the parts of the file in which the plane is stored."""
        page = self.segments.page
        for number in range(math.prod(page.grid)):
            top = number // page.grid[1] * self._rows
            offset, count = self.segments.stored(number)
            # Of a raw image in one strip, each block of rows is a part of its own.
            step = self.unit[0] * self._row_bytes if isinstance(self.segments, RawSegments) else count
            for block, begin in enumerate(range(0, count, step or 1)):
                yield top + block * self.unit[0], offset + begin, min(step, count - begin)

    def get(self, top: int, left: int, rows: int, columns: int) -> Samples:
        """Return a window within the plane, (rows, columns, channels) in the stored depth.

        Do not write to it. It is valid until this thread asks for the next window of the plane.

        Raises:
            KitError: it cannot be decoded.
        """
        page = self.segments.page
        numbers = self.touched(top, left, rows, columns)
        out: Samples | None = None
        for number in numbers:
            down, across = divmod(number, page.grid[1])
            y, x = down * self._rows, across * self._columns
            height, width = min(self._rows, page.height - y), min(self._columns, page.width - x)
            above, beside = max(top, y), max(left, x)
            below, right = min(top + rows, y + height), min(left + columns, x + width)
            complete = (below - above, right - beside) == (height, width)
            pixels = self.segments.get(number, slice(above - y, below - y), complete=complete)
            pixels = pixels[:, beside - x : right - x]
            if len(numbers) == 1:
                return pixels
            if out is None:
                out = np.empty((rows, columns, page.channels), pixels.dtype)
            out[above - top : below - top, beside - left : right - left] = pixels
        assert out is not None
        return out


def open_plane(
    file: OpenFile, page: Page, plane: int, *, keep: int, giant: int, scratch: Path | None
) -> Plane:
    """Choose the cheapest way to read one plane.

    Args:
        file: the open file.
        page: its tags.
        plane: which plane of a planar page; 0 otherwise.
        keep: bytes of decoded samples to keep for the next band.
        giant: compressed segments of this many decoded bytes or more go to a scratch file.
        scratch: folder of scratch files; the system's temporary folder if None.

    Raises:
        KitError: the library for the compression is missing, or the tags are damaged.
    """
    start = page.contiguous_from(plane)
    if start is not None:
        shape = (page.height, page.width)
        size = math.prod(shape) * page.channels * (page.bits // 8)
        one_strip = replace(page, segment=shape, tiled=False, offsets=(start,), byte_counts=(size,))
        return Plane(RawSegments(file, one_strip, 0))
    if (page.compression, page.predictor, page.fill_order) == (RAW, 1, 1):
        return Plane(RawSegments(file, page, plane))
    codec = Codec(file, page, plane)
    if math.prod(codec.shape) * codec.dtype.itemsize >= giant:
        return Plane(ScratchSegments(codec, scratch))
    return Plane(DecodedSegments(codec, keep))
