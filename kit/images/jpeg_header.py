"""Read the header of a JPEG with the standard library alone (ISO 10918-1, annex B)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from kit.artefacts import open_to_read
from kit.errors import KitError
from kit.images.exif import orientation_of
from kit.images.png_header import COPY_AGAIN, CodedHeader, require_plausible

_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""Markers of frame headers."""
_READ = {0xC0: "baseline", 0xC1: "extended", 0xC2: "progressive"}
"""Frames that the decoder reads: not lossless, hierarchical or arithmetic ones."""
_BARE = {0x01, *range(0xD0, 0xD9)}
"""Markers without a length."""
_SCAN, _END, _EXIF, _ADOBE = 0xDA, 0xD9, 0xE1, 0xEE
_LARGEST = 65_500
"""Rows or columns that libjpeg decodes; the format has 65,535."""
_BLOCK = 1 << 20
_RATIO = 1 << 15
"""Bytes of pixels that one stored byte can stand for; white takes very few."""
_TAIL = 1 << 16
_MOST_PASSED = 1 << 16


def read_jpeg_header(path: Path) -> CodedHeader:
    """Read the segments in front of the pixels, and look for the end of the picture.

    Raises:
        KitError: the file is cut short, damaged, or of a kind that the decoder does not read.
        OSError: it cannot be read.
    """
    frame: tuple[int, bytes] | None = None
    orientation, adobe = 1, None
    with open_to_read(path) as stream:
        for marker, data in _segments(path, stream):
            if marker in _FRAMES and frame is None:
                frame = marker, data
            elif marker == _EXIF and data.startswith(b"Exif\0\0"):
                orientation = orientation_of(data[6:])
            elif marker == _ADOBE and data.startswith(b"Adobe") and len(data) >= 12:
                adobe = data[11]
        if not _ends(stream, stream.tell()):
            raise KitError("JPEG is cut short: it has no end marker", where=path, fix=COPY_AGAIN)
    if frame is None or len(frame[1]) < 6:
        raise _damaged(path, "it does not tell its size")
    kind, data = frame
    bits, height, width, channels = struct.unpack(">BHHB", data[:6])
    _require_readable(path, kind, bits, channels)
    if not height or not width:
        raise _damaged(path, f"its header tells {height} x {width} pixels")
    if max(height, width) > _LARGEST:
        raise _other(path, f"more than {_LARGEST} pixels on a side ({height} x {width})")
    require_plausible(path, height * width * channels, path.stat().st_size * _RATIO)
    return CodedHeader(
        form="JPEG",
        height=height,
        width=width,
        channels=channels,
        bits=8,
        significant=8,
        interlaced=kind == 0xC2,
        colours="grey" if channels == 1 else "RGB" if adobe == 0 else "YCbCr",
        orientation=orientation,
    )


def _segments(path: Path, stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield marker and data of the segments in front of the pixels; the stream is left behind them."""
    stream.seek(2)
    while (marker := _next_marker(path, stream)) != _SCAN:
        if marker == _END:
            raise _damaged(path, "it has no pixels")
        if marker in _BARE:
            continue
        size = int.from_bytes(stream.read(2), "big") - 2
        data = stream.read(max(size, 0))
        if size < 0 or len(data) < size:
            raise KitError("JPEG is cut short in front of its pixels", where=path, fix=COPY_AGAIN)
        yield marker, data


def _require_readable(path: Path, kind: int, bits: int, channels: int) -> None:
    if kind not in _READ:
        raise _other(path, "lossless, hierarchical or arithmetic coding")
    if bits != 8:
        raise _other(path, f"samples of {bits} bits")
    if channels not in (1, 3):
        inks = {4: "CMYK or YCCK inks"}.get(channels, f"{channels} channels")
        raise KitError(
            f"image has {inks}, not RGB or grey",
            where=path,
            fix="convert it with its ink profile first, and every image in the same way, training and test",
        )


def _next_marker(path: Path, stream: BinaryIO) -> int:
    """Return the next marker; as libjpeg does, pass over bytes in front of it, and over any number of FF."""
    for _ in range(_MOST_PASSED):
        byte = stream.read(1)
        while byte == b"\xff":
            byte = stream.read(1)
            if byte not in (b"\xff", b"\0", b""):
                return byte[0]
        if not byte:
            raise KitError("JPEG is cut short in front of its pixels", where=path, fix=COPY_AGAIN)
    raise _damaged(path, "its segments do not follow one another")


def _ends(stream: BinaryIO, begin: int) -> bool:
    """Whether there is an end marker behind the pixels' first byte."""
    # It is nearly always in the last bytes. Phones append whole films, though: then look everywhere. A marker
    # of a thumbnail does not count, because that lies in front of the pixels.
    size = stream.seek(0, 2)
    stream.seek(max(begin, size - _TAIL))
    mark = bytes((0xFF, _END))
    if mark in stream.read():
        return True
    stream.seek(begin)
    last = b""
    while block := stream.read(_BLOCK):
        if mark in last + block:
            return True
        last = block[-1:]
    return False


def _damaged(path: Path, problem: str) -> KitError:
    return KitError(f"JPEG is damaged: {problem}", where=path, fix=COPY_AGAIN)


def _other(path: Path, what: str) -> KitError:
    return KitError(
        f"image is a JPEG with {what}, which the kit does not read",
        where=path,
        fix="convert it to PNG first, and every image in the same way, training and test",
    )
