"""Find the full-resolution image of a TIFF and check it; standard library only.

The supervisor on Kaggle needs image sizes before anything is installed, and a faulty file has to be reported
before its first pixel is decoded.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kit.artefacts import open_regular
from kit.errors import KitError
from kit.images.directory import Directory, Page
from kit.images.extents import mended, require_plausible
from kit.images.hyperstack import pages_of

Layout = Literal["chunky", "planar", "pages"]

COMPRESSIONS = {
    1: "none",
    2: "CCITT run lengths",
    3: "CCITT group 3 fax",
    4: "CCITT group 4 fax",
    5: "lzw",
    6: "old-style JPEG",
    7: "jpeg",
    8: "deflate",
    22610: "JPEG XR",
    32766: "NeXT run lengths",
    32771: "CCITT run lengths",
    32773: "packbits",
    32809: "ThunderScan",
    32908: "PixarFilm",
    32909: "PixarLog",
    32946: "deflate",
    33003: "Aperio's YCbCr JPEG 2000",
    33004: "lossy JPEG 2000",
    33005: "Aperio's RGB JPEG 2000",
    33007: "alternative JPEG",
    34661: "JBIG",
    34676: "LogLuv",
    34677: "LogLuv",
    34712: "JPEG 2000",
    34887: "lerc",
    34892: "jpeg",
    34925: "lzma",
    34926: "zstd",
    34927: "webp",
    34933: "png",
    34934: "JPEG XR",
    50000: "zstd",
    50001: "webp",
    50002: "JPEG XL",
    50013: "PIXTIFF",
    52546: "JPEG XL",
}
_UNUSED = {2, 3, 4, 6, 32766, 32771, 32809, 32908, 32909, 34661, 34676, 34677}
"""Compressions that no library reads as colours of 8 or 16 bits, or that libraries read differently."""
_RAW_COLOUR = (33003,)
"""Compressions whose decoders return YCbCr, whatever the page says of its colours."""
PHOTOMETRICS = {
    0: "white is zero",
    1: "black is zero",
    2: "RGB",
    3: "palette",
    5: "CMYK",
    6: "YCbCr",
    8: "CIELab",
}


@dataclass(frozen=True)
class TiffHeader:
    """The full-resolution image of a TIFF.

    Attributes:
        path: the file.
        height: rows.
        width: columns.
        channels: samples per pixel over all its pages, alpha included.
        bits: stored bits per channel.
        significant_bits: bits of the largest sample value that the file names; `bits` if it names none.
        sample_format: "uint", "int" or "float".
        layout: "chunky" RGBRGB..., "planar" one plane per channel in one page, "pages" one page per channel.
        compression: its name, or TIFF's number.
        photometric: its name, or TIFF's number.
        byteorder: "little" or "big".
        parts: the pages that make up this image.
        others: number of other colour images of the same size in the file.
        assumed: what was assumed to read it, one sentence each.
    """

    path: Path
    height: int
    width: int
    channels: int
    bits: int
    significant_bits: int
    sample_format: str
    layout: Layout
    compression: str
    photometric: str
    byteorder: Literal["little", "big"]
    parts: tuple[Page, ...]
    others: int
    assumed: tuple[str, ...]


def read_header(path: Path) -> TiffHeader:
    """Read the tags of a TIFF and find its full-resolution image.

    It is the largest page that is not marked as a reduced copy. If that page has one channel, all pages of
    its size belong to the image, one per channel. Subdirectories (SubIFDs) count as pages, and so do planes
    that lie behind the only page. `require_rgb8` checks whether the pixels can be used as 8-bit RGB.

    Raises:
        KitError: the file is missing, empty, no TIFF, cut short (tags or pixels), or its tags are damaged.
    """
    try:
        handle = open_regular(path)
        try:
            return _image_of(path, Directory(path, handle, os.fstat(handle).st_size))
        finally:
            os.close(handle)
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> KitError:
    """Return the error for an image file that the system does not let us read."""
    if isinstance(error, FileNotFoundError):
        return KitError("image is missing", where=path, fix="check the folder and the id")
    return KitError(
        f"image cannot be read: {error.strerror or error}",
        where=path,
        fix="check its rights and the disk or mount that it is on",
    )


def require_rgb8(header: TiffHeader) -> list[str]:
    """Check that the pixels can be used as 8-bit RGB.

    16-bit samples are cut to the upper 8 of their significant bits: `value >> (significant_bits - 8)`. A file
    whose largest sample value is 4095 has 12 significant bits, so 4095 becomes 4095 >> 4 = 255. One whose
    largest value is 3000 has 12, too: stretching to the value itself would give every image its own contrast.
    The rule uses tags and not pixels, so that it is the same for every image of a scanner, in training and
    test.

    Grayscale, palette and CMYK are refused although formulas exist: networks for stained tissue are trained
    in colour. A single channel is one of several, or another file (a mask), and CMYK needs its ink profile.

    Returns:
        What is left out, cut or assumed, one sentence each.

    Raises:
        KitError: depth, sample format, number of channels or colour space is another; says how to convert.
    """
    shape = f"{header.height} x {header.width}"
    convert = "convert it to 8-bit RGB first (and the same way for every image, training and test)"
    compression = header.parts[0].compression
    if compression in _UNUSED or compression not in COMPRESSIONS:
        raise KitError(
            f"image is compressed as {header.compression} (TIFF's number {compression}), which the kit does "
            "not read",
            where=header.path,
            fix="convert it, e.g. with libtiff's tools (tiffcp -c lzw OLD NEW) or ImageMagick (magick OLD "
            "-compress lzw NEW)",
        )
    if header.bits not in (8, 16) or header.sample_format != "uint":
        raise KitError(
            f"image holds {header.bits}-bit {header.sample_format} samples, not 8-bit or 16-bit unsigned",
            where=header.path,
            fix=convert + ", or say under [images] which samples become 0..255 (intensity)",
        )
    if header.channels not in (3, 4) and not (
        header.channels > 4 and header.photometric == "RGB" and header.layout != "pages"
    ):
        held = {1: "grayscale or palette"}.get(header.channels, f"{header.channels} channels")
        raise KitError(
            f"image of {shape} pixels has no 3 colour channels: it is {held}",
            where=header.path,
            fix=convert + ", or say intensity under [images]",
        )
    usable = {"RGB", "black is zero"}
    if header.compression == "jpeg" and header.layout == "chunky":
        usable |= {"YCbCr"}  # its decoder makes RGB of the three samples of a pixel
    raw_colour = compression in _RAW_COLOUR
    if header.photometric not in usable or raw_colour:
        colour = "YCbCr" if raw_colour else header.photometric
        raise KitError(
            f"image's colour space is {colour} ({header.compression} compression), not RGB",
            where=header.path,
            fix=convert,
        )
    return _notes(header)


def _notes(header: TiffHeader) -> list[str]:
    notes = list(header.assumed)
    if header.layout == "pages":
        notes.append("its single-channel pages are taken as red, green and blue")
    if header.others:
        notes.append(f"the first of its {header.others + 1} images of this size is read")
    if header.channels > 3:
        rest = "fourth channel (alpha) is" if header.channels == 4 else f"channels 4 to {header.channels} are"
        notes.append(f"its {rest} left out")
    if (orientation := header.parts[0].orientation) != 1:
        notes.append(
            f"its orientation (TIFF's number {orientation}) is ignored: rows and columns stay as stored"
        )
    if header.bits == 16:
        known = "" if header.significant_bits == 16 else f", {header.significant_bits} of them significant"
        notes.append(f"its samples of 16 bits{known} are cut to 8: value >> {header.significant_bits - 8}")
    if unwritten := sum(not count for page in header.parts[:3] for count in page.byte_counts):
        level = min(255, header.parts[0].unwritten >> (header.significant_bits - 8))
        shade = f"level {level}" if level else "black"
        notes.append(f"{unwritten} of its strips or tiles were never written and are read as {shade}")
    return notes


def _image_of(path: Path, directory: Directory) -> TiffHeader:
    """Return the full-resolution image of a file's pages; check that its pixels lie within the file."""
    pages = pages_of(path, directory)
    # Pages of a file                                     pages of its image
    # 0: 20000 x 30000 RGB, 1: 5000 x 7500 RGB            0, the largest ("chunky" or "planar")
    # 0: 512 x 700 RGB (thumbnail), 1: 20000 x 30000 RGB  1
    # 0, 1 and 2: 20000 x 30000, one channel each         0, 1 and 2 as red, green and blue ("pages")
    full = [page for page in pages if not page.reduced] or pages
    largest = max(full, key=lambda page: page.height * page.width)
    equal = [page for page in full if _form(page) == _form(largest)]
    # One channel per page: every such page belongs to the image.
    parts = equal if largest.samples == 1 else [largest]
    parts = [mended(directory, page) for page in parts]
    for page in parts:
        require_plausible(directory, page)
    channels = sum(page.samples for page in parts)
    depths = [page.largest_sample.bit_length() for page in parts if page.largest_sample is not None]
    layout: Layout = "pages" if len(parts) > 1 else "planar" if largest.planar else "chunky"
    return TiffHeader(
        path=path,
        height=largest.height,
        width=largest.width,
        channels=channels,
        bits=largest.bits,
        significant_bits=min(max(8, *depths), largest.bits) if depths else largest.bits,
        sample_format={1: "uint", 2: "int", 3: "float"}.get(largest.sample_format, "unknown"),
        layout=layout,
        compression=COMPRESSIONS.get(largest.compression, f"number {largest.compression}"),
        photometric=PHOTOMETRICS.get(largest.photometric, f"number {largest.photometric}"),
        byteorder="little" if directory.order == "<" else "big",
        parts=tuple(parts),
        others=len(equal) - len(parts),
        assumed=tuple(directory.notes),
    )


def _form(page: Page) -> tuple[int, ...]:
    return page.height, page.width, page.bits, page.samples, page.sample_format
