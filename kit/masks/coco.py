"""COCO's compressed run lengths, and the text in which Open-Images-style submissions carry them.

`counts` alternates lengths of background and foreground over column-major pixels, background first (maybe 0).
From the fourth number on, each is stored as its difference to the one two places before. A number becomes
characters of 5 bits, least significant first, offset by 48, bit 5 saying that more follow, the highest
payload bit of the last one being the sign. (Format: the COCO API's maskApi.c.)
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
"""Bytes a packed mask may unpack to: far above any real mask, far below what a crafted one could ask for."""


def encode(mask_HW: NDArray[np.bool_] | NDArray[np.uint8]) -> bytes:
    """Compressed counts of a mask; anything but zero is foreground."""
    return from_runs(rle.encode(mask_HW), *mask_HW.shape)


def decode(counts: bytes, height: int, width: int) -> NDArray[np.bool_]:
    """The mask of compressed counts, (height, width), Fortran-ordered.

    Raises:
        KitError: as `runs_of`.
    """
    return rle.decode(runs_of(counts, height, width), height, width)


def from_runs(runs: rle.Runs, height: int, width: int) -> bytes:
    """Compressed counts of zero-based column-major runs."""
    lengths = rle.to_lengths(runs, height * width)
    return compress(lengths, np.array([len(lengths)]))[0]


def runs_of(counts: bytes, height: int, width: int, *, where: str | Path | None = None) -> rle.Runs:
    """Zero-based column-major runs of compressed counts.

    Args:
        counts: compressed counts.
        height: rows of the image.
        width: columns of the image.
        where: named in the error message.

    Raises:
        KitError: the bytes are no compressed counts, or not of an image of this size.
    """
    lengths, _ = expand([counts], height, width, where)
    return rle.from_lengths(lengths)


def pack(counts: bytes) -> str:
    """Compressed counts as a submission carries them: base64 of zlib (level 9)."""
    return base64.b64encode(zlib.compress(counts, 9)).decode()


def unpack(text: str, *, where: str | Path) -> bytes:
    """Compressed counts out of a submission's text.

    Raises:
        KitError: no base64, no zlib inside, or far larger than any mask.
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
