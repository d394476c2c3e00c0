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
    return _compress(rle.to_lengths(runs, height * width))


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
    lengths = _expand(counts, where)
    total = int(lengths.sum())
    if total != height * width or np.any(lengths < 0):
        raise KitError(
            f"mask covers {total} pixels, the image has {height} x {width} = {height * width}",
            where=where,
            fix="encode masks at the image's own size, column-major (Fortran order)",
        )
    return rle.from_lengths(lengths)


def area(counts: bytes) -> int:
    """Foreground pixels.

    Raises:
        KitError: the bytes are no compressed counts.
    """
    return int(_expand(counts, None)[1::2].sum())


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


def _compress(lengths: NDArray[np.int64]) -> bytes:
    """Alternating lengths to characters, all numbers a digit at a time."""
    numbers = lengths.copy()
    numbers[3:] -= lengths[1:-2]
    digits: list[NDArray[np.int64]] = []
    written: list[NDArray[np.bool_]] = []
    pending = np.ones(len(numbers), bool)
    while pending.any():
        digit = numbers & 0x1F
        numbers >>= 5
        more = np.where(digit & 0x10, numbers != -1, numbers != 0)
        digits.append(digit + np.where(more, 48 + 0x20, 48))
        written.append(pending)
        pending = pending & more
    return np.stack(digits, axis=1)[np.stack(written, axis=1)].astype(np.uint8).tobytes()


def _expand(counts: bytes, where: str | Path | None) -> NDArray[np.int64]:
    """Characters to alternating lengths."""
    digits = np.frombuffer(counts, np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero((digits & 0x20) == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    fault = (
        len(digits) == 0
        or len(ends) == 0
        or bool(np.any((digits < 0) | (digits > 0x3F)))
        or int(ends[-1]) != len(digits) - 1
        or int((ends - starts).max()) > 11
    )
    if fault:
        raise KitError(
            "mask holds no COCO compressed counts",
            where=where,
            fix="use the `counts` bytes of pycocotools.mask.encode on a Fortran-ordered uint8 mask",
        )
    sizes = ends - starts + 1
    places = np.arange(len(digits)) - np.repeat(starts, sizes)
    numbers = np.add.reduceat((digits & 0x1F) << (5 * places), starts)
    numbers -= np.where(digits[ends] & 0x10, np.left_shift(1, 5 * sizes), 0)
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers
