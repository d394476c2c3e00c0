"""Decode strips and tiles that are images of their own: JPEG, JPEG 2000, WebP and their like.

The codecs decode into an array of the expected shape, so that no header of theirs can ask for more memory.
tifffile decodes JPEG, whose colours need care, and what has no codec here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from kit.artefacts import open_to_read
from kit.errors import KitError
from kit.images.codec_headers import jpeg2000_shape, jpeg_shape
from kit.images.directory import Page
from kit.images.lzw import Samples

_IMAGE_CODECS = {
    22610: "jpegxr_decode",
    33003: "jpeg2k_decode",
    33004: "jpeg2k_decode",
    33005: "jpeg2k_decode",
    34712: "jpeg2k_decode",
    34887: "lerc_decode",
    34927: "webp_decode",
    34933: "png_decode",
    34934: "jpegxr_decode",
    50001: "webp_decode",
    50002: "jpegxl_decode",
    52546: "jpegxl_decode",
}
"""TIFF's compression -> imagecodecs' function. These compare the shape of their output before they decode."""
_JPEG = 7
_JPEGS = (_JPEG, 33007, 34892)
_WEBP = (34927, 50001)
_END_OF_JPEG, _TAIL = b"\xff\xd9", 64
_BLACK_IS_ZERO, _RGB = 1, 2
"""TIFF's numbers of colour spaces."""
DAMAGED = "the file is damaged: copy or download it again"


def image_decoder(
    path: Path, page: Page, plane: int, dtype: np.dtype[Any]
) -> Callable[[memoryview, int], Samples]:
    """Return a function that decodes a coded image, given its stored bytes and its segment's number.

    Args:
        path: the file.
        page: its tags.
        plane: which plane of a planar page; 0 otherwise.
        dtype: of the samples.

    Raises:
        KitError: the library for the compression is missing or cannot read the page.
    """
    name = _IMAGE_CODECS.get(page.compression)
    if name is None:
        return _of_tifffile(path, page, plane * math.prod(page.grid))
    try:
        import imagecodecs
    except ImportError as error:
        raise missing_library("imagecodecs", path, error) from error
    decode: Any = getattr(imagecodecs, name)
    more = {"hasalpha": True} if page.compression in _WEBP and page.channels == 4 else {}

    def unpack(data: memoryview, number: int) -> Samples:
        stored = bytes(data)
        shapes = _shapes(page, number)
        if name == "jpeg2k_decode":  # the only one that decodes before it compares shapes
            claimed = jpeg2000_shape(stored)
            if claimed not in shapes:
                raise ValueError(f"it holds {shape_text(claimed or ())} samples")
            shapes = [claimed]
        problem: Exception | None = None
        for shape in shapes:
            pixels_HWC: Samples = np.empty(shape, dtype)
            try:
                decode(stored, out=pixels_HWC if page.channels > 1 else pixels_HWC[:, :, 0], **more)
            except Exception as error:  # noqa: BLE001  # classes of imagecodecs' own
                problem = problem or error
            else:
                return pixels_HWC
        raise problem or ValueError("it has no shape")

    return unpack


def _of_tifffile(path: Path, page: Page, first: int) -> Callable[[memoryview, int], Samples]:
    try:
        from tifffile import TiffFile, TiffPage
    except ImportError as error:
        raise missing_library("tifffile", path, error) from error
    try:
        with open_to_read(path) as stream, TiffFile(stream) as tiff:
            tiff.filehandle.seek(page.offset)
            codec = TiffPage(tiff, index=page.index)
            # It looks for a JFIF marker there.
            codec.dataoffsets, codec.databytecounts = tuple(page.offsets), tuple(page.byte_counts)
            if page.compression == _JPEG:
                _name_colours(codec, page)
            # Make the function now: tifffile reads from its open file to make it.
            decode = codec.decode
            # tifffile's names for what all segments of a JPEG share.
            tables = {"jpegtables": codec.jpegtables, "jpegheader": codec.jpegheader}
    except Exception as error:  # damaged tags lead to errors of any class
        raise KitError(f"TIFF cannot be decoded: {error}", where=path, fix=DAMAGED) from error

    def unpack(data: memoryview, number: int) -> Samples:
        if page.compression in _JPEGS:
            _check_jpeg(data, _shapes(page, number))
        pixels: Samples = np.asarray(decode(data, first + number, **tables)[0][0])
        return pixels

    return unpack


def _name_colours(codec: Any, page: Page) -> None:
    """Correct the colour space that tifffile assumes for a JPEG to what libtiff reads and writes.

    A plane of one channel is grey, whatever the page's colour space. Three interleaved samples are YCbCr
    only if the page or a JFIF marker says so, even if the page calls them "black is zero".
    """
    if page.channels == 1:
        codec.photometric = _BLACK_IS_ZERO
    elif page.channels == 3 and page.photometric == _BLACK_IS_ZERO:
        codec.photometric, codec.extrasamples = _RGB, ()


def _shapes(page: Page, number: int) -> list[tuple[int, int, int]]:
    """Return which shapes a coded image may have: writers cut it off at the image's border, or do not."""
    (rows, columns), across = page.segment, page.grid[1]
    inner = min(rows, page.height - number // across * rows)
    beside = min(columns, page.width - number % across * columns)
    found = [(rows, columns), (inner, columns), (inner, beside), (rows, beside)]
    return [(*shape, page.channels) for shape in dict.fromkeys(found)]


def _check_jpeg(data: memoryview, shapes: list[tuple[int, int, int]]) -> None:
    """Raise a `ValueError` if a JPEG has another shape, or no end: decoders would make the rest grey."""
    claimed = jpeg_shape(data)
    # JPEGs of more than 65,535 rows or columns say 0.
    if claimed and all(claimed[:2]) and claimed not in shapes:
        raise ValueError(f"it holds {shape_text(claimed)} samples")
    if _END_OF_JPEG not in bytes(data[-_TAIL:]) and _END_OF_JPEG not in bytes(data):
        raise ValueError("its data ends too early")


def shape_text(shape: tuple[int, ...]) -> str:
    """Return a shape for messages: 256 x 256 x 3."""
    return " x ".join(map(str, shape)) or "no"


def missing_library(library: str, path: Path, error: Exception) -> KitError:
    """Return the error that names a library to install."""
    return KitError(
        f"{library} is needed for this TIFF: {error}", where=path, fix=f"python -m pip install {library}"
    )
