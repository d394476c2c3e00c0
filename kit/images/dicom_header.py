"""Read what a DICOM file tells of its pixels with the standard library alone (DICOM PS3.5 and PS3.10).

A file is 128 bytes of anything, "DICM" and elements: group and number of a tag, two letters of its type (left
out where the transfer syntax says so), a length, and the value. Elements come in the order of their tags;
the pixels are the last one of interest.
"""

from __future__ import annotations

import io
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from kit.artefacts import open_to_read
from kit.errors import KitError
from kit.images.header import unreadable

COPY_AGAIN = "copy or download the file again and compare its size with the original"
_IMPLICIT, _DEFLATED, _BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"
RAW_SYNTAXES = (_IMPLICIT, "1.2.840.10008.1.2.1", _DEFLATED, _BIG)
"""Transfer syntaxes whose pixels are not compressed."""
CODECS = {
    "1.2.840.10008.1.2.4.50": ("JPEG baseline", "jpeg8_decode"),
    "1.2.840.10008.1.2.4.51": ("JPEG extended", "jpeg8_decode"),
    "1.2.840.10008.1.2.4.57": ("JPEG lossless", "ljpeg_decode"),
    "1.2.840.10008.1.2.4.70": ("JPEG lossless", "ljpeg_decode"),
    "1.2.840.10008.1.2.4.80": ("JPEG-LS", "jpegls_decode"),
    "1.2.840.10008.1.2.4.81": ("JPEG-LS", "jpegls_decode"),
    "1.2.840.10008.1.2.4.90": ("JPEG 2000", "jpeg2k_decode"),
    "1.2.840.10008.1.2.4.91": ("JPEG 2000", "jpeg2k_decode"),
    "1.2.840.10008.1.2.5": ("run lengths", ""),
}
"""Transfer syntax -> its name and imagecodecs' function; pydicom itself reads run lengths."""
_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
"""Types whose length has four bytes behind two unused ones."""
_UNDEFINED = 0xFFFFFFFF
_PIXELS, _FLOAT_PIXELS, _DOUBLE_PIXELS = 0x7FE00010, 0x7FE00008, 0x7FE00009
_ITEM, _END_OF_ITEM, _END_OF_SEQUENCE = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_MOST_BYTES, _MOST_ELEMENTS, _DEEPEST = 1 << 16, 100_000, 32
_COLOURS = {"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR"}
_GREYS = {"MONOCHROME1", "MONOCHROME2"}
_WANTED = {
    0x00020010: "syntax",
    0x00200013: "instance",
    0x00200032: "position",
    0x00200037: "axes",
    0x00280002: "samples",
    0x00280004: "colours",
    0x00280008: "frames",
    0x00280010: "height",
    0x00280011: "width",
    0x00280100: "bits",
    0x00280101: "stored",
    0x00280103: "signed",
    0x00281050: "window",
    0x00281051: "window width",
    0x00281053: "slope",
    0x00283010: "window table",
}
_SHORTS = {"samples", "height", "width", "bits", "stored", "signed"}


@dataclass(frozen=True)
class DicomHeader:
    """What a DICOM file tells of its pixels.

    Attributes:
        height: rows.
        width: columns.
        samples: of a pixel, 1 or 3.
        bits: that a stored sample takes: 8, 16 or 32 (64 for floats).
        stored: of them that carry values.
        kind: "uint", "int" or "float".
        colours: photometric interpretation, e.g. "MONOCHROME1".
        frames: pictures in the file.
        syntax: UID of the transfer syntax.
        window: whether it states a window, as two numbers or a table.
        instance: number within its series, None if it tells none.
        place: distance along the series' axis in mm, None if it tells none.
    """

    height: int
    width: int
    samples: int
    bits: int
    stored: int
    kind: str
    colours: str
    frames: int
    syntax: str
    window: bool
    instance: int | None
    place: float | None

    @property
    def grey(self) -> bool:
        """Whether a pixel has one sample that is no number of a colour."""
        return self.colours in _GREYS


def read_dicom_header(path: Path) -> DicomHeader:
    """Read the elements in front of the pixels.

    Raises:
        KitError: the file is missing, no DICOM, cut short, or has no pixels that the kit can read.
    """
    try:
        with open_to_read(path) as stream:
            found, kind, left = _elements(path, stream)
    except OSError as error:
        raise unreadable(path, error) from error
    except zlib.error as error:
        raise KitError(f"DICOM file cannot be inflated: {error}", where=path, fix=COPY_AGAIN) from error
    header = _header(path, found, kind)
    _check(path, header, left)
    return header


def ordered(paths: list[Path], by: str) -> list[Path]:
    """Return the files of a series in order.

    Args:
        paths: of the slices.
        by: "instance", or "position" along the axis that stands upright on the slices.

    Raises:
        KitError: a file does not tell it, or two tell the same.
    """
    places: dict[float, Path] = {}
    for path in paths:
        header = read_dicom_header(path)
        place = header.instance if by == "instance" else header.place
        if place is None:
            raise KitError(f"slice does not tell its {by}", where=path, fix='write slice_order = "name"')
        if place in places:
            raise KitError(
                f"slice has the same {by} as {places[place].name}",
                where=path,
                fix='write slice_order = "name"',
            )
        places[place] = path
    return [places[place] for place in sorted(places)]


def _elements(path: Path, stream: BinaryIO) -> tuple[dict[str, bytes], str, int | None]:
    """Return the wanted elements, the type of the samples and how many bytes the raw pixels have."""
    start = stream.read(132)
    found: dict[str, bytes] = {}
    syntax = ""
    if start[128:] == b"DICM":
        reader = _Reader(path, stream, explicit=True, order="little")
        while (tag := reader.peek()) is not None and tag >> 16 == 2:
            reader.take(found)
        syntax = _text(found.get("syntax", b""))
        stream.seek(reader.place)
    else:
        # Old files begin with their elements. The first two letters of a type tell whether there are types.
        stream.seek(0)
        syntax = RAW_SYNTAXES[1] if start[4:6].isalpha() and start[4:6].isupper() else _IMPLICIT
        if start[1:2] != b"\0" or start[:2] not in (b"\2\0", b"\x08\0"):
            raise KitError("image is no DICOM file", where=path, fix=COPY_AGAIN)
    found["syntax"] = syntax.encode()
    if syntax == _DEFLATED:
        stream = io.BufferedReader(io.BytesIO(zlib.decompress(stream.read(), -15)))
    order = "big" if syntax == _BIG else "little"
    reader = _Reader(path, stream, explicit=syntax != _IMPLICIT, order=order)
    for _ in range(_MOST_ELEMENTS):
        tag = reader.peek()
        if tag is None:
            raise KitError(
                "DICOM file has no pixels, or is cut short in front of them", where=path, fix=COPY_AGAIN
            )
        if tag in (_PIXELS, _FLOAT_PIXELS, _DOUBLE_PIXELS):
            length = reader.length_of_next()
            begin = stream.tell()
            left = stream.seek(0, 2) - begin
            kind = "uint" if tag == _PIXELS else "float"
            if kind == "float":
                found["bits"] = (32 if tag == _FLOAT_PIXELS else 64).to_bytes(2, reader.order)  # type: ignore[arg-type]
            swapped = {
                key: data[::-1] if order == "big" and key in _SHORTS else data for key, data in found.items()
            }
            return swapped, kind, None if length == _UNDEFINED else min(length, left)
        reader.take(found)
    raise KitError("DICOM file has too many elements", where=path, fix=COPY_AGAIN)


class _Reader:
    """Walks through the elements of a stream."""

    def __init__(self, path: Path, stream: BinaryIO, *, explicit: bool, order: str) -> None:
        self._path, self._stream, self._explicit, self.order = path, stream, explicit, order
        self.place = stream.tell()

    def peek(self) -> int | None:
        """Return the next tag, None at the end of the file."""
        self.place = self._stream.tell()
        data = self._stream.read(4)
        if len(data) < 4:
            return None
        self._stream.seek(self.place)
        return self._number(data[:2]) << 16 | self._number(data[2:])

    def length_of_next(self) -> int:
        """Pass over the next tag, and return the length of its value."""
        tag = self._number(self._read(2)) << 16 | self._number(self._read(2))
        if not self._explicit or tag >> 16 == 0xFFFE:
            return self._number(self._read(4))
        letters = self._read(2)
        if letters in _LONG:
            self._read(2)
            return self._number(self._read(4))
        return self._number(self._read(2))

    def take(self, found: dict[str, bytes]) -> None:
        """Keep the value of the next element if it is wanted, and pass over it."""
        tag = self.peek() or 0
        length = self.length_of_next()
        if length == _UNDEFINED:
            if tag in _WANTED:
                found[_WANTED[tag]] = b"there"
            self._pass_over_items(0)
        elif tag in _WANTED and length <= _MOST_BYTES:
            found[_WANTED[tag]] = self._read(length)
        else:
            if tag in _WANTED:
                found[_WANTED[tag]] = b"there"
            self._stream.seek(length, 1)

    def _pass_over_items(self, depth: int) -> None:
        """Pass over the items of a sequence of unknown length."""
        if depth > _DEEPEST:
            raise KitError(
                "DICOM file is damaged: its sequences do not end", where=self._path, fix=COPY_AGAIN
            )
        while (tag := self.peek()) is not None:
            length = self.length_of_next()
            if tag == _END_OF_SEQUENCE:
                return
            if length != _UNDEFINED:
                self._stream.seek(length, 1)
                continue
            # An item of unknown length: its elements follow, up to a mark.
            while (inner := self.peek()) is not None:
                length = self.length_of_next()
                if inner == _END_OF_ITEM:
                    break
                if length == _UNDEFINED:
                    self._pass_over_items(depth + 1)
                else:
                    self._stream.seek(length, 1)

    def _read(self, count: int) -> bytes:
        data = self._stream.read(count)
        if len(data) < count:
            raise KitError("DICOM file is cut short in front of its pixels", where=self._path, fix=COPY_AGAIN)
        return data

    def _number(self, data: bytes) -> int:
        return int.from_bytes(data, self.order)  # type: ignore[arg-type]


def _header(path: Path, found: dict[str, bytes], kind: str) -> DicomHeader:
    numbers = {key: int.from_bytes(found.get(key, b"")[:2], "little") for key in _SHORTS}
    if not numbers["height"] or not numbers["width"] or not numbers["bits"]:
        raise KitError("DICOM file does not tell the size of its image", where=path, fix=COPY_AGAIN)
    return DicomHeader(
        height=numbers["height"],
        width=numbers["width"],
        samples=numbers["samples"] or 1,
        bits=numbers["bits"],
        stored=min(numbers["stored"] or numbers["bits"], numbers["bits"]),
        kind="int" if kind == "uint" and numbers["signed"] else kind,
        colours=_text(found.get("colours", b"MONOCHROME2")),
        frames=int((_floats(found.get("frames", b"")) or [1.0])[0]),
        syntax=_text(found["syntax"]),
        window=_has_window(found),
        instance=next((int(number) for number in _floats(found.get("instance", b""))), None),
        place=_place(_floats(found.get("position", b"")), _floats(found.get("axes", b""))),
    )


def _has_window(found: dict[str, bytes]) -> bool:
    """Return whether there is a window: a centre and a width above 0, or a table."""
    centres, widths = (_floats(found.get(name, b"")) for name in ("window", "window width"))
    return bool(centres and widths and widths[0] > 0) or "window table" in found


def _check(path: Path, header: DicomHeader, left: int | None) -> None:
    """Refuse what is cut short, and pixels that the kit does not read."""
    if header.syntax not in (*RAW_SYNTAXES, *CODECS):
        raise KitError(
            f"image's transfer syntax is {header.syntax or 'missing'}, which the kit does not read",
            where=path,
            fix="decompress the files first, e.g. with `gdcmconv --raw OLD NEW`, or write them as PNG",
        )
    if header.syntax in RAW_SYNTAXES:
        halved = header.colours == "YBR_FULL_422"
        samples = 2 if halved else header.samples
        needed = header.height * header.width * samples * header.frames * header.bits // 8
        if left is not None and left < needed:
            raise KitError(
                f"DICOM file is cut short: its pixels have {left} bytes instead of {needed}",
                where=path,
                fix=COPY_AGAIN,
            )
    depths = (32, 64) if header.kind == "float" else (8, 16, 32)
    if header.bits not in depths:
        raise KitError(
            f"image holds samples of {header.bits} bits, which the kit does not read",
            where=path,
            fix="convert it",
        )
    if header.colours not in _GREYS | _COLOURS:
        raise KitError(
            f"image's photometric interpretation is {header.colours}, which is neither grey nor RGB",
            where=path,
            fix="convert it, and every image in the same way, training and test",
        )


def _place(position: list[float], axes: list[float]) -> float | None:
    """Return how far a slice lies along the axis that stands upright on it, in mm (PS3.3, C.7.6.2)."""
    if len(position) != 3 or len(axes) != 6:
        return None
    (a, b, c), (d, e, f) = axes[:3], axes[3:]
    upright = (b * f - c * e, c * d - a * f, a * e - b * d)
    return sum(one * other for one, other in zip(position, upright, strict=True))


def _floats(data: bytes) -> list[float]:
    """Return the numbers in a text divided by backslashes; empty if there are none."""
    try:
        numbers = [float(word) for word in _text(data).split("\\") if word]
    except ValueError:
        return []
    return numbers if all(map(math.isfinite, numbers)) else []


def _text(data: bytes) -> str:
    return data.decode("latin-1").strip(" \0")
