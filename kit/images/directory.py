"""Read the tags of a TIFF's pages with the standard library alone.

A TIFF begins with its byte order (II or MM), 42 (43 in a BigTIFF) and the offset of the first directory. A
directory is a count of tags, the tags, and the offset of the next directory, 0 after the last. (TIFF 6.0;
BigTIFF design, 2007.)
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Literal

from kit.errors import KitError

COPY_AGAIN = "copy or download the file again and compare its size with the original"

_MAX_PAGES = 10_000
_MAX_TEXT = 4096
"""Bytes of a description that are read: an OME document is long and not needed."""
RAW = 1
"""TIFF's number for pixels that are not compressed."""
_SIZES = {1: 1, 3: 2, 4: 4, 13: 4, 16: 8, 18: 8}
"""Type of a tag -> bytes of one value."""
_LETTERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
"""Type of a tag -> its letter for `struct`."""
_ASCII = 2


@dataclass(frozen=True)
class Page:
    """One image file directory; names as in TIFF 6.0.

    Attributes:
        index: place in the file, from 0; subdirectories (SubIFDs) come right after their parent.
        offset: where its directory starts, bytes.
        height: rows.
        width: columns.
        bits: bits a sample (the largest of them).
        samples: samples a pixel, alpha included.
        sample_format: 1 unsigned, 2 signed, 3 floating point.
        compression: TIFF's number.
        photometric: TIFF's number.
        planar: each sample lies in a plane of its own.
        predictor: 1 none, 2 horizontal differences, 3 floating point; raw pixels have none.
        fill_order: 1 unless the bits of each byte are reversed.
        orientation: which corner the first row and column are at; 1 is the upper left one.
        reduced: a smaller copy of another page, as the file says.
        segment: (rows, columns) of a strip or tile.
        tiled: segments are tiles.
        offsets: where each segment starts, bytes; 0 where it was never written.
        byte_counts: stored size of each segment.
        largest_sample: what the file says no sample exceeds, None if it says nothing.
        unwritten: value of all samples in segments that were never written (GDAL's nodata, if it is one
            that samples can have).
        description: its first characters.
    """

    index: int
    offset: int
    height: int
    width: int
    bits: int
    samples: int
    sample_format: int
    compression: int
    photometric: int
    planar: bool
    predictor: int
    fill_order: int
    orientation: int
    reduced: bool
    segment: tuple[int, int]
    tiled: bool
    offsets: tuple[int, ...]
    byte_counts: tuple[int, ...]
    largest_sample: int | None
    unwritten: int
    description: str

    @property
    def grid(self) -> tuple[int, int]:
        """How many segments a plane has, down and across."""
        return -(-self.height // self.segment[0]), -(-self.width // self.segment[1])

    @property
    def channels(self) -> int:
        """Samples of a pixel that lie together in a plane."""
        return 1 if self.planar else self.samples

    def contiguous_from(self, plane: int) -> int | None:
        """Return where a plane starts in the file, if its rows lie there one after another, else None.

        Args:
            plane: 0 unless the page is planar.
        """
        down, across = self.grid
        if (self.compression, self.predictor, self.fill_order) != (RAW, 1, 1):
            return None
        if across > 1 or self.segment[1] != self.width:
            return None
        expected = first = self.offsets[plane * down]
        row_bytes = self.width * self.channels * (self.bits // 8)
        for number in range(down):
            rows = min(self.segment[0], self.height - number * self.segment[0])
            here, stored = self.offsets[plane * down + number], self.byte_counts[plane * down + number]
            if here != expected or expected == 0 or stored < rows * row_bytes:
                return None
            expected += self.segment[0] * row_bytes
        return first


class Directory:
    """Reads the image file directories of an open file, and the subdirectories of each."""

    def __init__(self, path: Path, stream: BinaryIO, size: int) -> None:
        self.path, self.stream, self.size = path, stream, size
        start = stream.read(16)
        if size == 0:
            raise KitError("image is empty (0 bytes)", where=path, fix=COPY_AGAIN)
        order = {b"II": "<", b"MM": ">"}.get(start[:2])
        version = struct.unpack(order + "H", start[2:4])[0] if order and len(start) >= 8 else None
        if version not in (42, 43):
            raise KitError("not a TIFF (its first bytes are of another kind of file)", where=path)
        self.order: str = order or "<"
        self.big = version == 43
        if self.big and len(start) < 16:
            raise self._cut("its header")
        self.first = int.from_bytes(start[8:16] if self.big else start[4:8], self._byteorder)

    def pages(self) -> list[Page]:
        """Return every page of the file, each followed by its subdirectories.

        Raises:
            KitError: the tags are cut short or make no sense.
        """
        pages: list[Page] = []
        seen: set[int] = set()
        following, below = self.first, list[int]()
        while (following or below) and len(pages) < _MAX_PAGES:
            offset = below[-1] if below else following
            if offset in seen:
                raise KitError("TIFF's list of pages runs in a circle", where=self.path, fix=COPY_AGAIN)
            seen.add(offset)
            tags, after = self._tags(offset)
            pages.append(self._page(len(pages), offset, tags))
            if below:
                # All subdirectories are listed. Some writers chain them, too, which is ignored.
                below.pop()
            else:
                following = after
            listed = self._values(tags[330]) if 330 in tags else ()
            below += [start for start in reversed(listed) if start]
        if not pages:
            raise KitError("TIFF holds no image", where=self.path, fix=COPY_AGAIN)
        return pages

    def _tags(self, offset: int) -> tuple[dict[int, tuple[int, int, bytes]], int]:
        """Return tag number -> (type, count, bytes of value or offset), and the next directory's offset."""
        # A tag has 12 bytes (20 in a BigTIFF): its number, a type, how many values, and the values, or their
        # offset if they need more than 4 bytes (8 in a BigTIFF):
        #
        #     00 01   03 00   01 00 00 00   61 00 00 00     256 ImageWidth, 16 bits, one value: 97
        #     11 01   04 00   05 00 00 00   20 03 00 00     273 StripOffsets, 32 bits, five values at byte 800
        count_size, entry, field = (8, 20, 8) if self.big else (2, 12, 4)
        count = int.from_bytes(self._at(offset, count_size), self._byteorder)
        body = self._at(offset + count_size, count * entry + field)
        tags = {}
        for start in range(0, count * entry, entry):
            number, kind = struct.unpack_from(self.order + "HH", body, start)
            values = int.from_bytes(body[start + 4 : start + 4 + field], self._byteorder)
            tags[number] = (kind, values, body[start + 4 + field : start + entry])
        return tags, int.from_bytes(body[count * entry :], self._byteorder)

    def _page(self, index: int, offset: int, tags: dict[int, tuple[int, int, bytes]]) -> Page:
        def values(number: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
            return self._values(tags[number]) if number in tags else default

        def value(number: int, default: int) -> int:
            return (values(number) or (default,))[0]

        height, width, samples = value(257, 0), value(256, 0), value(277, 1)
        compression, tiled = value(259, RAW), 324 in tags
        bits, nodata = max(values(258), default=1), self._nodata(tags)
        segment = (value(323, 0), value(322, 0)) if tiled else (min(value(278, height), height), width)
        if min(height, width, samples, *segment) < 1:
            raise KitError(f"page {index} of the TIFF has no size", where=self.path, fix=COPY_AGAIN)
        page = Page(
            index=index,
            offset=offset,
            height=height,
            width=width,
            bits=bits,
            samples=samples,
            sample_format=max(values(339), default=1),
            compression=compression,
            photometric=value(262, 1),
            planar=value(284, 1) == 2 and samples > 1,
            predictor=value(317, 1) if compression != RAW else 1,
            fill_order=value(266, 1),
            orientation=value(274, 1),
            reduced=bool(value(254, 0) & 1) or value(255, 1) == 2,
            segment=segment,
            tiled=tiled,
            offsets=values(324 if tiled else 273),
            byte_counts=values(325 if tiled else 279),
            largest_sample=max(values(281) + values(341), default=None),
            unwritten=nodata if nodata.bit_length() <= bits else 0,
            description=self._text(tags[270]) if 270 in tags else "",
        )
        segments = math.prod(page.grid) * (samples if page.planar else 1)
        if not page.byte_counts and not tiled and page.compression == RAW:
            # Old writers leave out the stored sizes of raw strips: they follow from the image's size.
            row_bytes, strips = width * page.channels * page.bits // 8, page.grid[0]
            rows = [min(segment[0], height - number % strips * segment[0]) for number in range(segments)]
            page = replace(page, byte_counts=tuple(count * row_bytes for count in rows))
        if len(page.offsets) < segments or len(page.byte_counts) < segments:
            raise KitError(
                f"page {index} lists {len(page.offsets)} pieces of pixels, its size needs {segments}",
                where=self.path,
                fix=COPY_AGAIN,
            )
        return page

    def _values(self, tag: tuple[int, int, bytes]) -> tuple[int, ...]:
        """Return the integers of a tag; none for other types."""
        kind, count, inline = tag
        if kind not in _LETTERS:
            return ()
        length = _SIZES[kind] * count
        data = inline
        if length > len(inline):
            data = self._at(int.from_bytes(inline, self._byteorder), length)
        return struct.unpack(f"{self.order}{count}{_LETTERS[kind]}", data[:length])

    def _text(self, tag: tuple[int, int, bytes]) -> str:
        """Return the beginning of a tag's text; empty for other types."""
        kind, count, inline = tag
        if kind != _ASCII:
            return ""
        data = inline[:count]
        if count > len(inline):
            data = self._at(int.from_bytes(inline, self._byteorder), min(count, _MAX_TEXT))
        return data.split(b"\0")[0].decode("latin-1")

    def _nodata(self, tags: dict[int, tuple[int, int, bytes]]) -> int:
        text = self._text(tags[42113]).strip() if 42113 in tags else ""
        return int(text) if text.isdecimal() else 0

    def _at(self, offset: int, length: int) -> bytes:
        if offset + length > self.size:
            raise self._cut("its tags")
        self.stream.seek(offset)
        return self.stream.read(length)

    @property
    def _byteorder(self) -> Literal["little", "big"]:
        return "little" if self.order == "<" else "big"

    def _cut(self, what: str) -> KitError:
        return KitError(f"TIFF is cut short: it ends within {what}", where=self.path, fix=COPY_AGAIN)
