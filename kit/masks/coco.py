"""COCO's compressed run lengths, and the text in which Open-Images-style submissions carry them.

Compressed counts are lengths of background and foreground in turns over column-major pixels, background first
(its length may be 0), packed into characters as `kit.masks.counts` describes.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kit.errors import KitError
from kit.masks import rle
from kit.masks.counts import compress, expand

_MAX_COUNTS = 64 << 20
"""Most bytes that a packed mask may unpack to: far above any real mask, so that a crafted one cannot fill
memory."""


def encode(mask_HW: NDArray[np.bool_] | NDArray[np.uint8]) -> bytes:
    """Return the compressed counts of a mask; anything but zero is foreground."""
    return from_runs(rle.encode(mask_HW), *mask_HW.shape)


def decode(counts: bytes, height: int, width: int) -> NDArray[np.bool_]:
    """Return the mask (height, width) of compressed counts, Fortran-ordered.

    Raises:
        KitError: as for `runs_of`.
    """
    return rle.decode(runs_of(counts, height, width), height, width)


def from_runs(runs: rle.Runs, height: int, width: int) -> bytes:
    """Return the compressed counts of zero-based column-major runs."""
    lengths = rle.to_lengths(runs, height * width)
    return compress(lengths, np.array([len(lengths)]))[0]


def runs_of(counts: bytes, height: int, width: int, *, where: str | Path | None = None) -> rle.Runs:
    """Return the zero-based column-major runs of compressed counts.

    Args:
        counts: compressed counts.
        height: rows of the image.
        width: columns of the image.
        where: file and row, for the error message.

    Raises:
        KitError: the bytes are no compressed counts, or those of an image of another size.
    """
    lengths, _ = expand([counts], height, width, where)
    return rle.from_lengths(lengths)


def pack(counts: bytes) -> str:
    """Return compressed counts as a submission carries them: base64 of zlib (level 9)."""
    return base64.b64encode(zlib.compress(counts, 9)).decode()


def unpack(text: str, *, where: str | Path) -> bytes:
    """Return the compressed counts in a submission's text.

    Raises:
        KitError: the text is no base64, holds no zlib data, or unpacks to far more than any mask.
    """
    fix = "a mask is base64(zlib(compressed COCO counts)), without blanks inside"
    try:
        packed = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise KitError(f"mask is no base64: {error}", where=where, fix=fix) from error
    unpacker = zlib.decompressobj()
    try:
        counts = unpacker.decompress(packed, _MAX_COUNTS)
    except zlib.error as error:
        raise KitError(f"mask is no zlib data: {error}", where=where, fix=fix) from error
    if not unpacker.eof or unpacker.unused_data:
        raise KitError("mask's zlib data is cut short, too large or followed by more", where=where, fix=fix)
    return counts
