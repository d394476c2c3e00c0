"""Masks as run lengths over column-major pixels, without ever transposing a slide.

A mask has few places where a pixel differs from the one above it. They are found row by row, in the order in
which memory holds them; only those few positions are then sorted into column-major order. Bands may come one
after another, so a slide's mask never exists as a whole.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from kit.errors import KitError

Runs: TypeAlias = NDArray[np.int64]
"""(N, 2): zero-based start and length; sorted, positive, neither overlapping nor touching."""

_COLUMN = 32
"""A change point is kept as column << 32 | row: sorts column-major whatever the height turns out to be."""
_BLOCK = 1 << 20
"""Pixels compared at once: the difference stays in the processor's cache."""
_DENSE = 4
"""From one changed word in four on, transposing a block is cheaper than sorting its change points."""
_SHORT = 64
"""Pixels a run from which on filling run by run beats writing all pixels in one go."""


class RunLengthEncoder:
    """Encodes a mask given as bands of rows, top to bottom; memory grows with the number of changes only.

    Args:
        width: columns of the mask.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self.height = 0
        self._keys: list[NDArray[np.int64]] = []
        self._presorted = False
        self._first: NDArray[np.bool_] = np.zeros(width, bool)
        self._last: NDArray[np.bool_] = np.zeros(width, bool)

    def push(self, band_HW: NDArray[np.bool_] | NDArray[np.uint8]) -> None:
        """Add rows below those already there.

        Args:
            band_HW: (rows, width), any number of rows; anything but zero is foreground.

        Raises:
            ValueError: the band has another width.
        """
        if band_HW.ndim != 2 or band_HW.shape[1] != self.width:
            raise ValueError(f"band of shape {band_HW.shape} for a mask {self.width} wide")
        if band_HW.shape[0] == 0 or self.width == 0:
            self.height += band_HW.shape[0]
            return
        band = np.ascontiguousarray(band_HW if band_HW.dtype == bool else band_HW != 0)
        if self.height == 0:
            self._first = band[0].copy()
        else:
            self._compare(self._last[None], band[:1], self.height)
        rows = max(1, _BLOCK // self.width)
        for top in range(1, len(band), rows):
            bottom = min(top + rows, len(band))
            self._compare(band[top - 1 : bottom - 1], band[top:bottom], self.height + top)
        self._last = band[-1].copy()
        self.height += len(band)

    def finish(self) -> Runs:
        """The runs of all rows pushed so far."""
        above_first = np.concatenate([[False], self._last[:-1]])
        starts_of_columns = np.flatnonzero(self._first != above_first) << _COLUMN
        keys = np.concatenate([starts_of_columns, *self._keys])
        # Dense blocks arrive sorted, and a merge sort profits from that; else the vectorised quicksort wins.
        keys = np.sort(keys, kind="stable" if self._presorted else "quicksort")
        changes = (keys >> _COLUMN) * self.height + (keys & ((1 << _COLUMN) - 1))
        return _runs_between(changes, self.height * self.width)

    def _compare(self, above_HW: NDArray[np.bool_], below_HW: NDArray[np.bool_], top: int) -> None:
        """Keep the keys of the pixels that differ from the one above; `top` is the row of `below_HW[0]`."""
        rows, size = len(below_HW), below_HW.size
        changed = np.zeros(-(-size // 8) * 8, bool)
        np.not_equal(above_HW.reshape(-1), below_HW.reshape(-1), out=changed[:size])
        words = np.flatnonzero(changed.view(np.uint64))
        if len(words) == 0:
            return
        if len(words) * _DENSE > len(changed) // 8:
            columns_first = np.ascontiguousarray(changed[:size].reshape(rows, self.width).T)
            flat = np.flatnonzero(columns_first)
            column = _line_numbers(flat, self.width, rows)
            self._keys.append(flat + column * ((1 << _COLUMN) - rows) + top)
            self._presorted = True
        else:
            inside = np.flatnonzero(changed.reshape(-1, 8)[words])
            flat = (words[inside >> 3] << 3) + (inside & 7)
            row = _line_numbers(flat, rows, self.width)
            self._keys.append(((flat - row * self.width) << _COLUMN) + row + top)


def _line_numbers(flat: NDArray[np.int64], lines: int, length: int) -> NDArray[np.int64]:
    """`flat // length` of ascending positions, without dividing each."""
    ends = np.searchsorted(flat, np.arange(1, lines + 1) * length)
    return np.repeat(np.arange(lines), np.diff(ends, prepend=0))


def _runs_between(changes: NDArray[np.int64], size: int) -> Runs:
    """Runs whose starts and ends alternate in `changes`; the last one may reach the mask's end."""
    if len(changes) % 2:
        changes = np.append(changes, size)
    starts, ends = changes[0::2], changes[1::2]
    return np.stack([starts, ends - starts], axis=1).astype(np.int64, copy=False)


def empty() -> Runs:
    """The runs of a mask without foreground."""
    return np.zeros((0, 2), np.int64)


def encode(mask_HW: NDArray[np.bool_] | NDArray[np.uint8]) -> Runs:
    """Runs of a whole mask; anything but zero is foreground."""
    if mask_HW.flags.f_contiguous and not mask_HW.flags.c_contiguous:
        flat = (mask_HW if mask_HW.dtype == bool else mask_HW != 0).ravel(order="F")
        changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        return _runs_between(np.concatenate([[0], changes]) if flat[0] else changes, flat.size)
    encoder = RunLengthEncoder(mask_HW.shape[1])
    encoder.push(mask_HW)
    return encoder.finish()


def decode(runs: Runs, height: int, width: int) -> NDArray[np.bool_]:
    """The mask of some runs, (height, width), Fortran-ordered: transposing takes longer than decoding."""
    size = height * width
    if len(runs) * _SHORT > size:
        lengths = to_lengths(runs, size)
        flat = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    else:
        flat = np.zeros(size, bool)
        for start, length in runs.tolist():
            flat[start : start + length] = True
    return flat.reshape(width, height).T


def to_lengths(runs: Runs, size: int) -> NDArray[np.int64]:
    """Alternating lengths of background and foreground, background first (maybe 0), `size` in all."""
    edges = np.concatenate([[0], np.stack([runs[:, 0], runs[:, 0] + runs[:, 1]], axis=1).ravel(), [size]])
    lengths: NDArray[np.int64] = np.diff(edges)
    return lengths[:-1] if len(runs) and lengths[-1] == 0 else lengths


def from_lengths(lengths: NDArray[np.int64]) -> Runs:
    """The way back from `to_lengths`; lengths of zero inside are legal and join their neighbours."""
    ends = np.cumsum(lengths)[1::2]
    foreground = lengths[1::2]
    starts, ends = (ends - foreground)[foreground > 0], ends[foreground > 0]
    return _joined(starts, ends)


def decode_window(runs: Runs, height: int, window: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """A part of the mask of some runs, without decoding the rest.

    Args:
        runs: of the whole mask.
        height: rows of the whole mask.
        window: top, left, rows, columns; wholly inside the mask.

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
    """Foreground pixels."""
    return int(runs[:, 1].sum())


def intersection(runs_a: Runs, runs_b: Runs) -> int:
    """Pixels in both masks (of one size), counted on the runs."""
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


def bounding_box(runs: Runs, height: int) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of the foreground, far ends exclusive; zeros for an empty mask."""
    if len(runs) == 0:
        return 0, 0, 0, 0
    last = runs[:, 0] + runs[:, 1] - 1
    x0, x1 = int(runs[0, 0] // height), int(last[-1] // height) + 1
    top, bottom = runs[:, 0] % height, last % height
    if np.any(runs[:, 0] // height != last // height):
        return x0, 0, x1, height
    return x0, int(top.min()), x1, int(bottom.max()) + 1


def transposed(runs: Runs, height: int, width: int) -> Runs:
    """Runs of the transposed mask: those of the mask itself counted along its rows (row-major).

    Columns are decoded a few at a time, so that a slide's mask never exists as a whole.

    Args:
        runs: of a mask of `height` rows and `width` columns.
        height: rows of that mask.
        width: columns of that mask.
    """
    encoder = RunLengthEncoder(height)
    step = max(1, _BLOCK // max(height, 1))
    for left in range(0, width, step):
        columns_HW = decode_window(runs, height, (0, left, height, min(step, width - left)))
        encoder.push(columns_HW.T)
    return encoder.finish()


def to_kaggle(runs: Runs, *, first: int = 1) -> str:
    """Kaggle's "start length start length ...", starts counted from `first`; empty for an empty mask."""
    return " ".join(f"{start + first} {length}" for start, length in runs.tolist())


def from_kaggle(
    text: str, height: int, width: int, *, where: str | Path, first: int = 1, by_rows: bool = False
) -> Runs:
    """Runs of Kaggle's text, checked; runs that touch are merged.

    Args:
        text: pairs of start and length.
        height: rows of the image.
        width: columns of the image.
        where: file and row, for the error message.
        first: number of the first pixel in the text, 1 in the competitions the kit knows.
        by_rows: the text counts along the rows; the runs returned are column-major nevertheless.

    Raises:
        KitError: odd count, no integers, a length that is not positive, or runs that are unsorted, overlap or
            leave the image.
    """
    path = "along the rows" if by_rows else "down the columns"
    fix = f"pairs are 'start length', starts count from {first}, {path}, in ascending order"
    tokens = text.split()
    bad = next((token for token in tokens if not re.fullmatch(r"-?[0-9]{1,18}", token)), None)
    if bad is not None:
        raise KitError(f"run lengths hold {bad[:40]!r}, which is no integer", where=where, fix=fix)
    if len(tokens) % 2:
        raise KitError(f"run lengths hold {len(tokens)} numbers, an odd count", where=where, fix=fix)
    runs = np.array(tokens, np.int64).reshape(-1, 2) - np.array([first, 0])
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


def _joined(starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Runs:
    """Runs from sorted starts and ends, those that touch made one."""
    opens = np.concatenate([[True], starts[1:] != ends[:-1]])[: len(starts)]
    closes = np.concatenate([opens[1:], [True]])[: len(starts)]
    return np.stack([starts[opens], ends[closes] - starts[opens]], axis=1)
