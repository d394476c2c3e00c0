"""Run lengths of many masks of one image at once: a few passes over flat arrays instead of a loop over masks.

300 masks of 50 x 50 pixels are 12000 short runs; decoded one by one, calls take far longer than the work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kit.errors import KitError
from kit.masks import coco

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class ManyRuns:
    """Runs of foreground of `count` masks over column-major pixels of one image.

    Attributes:
        count: of masks; one without foreground has no run.
        of: (n,) which mask each run belongs to, ascending.
        starts: (n,) zero-based first pixel, ascending within a mask.
        ends: (n,) pixel after the last; greater than the start.
    """

    count: int
    of: Integers
    starts: Integers
    ends: Integers

    def areas(self) -> Integers:
        """Foreground pixels of every mask, (count,)."""
        return np.bincount(self.of, self.ends - self.starts, self.count).astype(np.int64)

    def take(self, masks: Integers) -> ManyRuns:
        """The masks at ascending positions, numbered from 0 again."""
        place = np.full(self.count, -1)
        place[masks] = np.arange(len(masks))
        of = place[self.of]
        kept = of >= 0
        return ManyRuns(len(masks), of[kept], self.starts[kept], self.ends[kept])

    def columns(self, height: int) -> ManyRuns:
        """The same pixels, runs cut where they go on in the next column of `height` pixels."""
        first, last = self.starts // height, (self.ends - 1) // height
        pieces = last - first + 1
        if (pieces == 1).all():
            return self
        number = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        column = np.repeat(first, pieces) + number
        starts = np.maximum(np.repeat(self.starts, pieces), column * height)
        ends = np.minimum(np.repeat(self.ends, pieces), (column + 1) * height)
        return ManyRuns(self.count, np.repeat(self.of, pieces), starts, ends)

    def placed(self, rows: int, corner: tuple[int, int], height: int) -> ManyRuns:
        """Masks of a window of `rows` rows in an image of `height` rows, (top, left) being its corner."""
        top, left = corner
        strokes = self.columns(rows)
        column = strokes.starts // rows
        starts = (column + left) * height + top + strokes.starts - column * rows
        return ManyRuns(self.count, strokes.of, starts, starts + strokes.ends - strokes.starts)


def join(parts: Sequence[ManyRuns]) -> ManyRuns:
    """The masks of several parts, numbered on."""
    counts = np.cumsum([0, *(part.count for part in parts)])
    none = np.empty(0, np.int64)
    return ManyRuns(
        int(counts[-1]),
        np.concatenate([none, *(part.of + count for part, count in zip(parts, counts, strict=False))]),
        np.concatenate([none, *(part.starts for part in parts)]),
        np.concatenate([none, *(part.ends for part in parts)]),
    )


def from_crops(
    crops: Sequence[NDArray[np.bool_]], corners: Sequence[tuple[int, int]], height: int
) -> ManyRuns:
    """Runs of masks that are given as crops of their image.

    Args:
        crops: n masks (rows, columns), each of its own size, none without pixels.
        corners: n (top, left) of each in the image.
        height: rows of the image.
    """
    # A background pixel after each column keeps runs inside columns and crops apart.
    columns_first = [np.pad(crop.T, ((0, 0), (0, 1))).ravel() for crop in crops]
    flat = np.concatenate([np.zeros(1, bool), *columns_first])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    starts, ends = changes[::2], changes[1::2]
    sizes = np.array([len(column) for column in columns_first], np.int64)
    first = np.cumsum(sizes) - sizes
    of = np.searchsorted(first, starts, side="right") - 1
    stride = np.array([crop.shape[0] + 1 for crop in crops], np.int64)[of]
    top, left = np.array(corners, np.int64).reshape(-1, 2)[of].T
    column = (starts - first[of]) // stride
    pixel = (column + left) * height + top + starts - first[of] - column * stride
    return ManyRuns(len(crops), of, pixel, pixel + ends - starts)


def decode(masks: Sequence[bytes], height: int, width: int, *, where: str | Path | None = None) -> ManyRuns:
    """Runs of COCO compressed counts; `kit.masks.coco` describes the format.

    Args:
        masks: n compressed counts.
        height: rows of their image.
        width: its columns.
        where: named in messages.

    Raises:
        KitError: bytes that are no compressed counts, or not of an image of this size.
    """
    none = np.empty(0, np.int64)
    if not masks:
        return ManyRuns(0, none, none, none)
    lengths, first, numbers = _lengths(masks, height, width, where)
    totals = np.add.reduceat(lengths, first)
    if (totals != height * width).any() or (lengths < 0).any():
        _refuse(masks, height, width, where)
    ends = np.cumsum(lengths) - np.repeat(np.arange(len(masks)) * (height * width), numbers)
    foreground = np.flatnonzero((_places(first, numbers) % 2 == 1) & (lengths > 0))
    of = np.repeat(np.arange(len(masks)), numbers)[foreground]
    return ManyRuns(len(masks), of, (ends - lengths)[foreground], ends[foreground])


def encode(runs: ManyRuns, height: int, width: int) -> list[bytes]:
    """COCO compressed counts of every mask; runs that touch are joined.

    Args:
        runs: of the masks.
        height: rows of their image.
        width: its columns.
    """
    if runs.count == 0:
        return []
    opens = np.ones(len(runs.of), bool)
    opens[1:] = (runs.of[1:] != runs.of[:-1]) | (runs.starts[1:] != runs.ends[:-1])
    closes = np.append(opens[1:], True)[: len(opens)]
    of, starts, ends = runs.of[opens], runs.starts[opens], runs.ends[closes]

    own = np.bincount(of, minlength=runs.count)
    covered = np.zeros(runs.count, np.int64)  # where each mask's last run ends
    covered[of] = ends
    numbers = 2 * own + (covered < height * width)
    first = np.cumsum(numbers) - numbers
    lengths = np.zeros(numbers.sum(), np.int64)
    place = first[of] + 2 * (np.arange(len(of)) - (np.cumsum(own) - own)[of])
    before = np.append(0, ends[:-1])[: len(ends)]
    lengths[place] = starts - np.where(place == first[of], 0, before)
    lengths[place + 1] = ends - starts
    open_ended = np.flatnonzero(covered < height * width)
    lengths[first[open_ended] + 2 * own[open_ended]] = height * width - covered[open_ended]
    return _compress(lengths, first, numbers)


def _places(first: Integers, numbers: Integers) -> Integers:
    """For every number its place in its mask."""
    return np.arange(numbers.sum()) - np.repeat(first, numbers)


def _compress(lengths: Integers, first: Integers, numbers: Integers) -> list[bytes]:
    """Alternating lengths to characters, a digit of all numbers at a time."""
    left = lengths.copy()
    later = np.flatnonzero(_places(first, numbers) >= 3)
    left[later] -= lengths[later - 2]
    digits: list[Integers] = []
    written: list[NDArray[np.bool_]] = []
    pending = np.ones(len(left), bool)
    while pending.any():
        digit = left & 0x1F
        left >>= 5
        more = np.where(digit & 0x10, left != -1, left != 0)
        digits.append(digit + np.where(more, 48 + 0x20, 48))
        written.append(pending)
        pending = pending & more
    chosen = np.stack(written, axis=1)
    characters = np.stack(digits, axis=1)[chosen].astype(np.uint8).tobytes()
    stops = np.cumsum(np.add.reduceat(chosen.sum(axis=1), first)).tolist()
    return [characters[start:stop] for start, stop in zip([0, *stops], stops, strict=False)]


def _lengths(
    masks: Sequence[bytes], height: int, width: int, where: str | Path | None
) -> tuple[Integers, Integers, Integers]:
    """Alternating lengths of all masks; per mask its first number and how many it has."""
    stops = np.cumsum([len(counts) for counts in masks])
    digits = np.frombuffer(b"".join(masks), np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero((digits & 0x20) == 0)
    sizes = np.diff(ends, prepend=-1)
    after = np.searchsorted(ends, stops)  # numbers up to the end of each mask
    fault = (
        min(len(counts) for counts in masks) == 0
        or bool(((digits < 0) | (digits > 0x3F)).any())
        or len(ends) == 0
        or bool((ends[np.maximum(after - 1, 0)] != stops - 1).any())
        or int(sizes.max()) > 12
    )
    if fault:
        _refuse(masks, height, width, where)
    numbers = np.diff(after, prepend=0)
    first = after - numbers
    starts = ends + 1 - sizes
    values = np.zeros(len(ends), np.int64)
    for digit in range(int(sizes.max())):
        longer = np.flatnonzero(sizes > digit)
        values[longer] += (digits[starts[longer] + digit] & 0x1F) << (5 * digit)
    values -= np.where(digits[ends] & 0x10, np.left_shift(1, 5 * sizes), 0)
    # From the fourth number on a number is its difference to the one two places before.
    place = _places(first, numbers)
    for chain, of_mask in (
        (place % 2 == 1, numbers // 2),
        ((place % 2 == 0) & (place > 0), (numbers - 1) // 2),
    ):
        sums = np.append(0, np.cumsum(values[chain]))
        values[chain] = sums[1:] - np.repeat(sums[np.cumsum(of_mask) - of_mask], of_mask)
    return values, first, numbers


def _refuse(masks: Sequence[bytes], height: int, width: int, where: str | Path | None) -> None:
    """Say of the first bad mask what is wrong with it."""
    for counts in masks:
        coco.runs_of(counts, height, width, where=where)
    raise KitError("a mask's run lengths are damaged", where=where, fix="run that pass again")
