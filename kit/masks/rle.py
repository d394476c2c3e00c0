"""Masks as run lengths over column-major pixels: encoding, decoding, counting, and Kaggle's text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kit.errors import KitError
from kit.masks.encoder import BLOCK, Mask, RunLengthEncoder, Runs, encode_columns

__all__ = [
    "RunLengthEncoder",
    "Runs",
    "area",
    "decode",
    "decode_window",
    "empty",
    "encode",
    "from_kaggle",
    "from_lengths",
    "intersection",
    "to_kaggle",
    "to_lengths",
    "transposed",
    "union",
]

#     column  0 1 2
#     row 0   . # .    pixels are numbered down the columns:   0 2 4
#     row 1   # # .                                            1 3 5
#
# The foreground is the pixels 1, 2 and 3: one run, [[1, 3]] (start, length). Kaggle's text counts from 1 and
# is "2 3". COCO's lengths begin with background: 1, 3, 2.
_PIXELS_PER_RUN = 64
"""With more pixels per run, filling the runs one by one is faster than repeating all lengths at once."""
_DIGITS = b"0123456789 \t\n\r"
"""Characters of plain run lengths."""
_HUGE = 10**18
"""Larger numbers are refused: sums of them could overflow."""


def empty() -> Runs:
    """Return the runs of a mask without foreground."""
    return np.zeros((0, 2), np.int64)


def encode(mask_HW: Mask) -> Runs:
    """Return the runs of a mask; anything but zero is foreground."""
    if mask_HW.flags.f_contiguous and not mask_HW.flags.c_contiguous:
        return encode_columns(mask_HW.T)
    encoder = RunLengthEncoder(mask_HW.shape[1])
    encoder.push(mask_HW)
    return encoder.finish()


def decode(runs: Runs, height: int, width: int) -> NDArray[np.bool_]:
    """Return the mask (height, width) of runs; Fortran-ordered, as transposing takes longer than decoding."""
    size = height * width
    if len(runs) * _PIXELS_PER_RUN > size:
        lengths = to_lengths(runs, size)
        flat = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    else:
        flat = np.zeros(size, bool)
        for start, length in runs.tolist():
            flat[start : start + length] = True
    return flat.reshape(width, height).T


def to_lengths(runs: Runs, size: int) -> NDArray[np.int64]:
    """Return the lengths of background and foreground in turns; COCO's "counts" before they are compressed.

    Background comes first (its length may be 0), and the sum is `size`, the pixels of the mask. A last length
    of 0 is left out.

    >>> to_lengths(np.array([[0, 2], [4, 1]]), 6).tolist()
    [0, 2, 2, 1, 1]
    """
    edges = np.concatenate([[0], np.stack([runs[:, 0], runs[:, 0] + runs[:, 1]], axis=1).ravel(), [size]])
    lengths: NDArray[np.int64] = np.diff(edges)
    return lengths[:-1] if len(runs) and lengths[-1] == 0 else lengths


def from_lengths(lengths: NDArray[np.int64]) -> Runs:
    """Return the runs of lengths of background and foreground in turns: the inverse of `to_lengths`.

    A length of 0 inside is legal and joins its neighbours.

    >>> from_lengths(np.array([1, 2, 0, 3, 2])).tolist()
    [[1, 5]]
    """
    ends = np.cumsum(lengths)[1::2]
    foreground = lengths[1::2]
    starts, ends = (ends - foreground)[foreground > 0], ends[foreground > 0]
    return _joined(starts, ends)


def decode_window(runs: Runs, height: int, window: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """Return a part of the mask of runs, without decoding the rest.

    Args:
        runs: of the complete mask.
        height: rows of the complete mask.
        window: top, left, rows, columns; completely inside the mask.

    Returns:
        (rows, columns), Fortran-ordered.
    """
    top, left, rows, columns = window
    begin, end = left * height, (left + columns) * height
    ends = runs[:, 0] + runs[:, 1]
    first = int(np.searchsorted(ends, begin, side="right"))
    last = int(np.searchsorted(runs[:, 0], end, side="left"))
    inside = np.clip(np.stack([runs[first:last, 0], ends[first:last]], axis=1), begin, end) - begin
    strip = decode(np.stack([inside[:, 0], inside[:, 1] - inside[:, 0]], axis=1), height, columns)
    return strip[top : top + rows]


def area(runs: Runs) -> int:
    """Return the number of foreground pixels."""
    return int(runs[:, 1].sum())


def intersection(runs_a: Runs, runs_b: Runs) -> int:
    """Return the number of pixels that two masks of one size share.

    For each run of one mask, count the pixels of the other below its end, minus those below its start. For
    the run [[3, 4]] and the other mask [[0, 2], [5, 4]]: 4 lie below 7 and 2 below 3, so 2 are shared (5 and
    6).

    >>> intersection(np.array([[3, 4]]), np.array([[0, 2], [5, 4]]))
    2
    """
    if len(runs_a) > len(runs_b):
        runs_a, runs_b = runs_b, runs_a
    if len(runs_a) == 0:
        return 0
    starts, lengths = runs_b[:, 0], runs_b[:, 1]
    before = np.concatenate([[0], np.cumsum(lengths)])

    def pixels_below(position: NDArray[np.int64]) -> NDArray[np.int64]:
        run = np.searchsorted(starts, position, side="right") - 1
        within = np.minimum(position - starts[run], lengths[run])
        return np.where(run < 0, 0, before[run] + within)

    ends_a = runs_a[:, 0] + runs_a[:, 1]
    return int((pixels_below(ends_a) - pixels_below(runs_a[:, 0])).sum())


def union(masks: Iterable[Runs]) -> Runs:
    """Return the runs of the pixels that any of some masks (of one size) holds."""
    # All runs are sorted by their starts; a run that begins after the farthest end so far opens a new one:
    #
    #     starts         2   4   5  11       of the masks [[2, 6], [11, 1]], [[4, 1], [5, 5]]
    #     ends           8   5  10  12
    #     farthest end   8   8  10  12
    #     new runs       2 ----- 10, 11 - 12, so the union is [[2, 8], [11, 1]]
    runs = np.concatenate([empty(), *masks])
    runs = runs[np.argsort(runs[:, 0], kind="stable")]
    return _joined(runs[:, 0], np.maximum.accumulate(runs[:, 0] + runs[:, 1]))


def transposed(runs: Runs, height: int, width: int) -> Runs:
    """Return the runs of the transposed mask, which count the mask's own pixels along its rows.

    A few columns are decoded at a time and become rows of the transposed mask, so that the mask of a slide is
    never in memory at once. In the mask of the example at the top, the
    foreground is the pixels 1, 3 and 4 along the rows:

    >>> transposed(np.array([[1, 3]]), 2, 3).tolist()
    [[1, 1], [3, 2]]

    Args:
        runs: of a mask of `height` rows and `width` columns.
        height: rows of that mask.
        width: columns of that mask.
    """
    encoder = RunLengthEncoder(height)
    step = max(1, BLOCK // max(height, 1))
    for left in range(0, width, step):
        columns_HW = decode_window(runs, height, (0, left, height, min(step, width - left)))
        encoder.push(columns_HW.T)
    return encoder.finish()


def to_kaggle(runs: Runs, *, first: int = 1) -> str:
    """Return Kaggle's text "start length start length ...", empty for an empty mask.

    Args:
        runs: of the mask.
        first: number of the first pixel in the text.
    """
    pairs = runs + np.array([first, 0])
    return str(pairs.ravel().tolist())[1:-1].replace(",", "")  # by far the fastest for millions of runs


def from_kaggle(
    text: str, height: int, width: int, *, where: str | Path, first: int = 1, by_rows: bool = False
) -> Runs:
    """Read Kaggle's text and check it; runs that touch are merged.

    Args:
        text: pairs of start and length.
        height: rows of the image.
        width: columns of the image.
        where: file and row, for the error message.
        first: number of the first pixel in the text, 1 in the competitions the kit knows.
        by_rows: the text counts pixels along the rows. The returned runs are column-major in any case.

    Raises:
        KitError: the text has an odd count of numbers, something else than integers or a length that is not
            positive, or its runs are unsorted, overlap or leave the image.
    """
    path = "along the rows" if by_rows else "down the columns"
    fix = f"pairs are 'start length', starts count from {first}, {path}, in ascending order"
    numbers = _integers(text)
    if isinstance(numbers, str):
        raise KitError(f"run lengths hold {numbers[:40]!r}, which is no integer", where=where, fix=fix)
    if len(numbers) % 2:
        raise KitError(f"run lengths hold {len(numbers)} numbers, an odd count", where=where, fix=fix)
    runs = numbers.reshape(-1, 2) - np.array([first, 0])
    starts, ends = runs[:, 0], runs[:, 0] + runs[:, 1]

    def refuse(wrong: NDArray[np.bool_], what: str) -> None:
        if wrong.any():
            index = int(np.argmax(wrong))
            pair = f"'{starts[index] + first} {runs[index, 1]}'"
            raise KitError(f"run {index + 1} ({pair}) {what}", where=where, fix=fix)

    refuse(runs[:, 1] <= 0, "has no positive length")
    refuse((starts < 0) | (ends > height * width), f"leaves the image of {height} x {width} pixels")
    refuse(np.diff(starts, prepend=-1) < 0, "starts before the run in front of it")
    refuse(np.concatenate([[False], starts[1:] < ends[:-1]]), "overlaps the run in front of it")
    joined = _joined(starts, ends)
    return transposed(joined, width, height) if by_rows else joined


def _integers(text: str) -> NDArray[np.int64] | str:
    """Return the numbers of a text, or the first word that is no integer of up to 18 digits."""
    if text.strip() and not text.encode(errors="replace").translate(None, _DIGITS):
        numbers = np.fromstring(text, np.int64, sep=" ")
        if numbers.max(initial=0) < _HUGE:
            return numbers
    words = text.split()
    bad = next((word for word in words if not re.fullmatch(r"-?[0-9]{1,18}", word)), None)
    return np.array(words, np.int64) if bad is None else bad


def _joined(starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Runs:
    """Return the runs of sorted starts and sorted ends; those that touch or overlap become one."""
    opens = np.concatenate([[True], starts[1:] > ends[:-1]])[: len(starts)]
    closes = np.concatenate([opens[1:], [True]])[: len(starts)]
    return np.stack([starts[opens], ends[closes] - starts[opens]], axis=1)
