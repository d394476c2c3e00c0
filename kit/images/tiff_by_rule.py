"""Read TIFFs that are grey, or hold integers or floats of up to 32 bits, by the rule of the definition."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kit.errors import KitError
from kit.images.any_reading import AnyReading
from kit.images.header import TiffHeader, read_header, require_rgb8
from kit.images.intensity_rule import require_for
from kit.images.reading import Facts

if TYPE_CHECKING:
    from kit.images.image_protocols import OpenImage
    from kit.images.ruled_slide import RuledSlide

_BITS = {"uint": (8, 16, 32), "int": (8, 16, 32), "float": (16, 32, 64)}
_FLOATING_PREDICTOR = 3


def facts(path: Path, reading: AnyReading) -> Facts:
    """Return size and notes of a file; see `kit.images.image_protocols.Reading.facts`."""
    header = read_header(path)
    return Facts(header.height, header.width, tuple(_checked(header, reading)))


def open_image(path: Path, reading: AnyReading, *, scratch: Path | None = None) -> OpenImage:
    """Open a file; see `kit.images.image_protocols.Reading.open`."""
    from kit.images.slide import open_slide  # needs numpy

    if reading.intensity is None:
        return open_slide(path, scratch=scratch)
    from kit.images import ruled_slide

    header = read_header(path)
    opened: RuledSlide = ruled_slide.open_ruled(
        header,
        _checked(header, reading),
        reading.intensity,
        inverted=_inverted(header, reading),
        scratch=scratch,
    )
    return opened


def _checked(header: TiffHeader, reading: AnyReading) -> list[str]:
    """Return what is left out, cut or assumed.

    Raises:
        KitError: the pixels cannot become 8-bit RGB.
    """
    if reading.intensity is None:
        return require_rgb8(header)
    require_for(
        header.path,
        reading.intensity,
        bits=header.bits,
        kind=header.sample_format,
        colour=header.channels >= 3,
    )
    wrong = _unusable(header)
    if wrong:
        raise KitError(
            wrong,
            where=header.path,
            fix="convert it to grey or RGB of 8, 16 or 32 bits, and so every image, training and test",
        )
    notes = list(header.assumed)
    if header.channels < 3:
        notes.append("it is grey: red, green and blue are the same")
    if header.others:
        notes.append(f"the first of its {header.others + 1} images of this size is read")
    if header.channels > 3 or header.channels == 2:
        notes.append("its channels behind the colours are left out")
    if (orientation := header.parts[0].orientation) != 1:
        notes.append(f"its orientation ({orientation}) is ignored: rows and columns stay as stored")
    if _inverted(header, reading):
        notes.append("its 0 is white: it is inverted")
    return notes


def _unusable(header: TiffHeader) -> str:
    """Say why pixels cannot be used; an empty text if they can."""
    colours = {"RGB", "black is zero", "white is zero"}
    if header.compression == "jpeg" and header.layout == "chunky":
        colours |= {"YCbCr"}
    if header.bits not in _BITS.get(header.sample_format, ()):
        return f"image holds {header.bits}-bit {header.sample_format} samples"
    if header.photometric not in colours:
        return f"image's colour space is {header.photometric}"
    if header.layout == "pages" and header.channels != 3:
        return f"image is a stack of {header.channels} pages; each has to be a file of its own"
    if any(page.predictor == _FLOATING_PREDICTOR for page in header.parts):
        return "image is compressed with the floating-point predictor, which the kit does not undo"
    return ""


def _inverted(header: TiffHeader, reading: AnyReading) -> bool:
    return reading.white_is_zero == "inverted" and header.photometric == "white is zero"
