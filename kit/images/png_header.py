"""Read the header of a PNG with the standard library alone (PNG specification, third edition).

A PNG is 8 bytes and then chunks: 4 bytes of length, 4 of a name, the data, 4 of a checksum. The first chunk
is IHDR, the last one IEND.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from kit.artefacts import open_to_read
from kit.errors import KitError
from kit.images.exif import orientation_of

COPY_AGAIN = "copy or download the file again and compare its size with the original"
_SIGNATURE = 8
_END = b"IEND\xaeB`\x82"
"""Name and checksum of the last chunk."""
_TAIL = 1 << 16
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_PALETTE, _COLOUR, _ALPHA = 3, 2, 4
_RATIO = 1040
"""Most bytes that deflate makes of one, rounded up."""
_SMALL = 64 << 20
_MOST_EXIF = 1 << 20
_MOST_CHUNKS = 10_000


@dataclass(frozen=True)
class CodedHeader:
    """What the header of a PNG or JPEG tells.

    Attributes:
        form: "PNG" or "JPEG".
        height: rows, as stored.
        width: columns, as stored.
        channels: samples of a decoded pixel: 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha (or CMYK).
        bits: of a stored sample.
        significant: bits that the file says its samples have; `bits` if it says nothing.
        palette: samples are numbers of colours.
        transparent: the file names a colour that is transparent.
        interlaced: its rows come in several turns, or a JPEG's detail in several scans.
        colours: colour space in words.
        orientation: of EXIF, 1 if it says none.
        frames: pictures that an animated PNG has; 1 for others.
    """

    form: str
    height: int
    width: int
    channels: int
    bits: int
    significant: int
    palette: bool = False
    transparent: bool = False
    interlaced: bool = False
    colours: str = "RGB"
    orientation: int = 1
    frames: int = 1


def read_png_header(path: Path) -> CodedHeader:
    """Read the chunks in front of the pixels, and look for the end of the file.

    Raises:
        KitError: the file is cut short or its header is damaged.
        OSError: it cannot be read.
    """
    with open_to_read(path) as stream:
        stream.seek(_SIGNATURE)
        length, name = _chunk(path, stream.read(8))
        data, check = stream.read(length if length == 13 else 0), stream.read(4)
        if name != b"IHDR" or len(data) != 13 or len(check) != 4:
            raise _damaged(path, "its header is missing or cut short")
        if zlib.crc32(name + data) != int.from_bytes(check, "big"):
            raise _damaged(path, "the checksum of its header is wrong")
        width, height, bits, kind, _, _, interlace = struct.unpack(">IIBBBBB", data)
        if not 0 < height < 1 << 31 or not 0 < width < 1 << 31 or bits not in _DEPTHS.get(kind, ()):
            raise _damaged(
                path, f"its header makes no sense ({height} x {width} pixels, type {kind}, {bits} bits)"
            )
        more = {b"sBIT": b"", b"tRNS": b"", b"eXIf": b"", b"acTL": b""}
        for _ in range(_MOST_CHUNKS):
            length, name = _chunk(path, stream.read(8))
            if name in (b"IDAT", b"IEND"):
                break
            if name in more and length <= _MOST_EXIF:
                more[name] = stream.read(length)
                length = 0
            stream.seek(length + 4, 1)
        if name != b"IDAT":
            raise _damaged(path, "it has no pixels")
        begin = stream.tell()
        end = stream.seek(0, 2)
        stream.seek(max(begin, end - _TAIL))
        if _END not in stream.read():
            raise KitError(
                f"PNG is cut short: it has {end} bytes and no end (its IEND chunk)",
                where=path,
                fix=COPY_AGAIN,
            )
    grey = kind in (0, 4)
    require_plausible(path, height * width * _CHANNELS[kind] * bits // 8, end * _RATIO)
    return CodedHeader(
        form="PNG",
        height=height,
        width=width,
        channels=3 if kind == _PALETTE else _CHANNELS[kind],
        bits=bits,
        significant=_significant(more[b"sBIT"], kind, bits),
        palette=kind == _PALETTE,
        transparent=bool(more[b"tRNS"]),
        interlaced=bool(interlace),
        colours="palette" if kind == _PALETTE else "grey" if grey else "RGB",
        orientation=orientation_of(more[b"eXIf"]),
        frames=max(1, int.from_bytes(more[b"acTL"][:4], "big")),
    )


def require_plausible(path: Path, needed: int, limit: int) -> None:
    """Refuse a size that no stored bytes can make, before memory or a scratch file is made for it.

    Args:
        path: of the image.
        needed: bytes of its samples.
        limit: most that a decoder can make of the file.

    Raises:
        KitError: they are more.
    """
    if needed > max(limit, _SMALL):
        raise KitError(
            f"the file cannot hold the {needed} bytes of pixels that its header tells: it is damaged",
            where=path,
            fix=COPY_AGAIN,
        )


def _significant(told: bytes, kind: int, bits: int) -> int:
    """Return the bits that the chunk sBIT tells of the colours; it need not be there."""
    # sBIT of a 16-bit grey image from a 12-bit camera is one byte, 12. PNG says that such samples are scaled
    # to the full 16 bits when they are written, so this is a remark and changes no value.
    if kind == _PALETTE or not told:
        return bits
    return min(max(told[: 3 if kind & _COLOUR else 1]), bits) or bits


def _chunk(path: Path, start: bytes) -> tuple[int, bytes]:
    if len(start) < 8:
        raise KitError("PNG is cut short in front of its pixels", where=path, fix=COPY_AGAIN)
    return int.from_bytes(start[:4], "big"), start[4:]


def _damaged(path: Path, problem: str) -> KitError:
    return KitError(f"PNG is damaged: {problem}", where=path, fix=COPY_AGAIN)
