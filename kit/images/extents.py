"""Check where strips and tiles lie in a file, and find sizes that the file does not say, or says wrong."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace

from kit.errors import KitError
from kit.images.directory import COPY_AGAIN, RAW, Directory, Page

MOST = {5: 3000, 8: 1040, 32773: 64, 32946: 1040}
"""TIFF's compression -> most decoded bytes per stored byte, rounded up."""
_MOST_OF_OTHERS = 1 << 15
_LARGE = 64 << 20
"""A segment of a codec without such a limit may have any ratio up to this size: white takes no bytes."""
_LEAST = {RAW: 1, 32773: 2}
_LEAST_OF_OTHERS = 4
"""Stored bytes that the smallest segment needs."""
_HEADERS = 1 << 16
"""Most bytes that a codec adds to twice the pixels."""
_YCBCR = 6


def mended(directory: Directory, page: Page) -> Page:
    """Return a page whose segments all lie within the file; what was assumed becomes a note of the directory.

    A segment with neither place nor size was never written (GDAL); nor was one without a size whose place is
    that of something else (Aperio).

    Raises:
        KitError: the file is cut short, or the tags are damaged.
    """
    # Three strips of 600 raw bytes begin at the bytes 8, 608 and 1208 of a file of 1900. Their sizes should
    # be 600, but the file says 0, 1 and 9999. All are taken as 600. Compressed ones are taken to reach up to
    # the next strip, tag or end: 600, 600 and 692 bytes; a decoder stops where its data ends.
    size = directory.size
    raw = page.compression == RAW and page.bits in (8, 16) and page.photometric != _YCBCR
    row_bytes = page.segment[1] * page.channels * page.bits // 8
    full, down = page.segment[0] * row_bytes, page.grid[0]
    last = full if page.tiled else (page.height - (down - 1) * page.segment[0]) * row_bytes
    counts = list(page.byte_counts[: page.segments])
    places = page.offsets[: page.segments]
    taken = {offset for offset, count in zip(places, counts, strict=True) if count}
    taken |= directory.starts | {size}
    ends = sorted(place for place in taken.union(places) if place <= size)
    least = _LEAST.get(page.compression, _LEAST_OF_OTHERS)
    ratio, guessed = MOST.get(page.compression, 0), 0
    for number, (offset, count) in enumerate(zip(places, counts, strict=True)):
        if not count and (not offset or offset in taken):
            continue
        if not offset:
            raise _damaged(directory, page, number, f"has {count} bytes at no place (its offset is 0)")
        needed = last if number % down == down - 1 else full
        beyond = offset + count > size
        small = count < (needed if raw else least) or count * ratio < needed * bool(ratio)
        if not small and not (beyond and (raw or count > 2 * needed + _HEADERS)):
            continue
        room = ends[min(bisect_right(ends, offset), len(ends) - 1)] - offset
        if raw and 0 < room < min(needed, size - offset):
            raise _damaged(directory, page, number, f"holds {room} bytes instead of {needed}")
        counts[number] = needed if raw else room if room > 0 else max(count, 1)
        guessed += 1
    if guessed:
        directory.notes.append(
            f"the file does not say the right size of {guessed} of its {len(counts)} {page.kind}s: "
            + ("it is taken from the image's size" if raw else "each is read up to where other data begins")
        )
    ended = [offset + count for offset, count in zip(places, counts, strict=True)]
    end, number = max(zip(ended, range(len(ended)), strict=True))
    if end > size:
        raise KitError(
            f"TIFF is cut short: it has {size} bytes, {page.kind} {number} of its pixels should end at byte "
            f"{end}",
            where=directory.path,
            fix=COPY_AGAIN,
        )
    return replace(page, byte_counts=counts)


def require_plausible(directory: Directory, page: Page) -> None:
    """Refuse sizes that no stored bytes can make, before memory or a scratch file is made for them.

    A page of 8-bit RGB whose largest LZW strip has 5,000 bytes: they make 5,000 * 3,000 bytes at most. If its
    tags say 60,000 x 65,000 pixels in one strip (11.7 GB), they are damaged.

    Raises:
        KitError: a segment is larger than all that the compression could make of the largest stored one.
    """
    rows, columns = page.segment
    largest = max(page.byte_counts)
    needed = rows * columns * page.channels * (page.bits // 8)
    limit = largest * MOST.get(page.compression, 0) or max(largest * _MOST_OF_OTHERS, _LARGE)
    if largest and needed > limit:
        raise KitError(
            f"no {page.kind} of at most {largest} stored bytes can hold its {rows} x {columns} pixels: "
            "the tags are damaged",
            where=directory.path,
            fix=COPY_AGAIN,
        )


def _damaged(directory: Directory, page: Page, number: int, problem: str) -> KitError:
    return KitError(
        f"{page.kind} {number} cannot be decoded: it {problem}", where=directory.path, fix=COPY_AGAIN
    )
