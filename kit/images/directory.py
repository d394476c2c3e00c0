"""Read the tags of a TIFF's pages with the standard library alone.

A TIFF begins with its byte order (II or MM), 42 (43 in a BigTIFF) and the offset of the first directory. A
directory is a count of tags, the tags, and the offset of the next directory, 0 after the last. (TIFF 6.0;
BigTIFF design, 2007.)
"""

from __future__ import annotations

import math
import struct
import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from kit.artefacts import read_at
from kit.errors import KitError

COPY_AGAIN = "copy or download the file again and compare its size with the original"
_NO_TIFF = "not a TIFF (its first bytes are of another kind of file)"
_CONVERT = "download it again; if it is a picture of another format, convert it to TIFF"
_MAX_PAGES = 10_000
_MAX_SIDE = 1 << 20
"""Rows or columns. The largest slides have 300,000."""
_MAX_SEGMENTS = 1 << 22
_SPARE_TAGS = 1 << 20
"""Bytes of tags that are read although the file is smaller: pages may share some."""
_MAX_TEXT = 4096
"""Bytes of a description that are read: an OME document is long and not needed."""
RAW = 1
"""TIFF's number for pixels that are not compressed."""
_SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
"""Type of a tag -> bytes of one value."""
_LETTERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
"""Type of a tag -> its letter for `array`, if it holds integers."""
_ASCII = 2
Tags = dict[int, tuple[int, int, bytes]]
"""Number of a tag -> its type, how many values, and the bytes of the values or of their offset."""


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
        byte_counts: stored size of each segment; 0 where it is not known (see `extents`), or was never
            written.
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
    offsets: Sequence[int]
    byte_counts: Sequence[int]
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

    @property
    def segments(self) -> int:
        """How many segments all planes have."""
        return math.prod(self.grid) * (self.samples if self.planar else 1)

    def stored(self, plane: int, number: int) -> tuple[int, int]:
        """Return offset and stored bytes of a segment of a plane; 0 bytes if it was never written."""
        place = plane * math.prod(self.grid) + number
        offset, count = self.offsets[place], self.byte_counts[place]
        return offset, count if offset else 0

    @property
    def kind(self) -> str:
        """What its segments are called in messages."""
        return "tile" if self.tiled else "strip"

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
    """Reads the image file directories of an open file, and the subdirectories of each.

    Args:
        path: for messages.
        handle: descriptor of the open file.
        size: of the file, bytes.

    Attributes:
        starts: where directories and the values of their tags begin.
        notes: what was passed over, one sentence each.
    """

    def __init__(self, path: Path, handle: int, size: int) -> None:
        self.path, self.handle, self.size = path, handle, size
        self.starts: set[int] = set()
        self.notes: list[str] = []
        self._left = size + _SPARE_TAGS
        start = read_at(handle, 16, 0)
        if size == 0:
            raise KitError("image is empty (0 bytes)", where=path, fix=COPY_AGAIN)
        order = {b"II": "<", b"MM": ">"}.get(start[:2])
        version = struct.unpack(order + "H", start[2:4])[0] if order and len(start) >= 8 else None
        if version not in (42, 43):
            raise KitError(_NO_TIFF, where=path, fix=_CONVERT)
        self.order: str = order or "<"
        self.big = version == 43
        if self.big and len(start) < 16:
            raise self._cut("its header")
        self.first = int.from_bytes(start[8:16] if self.big else start[4:8], self._byteorder)

    def pages(self) -> list[Page]:
        """Return every page of the file, each followed by its subdirectories.

        As libtiff does, this ends where what is listed next is no directory: some writers leave any number
        behind the last one.

        Raises:
            KitError: the tags are cut short or make no sense, or the file is much larger than its pages.
        """
        pages: list[Page] = []
        faulty: list[tuple[int, KitError]] = []
        following, below = self.first, list[int]()
        while (following or below) and len(pages) + len(faulty) < _MAX_PAGES:
            # All subdirectories are listed. Some writers chain them, too, which is ignored.
            in_chain = not below
            offset = following if in_chain else below.pop()
            following = 0 if in_chain else following
            tags: Tags = {}
            try:
                tags, after = self._tags(offset)
                following = after if in_chain and tags else following
                pages.append(self._page(len(pages), offset, tags))
                listed = self._values(tags[330]) if 330 in tags else ()
                below += [start for start in reversed(listed) if start]
            except KitError as error:
                if not pages:
                    raise
                faulty.append((self._area(tags), error))
        if not pages:
            raise KitError("TIFF holds no image", where=self.path, fix=COPY_AGAIN)
        self._pass_over(faulty, pages)
        return pages

    def _pass_over(self, faulty: list[tuple[int, KitError]], pages: list[Page]) -> None:
        """Note pages that cannot be read, or raise the error if one of them may be the image."""
        if not faulty:
            return
        # A file of 9 MB whose only readable page is a thumbnail of 20 kB was cut: the image was behind it.
        stored = sum(min(sum(page.byte_counts), self.size) for page in pages)
        area, error = max(faulty, key=lambda item: item[0])
        if area >= max(page.height * page.width for page in pages) or 2 * stored < self.size:
            raise error
        self.notes.append(
            f"its list of pages ends in what is no page, which is passed over ({error.problem})"
        )

    def _tags(self, offset: int) -> tuple[Tags, int]:
        """Return the tags of a directory, and the next one's offset."""
        # A tag has 12 bytes (20 in a BigTIFF): its number, a type, how many values, and the values, or their
        # offset if they need more than 4 bytes (8 in a BigTIFF):
        #
        #     00 01   03 00   01 00 00 00   61 00 00 00     256 ImageWidth, 16 bits, one value: 97
        #     11 01   04 00   05 00 00 00   20 03 00 00     273 StripOffsets, 32 bits, five values at byte 800
        count_size, entry, field = (8, 20, 8) if self.big else (2, 12, 4)
        if offset in self.starts:
            raise KitError("TIFF's list of pages runs in a circle", where=self.path, fix=COPY_AGAIN)
        count = int.from_bytes(self._at(offset, count_size), self._byteorder)
        body = self._at(offset + count_size, count * entry + field)
        tags: Tags = {}
        self.starts.add(offset)
        for start in range(0, count * entry, entry):
            number, kind = struct.unpack_from(self.order + "HH", body, start)
            values = int.from_bytes(body[start + 4 : start + 4 + field], self._byteorder)
            inline = body[start + 4 + field : start + entry]
            tags[number] = (kind, values, inline)
            if _SIZES.get(kind, 0) * values > field:
                self.starts.add(int.from_bytes(inline, self._byteorder))
        return tags, int.from_bytes(body[count * entry :], self._byteorder)

    def _area(self, tags: Tags) -> int:
        """Return how many pixels a page has that cannot be read; 0 if what was read is no page."""
        try:
            return math.prod(max(self._values(tags[number]), default=0) for number in (256, 257))
        except (KeyError, KitError):
            return 0

    def _page(self, index: int, offset: int, tags: Tags) -> Page:
        def values(*numbers: int) -> Sequence[int]:
            found = (self._values(tags[number]) for number in numbers if number in tags)
            return next(filter(len, found), ())

        def value(number: int, default: int) -> int:
            return (values(number) or (default,))[0]

        height, width, samples = value(257, 0), value(256, 0), value(277, 1)
        bits, named = max(values(258), default=1), self._text(tags[42113]).strip() if 42113 in tags else ""
        nodata = int(named) if named.isdecimal() else 0
        # Some writers list tiles under the tags of strips (273, 279). As libtiff does, go by the tiles' size.
        tiled = not tags.keys().isdisjoint((322, 323)) or (324 in tags and 278 not in tags)
        segment = (value(323, 0), value(322, 0)) if tiled else (min(value(278, 0) or height, height), width)
        if min(height, width, samples, *segment) < 1:
            raise KitError(f"page {index} of the TIFF has no size", where=self.path, fix=COPY_AGAIN)
        offsets = values(324, 273) if tiled else values(273, 324)
        counts = values(325, 279) if tiled else values(279, 325)
        page = Page(
            index=index,
            offset=offset,
            height=height,
            width=width,
            bits=bits,
            samples=samples,
            sample_format=max(values(339), default=1),
            compression=value(259, RAW),
            photometric=value(262, 1),
            planar=value(284, 1) == 2 and samples > 1,
            predictor=value(317, 1) if value(259, RAW) != RAW else 1,
            fill_order=value(266, 1),
            orientation=value(274, 1),
            reduced=bool(value(254, 0) & 1) or value(255, 1) == 2,
            segment=segment,
            tiled=tiled,
            offsets=offsets,
            byte_counts=counts,
            largest_sample=max([*values(281), *values(341)], default=0) or None,
            unwritten=nodata if nodata.bit_length() <= bits else 0,
            description=self._text(tags[270]) if 270 in tags else "",
        )
        if max(height, width, *segment) > _MAX_SIDE:
            problem = f"page {index} says that it has {height} x {width} pixels in {page.kind}s of "
            problem += f"{segment[0]} x {segment[1]}: the tags are damaged"
            raise KitError(problem, where=self.path, fix=COPY_AGAIN)
        if len(offsets) < page.segments or page.segments > _MAX_SEGMENTS:
            raise KitError(
                f"page {index} lists {len(offsets)} pieces of pixels, its size needs {page.segments}",
                where=self.path,
                fix=COPY_AGAIN,
            )
        missing = page.segments - len(counts)
        return replace(page, byte_counts=[*counts, *[0] * missing]) if missing > 0 else page

    def _values(self, tag: tuple[int, int, bytes]) -> Sequence[int]:
        """Return the natural numbers of a tag; none for other types, or if one is negative."""
        kind, count, inline = tag
        if kind not in _LETTERS:
            return ()
        length = _SIZES[kind] * count
        data = inline
        if length > len(inline):
            data = self._at(int.from_bytes(inline, self._byteorder), length)
        found = array(_LETTERS[kind], data[:length])
        if self._byteorder != sys.byteorder:
            found.byteswap()
        return found if found.typecode.isupper() or min(found, default=0) >= 0 else ()

    def _text(self, tag: tuple[int, int, bytes]) -> str:
        """Return the beginning of a tag's text; empty for other types."""
        kind, count, inline = tag
        if kind != _ASCII:
            return ""
        data = inline[:count]
        if count > len(inline):
            data = self._at(int.from_bytes(inline, self._byteorder), min(count, _MAX_TEXT))
        return data.split(b"\0")[0].decode("latin-1")

    def _at(self, offset: int, length: int) -> bytes:
        self._left -= length
        if offset + length > self.size or self._left < 0:
            raise self._cut("its tags")
        data = read_at(self.handle, length, offset)
        if len(data) < length:  # it was cut after it was opened
            raise self._cut("its tags")
        return data

    @property
    def _byteorder(self) -> Literal["little", "big"]:
        return "little" if self.order == "<" else "big"

    def _cut(self, what: str) -> KitError:
        return KitError(f"TIFF is cut short: it ends within {what}", where=self.path, fix=COPY_AGAIN)
