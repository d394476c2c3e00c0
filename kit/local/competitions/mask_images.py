"""Read the pixels of mask images from any format; `mask_values` says what they mean."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kit.errors import KitError
from kit.local.competitions.remarks import Remarks

if TYPE_CHECKING:
    from tifffile import TiffFrame, TiffPage

WRITE = "write one channel of 8 or 16 bits, 0 for background, as PNG or TIFF"
_CHANNELS = 4
"""Largest number of values per pixel in a mask image: red, green, blue, opacity."""
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PNG = b"\x89PNG"
_LOSSY_FORMATS = {"JPEG", "MPO", "AVIF", "HEIF"}
_LOSSY_COMPRESSIONS = {6, 7, 33007, 34892}
"""TIFF's numbers of JPEG."""
_WHITE_IS_ZERO, _RGB = 0, 2
"""TIFF's numbers of these colour spaces."""
_OPACITY = {1, 2}
"""TIFF's numbers of extra samples that are opacity."""
_BYTE = 8
_MODES = {"1", "L", "P", "LA", "I", "I;16", "I;16B", "I;16L", "F", "RGB", "RGBA"}
"""Pillow's names for pixels that are grey, RGB or indices."""


@dataclass(frozen=True)
class MaskImage:
    """The pixels of a mask image as stored.

    Attributes:
        path: the file.
        pixels: (height, width) or (height, width, 3), without opacity; the indices of a palette, not its
            colours.
        lossy: whether the format changes values a little.
        opacity: (height, width) where the file has it.
        palette: (n, 3), the colours of the indices; None if the pixels are no indices.
    """

    path: Path
    pixels: NDArray[Any]
    lossy: bool = False
    opacity: NDArray[Any] | None = None
    palette: NDArray[Any] | None = None


def read(path: Path, height: int, width: int, remarks: Remarks) -> MaskImage:
    """Return the pixels of a mask image.

    Args:
        path: a TIFF, or another format that Pillow or OpenCV reads; its content decides, not its name.
        height: rows of its image.
        width: columns of its image.
        remarks: get what was assumed.

    Raises:
        KitError: the file is damaged, has another size than its image, or channels that are no grey or RGB.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(64)
        made = (
            _of_tiff(path, height, width, remarks)
            if head[:4] in _TIFF
            else _of_picture(path, head, height, width)
        )
    except KitError:
        raise
    except Exception as error:  # damaged files raise errors of every kind
        raise KitError(f"mask image cannot be read: {error}", where=path, fix="write it again") from error
    if made.pixels.shape[:2] != (height, width):
        raise _unusable(path, made.pixels.shape[:2], (height, width))
    return made


def _unusable(
    path: Path, size: tuple[int, ...], expected: tuple[int, int], *, pages: int = 1, channels: int = 1
) -> KitError:
    """The error for a mask image with another size than its image, several pages or odd channels.

    Args:
        path: the file.
        size: its rows and columns.
        expected: rows and columns of its image.
        pages: number of its pages.
        channels: values per pixel, whether they are stored together or in planes.
    """
    if size != expected:
        of_channels = f" in {channels} channels" if channels > 1 else ""
        of_pages = f" on {pages} pages" if pages > 1 else ""
        problem = (
            f"mask image has {size[0]} x {size[1]} pixels (height x width){of_channels}{of_pages}, "
            f"its image {expected[0]} x {expected[1]}"
        )
        return KitError(problem, where=path, fix=f"masks have the size of their images: {WRITE}")
    if pages > 1:
        return KitError(
            f"mask image holds {pages} pages, but one is expected",
            where=path,
            fix=f"unite the pages, for instances with another number on each: {WRITE}",
        )
    problem = f"mask image has {channels} channels, which are neither grey nor red, green and blue"
    return KitError(problem, where=path, fix=f"if each channel is a mask of its own, unite them: {WRITE}")


def _of_tiff(path: Path, height: int, width: int, remarks: Remarks) -> MaskImage:
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        series = tiff.series[0]
        page, shape = series.keyframe, _without_ones(series.shape, height, width)
        # The size is checked before reading: a damaged file may claim any. The shape of planes is
        # (3, H, W), of pages (n, H, W), of a stack (n, 3, H, W); only the page tells which number is which.
        size, channels = (page.imagelength, page.imagewidth), page.samplesperpixel
        pages = math.prod(shape) // max(1, math.prod(size) * channels)
        fits = size == (height, width) and pages == 1 and channels <= _CHANNELS
        if not fits and shape != (height, width):
            raise _unusable(path, size, (height, width), pages=pages, channels=channels)
        pixels = series.asarray().reshape(shape)
        if len(shape) > 2 and series.axes[-3] == "S":  # planes
            pixels = np.moveaxis(pixels, 0, -1)
        if page.photometric == _WHITE_IS_ZERO:
            pixels = _black_is_zero(path, pixels, page, remarks)
        lossy = int(page.compression) in _LOSSY_COMPRESSIONS
        # Planes (background, foreground) are two channels, too: only what the file calls opacity is none.
        opaque = page.photometric != _RGB and not _OPACITY.intersection(page.extrasamples[-1:])
        return _split(path, pixels, lossy, opaque=opaque)


def _black_is_zero(
    path: Path, pixels: NDArray[Any], page: TiffPage | TiffFrame, remarks: Remarks
) -> NDArray[Any]:
    """Return the pixels of a black and white TIFF that says it stores white as zero."""
    # Viewers, Pillow and OpenCV invert such files. But tifffile, which does not, writes every mask of bools
    # like this, with 1 for True. So the program that wrote the file decides, and an alarm tells it.
    white = np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" and page.bitspersample == _BYTE else 1
    if not np.isin(pixels, (0, white)).all():
        raise KitError(
            "mask image says that its zero is white, which not all programs heed", where=path, fix=WRITE
        )
    own = str(page.software).startswith("tifffile")
    mask: NDArray[Any] = pixels != 0 if own else pixels == 0
    remarks.alarm(
        f"mask images say that their zero is white; {'what is not 0' if own else '0'} is foreground, as the "
        "program that wrote them means it",
        f"{path}, {mask.mean():.1%} foreground",
        f"is that right? {WRITE}",
    )
    return mask


def _without_ones(shape: tuple[int, ...], height: int, width: int) -> tuple[int, ...]:
    """Return the shape of an image's pixels without leading axes of length one."""
    # TIFFs of one mask have the shapes (1, 1, H, W) and (1, H, W) from stacks, (H, W, 1) from tools that keep
    # the channel. A coloured image of one row, (1, W, 3), keeps its first axis: it is no stack.
    while len(shape) > 2 and shape[0] == 1 and (len(shape) > 3 or shape[:2] != (height, width)):
        shape = shape[1:]
    return shape


def _of_picture(path: Path, head: bytes, height: int, width: int) -> MaskImage:
    from PIL import Image

    # Pillow warns of large pictures; here the size is compared before anything is decoded.
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with Image.open(path) as picture:
            frames: int = getattr(picture, "n_frames", 1)
            size = picture.height, picture.width
            if size != (height, width) or frames > 1:
                raise _unusable(path, size, (height, width), pages=frames)
            if picture.mode not in _MODES:
                raise KitError(f"mask image holds {picture.mode} colours", where=path, fix=WRITE)
            lossy = picture.format in _LOSSY_FORMATS or (picture.format == "WEBP" and _is_lossy_webp(path))
            if picture.mode == "P":
                colours = np.array(picture.getpalette("RGB"), int).reshape(-1, 3)
                return MaskImage(path, np.asarray(picture), lossy, palette=colours)
            # Pillow cuts 16-bit colours, and grey with opacity, to 8 bits: the label 300 would become 1.
            deep = head.startswith(_PNG) and head[24] == 16 and head[25] != 0
            pixels = _of_opencv(path) if deep else np.asarray(picture)
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    return _split(path, pixels, lossy, opaque=False)


def _of_opencv(path: Path) -> NDArray[Any]:
    """Return the pixels of a picture as OpenCV reads them; the order of the colours does not matter here."""
    import cv2

    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise KitError("mask image cannot be read", where=path, fix=f"write it again: {WRITE}")
    return np.asarray(pixels)


def _split(path: Path, pixels: NDArray[Any], lossy: bool, *, opaque: bool) -> MaskImage:
    """Part colours and opacity; `opaque` says that there is none."""
    if pixels.ndim == 2:
        return MaskImage(path, pixels, lossy)
    height, width, channels = pixels.shape
    if channels == 1:
        return MaskImage(path, pixels[..., 0], lossy)
    if channels > _CHANNELS or (opaque and channels != 3):
        raise _unusable(path, (height, width), (height, width), channels=channels)
    opacity = None if channels == 3 else pixels[..., -1]
    colours = pixels[..., 0] if channels == 2 else pixels[..., :3]
    return MaskImage(path, colours, lossy, opacity)


def _is_lossy_webp(path: Path) -> bool:
    """Return whether a WebP file holds a lossy picture: a chunk of the name "VP8 "."""
    content = path.read_bytes()
    place = 12  # behind "RIFF", the size, "WEBP"
    while place + 8 <= len(content):
        if content[place : place + 4] == b"VP8 ":
            return True
        size = int.from_bytes(content[place + 4 : place + 8], "little")
        place += 8 + size + size % 2
    return False
