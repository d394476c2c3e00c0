"""Read PNG and JPEG files: grey, RGB, with a palette or alpha, of 1 to 16 bits, interlaced or progressive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.artefacts import open_to_read
from kit.errors import KitError
from kit.images.any_reading import AnyReading
from kit.images.header import unreadable
from kit.images.intensity_rule import require_for
from kit.images.jpeg_header import read_jpeg_header
from kit.images.png_header import COPY_AGAIN, CodedHeader, read_png_header
from kit.images.reading import Facts

if TYPE_CHECKING:
    from kit.images.whole_image import WholeImage

_START_OF_PNG = b"\x89PNG"
_SWAPPED = 5
"""EXIF's orientations from this one on have rows in place of columns."""


def facts(path: Path, reading: AnyReading) -> Facts:
    """Return size and notes of a file; see `kit.images.image_protocols.Reading.facts`."""
    header = _header(path)
    _require_rule(path, header, reading)
    height, width = header.height, header.width
    if reading.orientation == "exif" and header.orientation >= _SWAPPED:
        height, width = width, height
    return Facts(height, width, _notes(path, header, reading))


def open_image(path: Path, reading: AnyReading, *, scratch: Path | None = None) -> WholeImage:
    """Decode a file; see `kit.images.image_protocols.Reading.open`.

    Its compressed bytes are in memory while it is decoded. The samples of a large image go to a scratch file:
    a PNG of 30,000 x 30,000 RGB pixels needs 2.7 GB there.
    """
    from kit.images.levels import SampleType  # these need numpy
    from kit.images.whole_image import WholeImage, room_for

    header = _header(path)
    _require_rule(path, header, reading)
    bits = 8 if header.palette else header.bits
    # The decoder expands samples of 1, 2 and 4 bits to 8 itself.
    kind = SampleType(bits=max(bits, 8))
    decoded = room_for(path, (header.height, header.width, _channels(header)), kind.dtype, scratch=scratch)
    _decode(path, header, decoded.samples)
    turned = _turn(header.orientation) if reading.orientation == "exif" else None
    notes = _notes(path, header, reading)
    return WholeImage(decoded, kind, reading.intensity, inverted=False, notes=notes, turned=turned)


def _header(path: Path) -> CodedHeader:
    try:
        with open_to_read(path) as stream:
            png = stream.read(len(_START_OF_PNG)) == _START_OF_PNG
        return read_png_header(path) if png else read_jpeg_header(path)
    except OSError as error:
        raise unreadable(path, error) from error


def _require_rule(path: Path, header: CodedHeader, reading: AnyReading) -> None:
    bits = 8 if header.palette else header.bits
    require_for(path, reading.intensity, bits=bits, colour=header.channels >= 3)


def _channels(header: CodedHeader) -> int:
    """Return the channels that the decoder makes: a transparent colour becomes alpha."""
    return header.channels + (header.transparent and header.channels in (1, 3))


def _decode(path: Path, header: CodedHeader, out_HWC: Any) -> None:
    """Decode a file into an array of its shape."""
    try:
        import imagecodecs
    except ImportError as error:
        raise KitError(
            f"imagecodecs is needed for {header.form} files: {error}",
            where=path,
            fix="python -m pip install imagecodecs",
        ) from error
    try:
        with open_to_read(path) as stream:
            data = stream.read()
        out = out_HWC if out_HWC.shape[2] > 1 else out_HWC[:, :, 0]
        if header.form == "PNG":
            imagecodecs.png_decode(data, out=out)
        else:
            imagecodecs.jpeg8_decode(data, outcolorspace="gray" if header.channels == 1 else "rgb", out=out)
    except OSError as error:
        raise unreadable(path, error) from error
    except Exception as error:  # imagecodecs has classes of its own
        raise KitError(f"{header.form} cannot be decoded: {error}", where=path, fix=COPY_AGAIN) from error


def _turn(orientation: int) -> Any:
    """Return what turns an array of samples the right side up.

    EXIF's number tells which side of the picture the first row and the first column are: 6 is "right, top",
    so that the picture is turned by 90 degrees to the right.
    """
    turns: dict[int, Any] = {
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: a.transpose(1, 0, 2)[:, ::-1],
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: a.transpose(1, 0, 2)[::-1],
    }
    return turns.get(orientation)


def _notes(path: Path, header: CodedHeader, reading: AnyReading) -> tuple[str, ...]:
    notes = []
    named = path.suffix.lower().lstrip(".").replace("jpg", "jpeg")
    if named in ("png", "jpeg", "tif", "tiff", "dcm", "dicom") and named != header.form.lower():
        notes.append(f"it is a {header.form} although its name ends with {path.suffix}")
    if header.channels < 3:
        notes.append("it is grey: red, green and blue are the same")
    if header.palette:
        notes.append("the colours of its palette are taken")
    if header.channels in (2, 4) or header.transparent:
        notes.append("its transparency (alpha) is left out")
    if header.bits < 8 and not header.palette:
        notes.append(f"its samples of {header.bits} bits are stretched to 0..255")
    if header.significant < header.bits and not header.palette:
        notes.append(f"it says that {header.significant} of its {header.bits} bits are significant")
    if header.frames > 1:
        notes.append(f"the first of its {header.frames} pictures is read")
    if header.orientation != 1:
        done = "the image is turned" if reading.orientation == "exif" else "rows and columns stay as stored"
        notes.append(f"its EXIF orientation is {header.orientation}: {done}")
    return tuple(notes)
