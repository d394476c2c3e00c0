"""Run lengths of many masks of one image at once: a few passes over flat arrays instead of a loop over masks.

300 masks of 50 x 50 pixels are 12000 short runs; decoded one by one, calls take far longer than the work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kit.masks import boxes
from kit.masks.counts import Integers, compress, expand, places


@dataclass(frozen=True)
class MaskSet:
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

    def boxes(self, height: int) -> Integers:
        """x0, y0, x1, y1 of every mask in an image of `height` rows, far ends exclusive, (count, 4)."""
        found = np.zeros((self.count, 4), np.int64)
        if len(self.of):
            first = np.flatnonzero(np.diff(self.of, prepend=-1))
            found[self.of[first]] = boxes.of_runs(self.starts, self.ends, first, height)
        return found

    def take(self, masks: Integers) -> MaskSet:
        """The masks at ascending positions, numbered from 0 again."""
        place = np.full(self.count, -1)
        place[masks] = np.arange(len(masks))
        of = place[self.of]
        kept = of >= 0
        return MaskSet(len(masks), of[kept], self.starts[kept], self.ends[kept])

    def columns(self, height: int) -> MaskSet:
        """The same pixels, runs cut where they go on in the next column of `height` pixels."""
        first, last = self.starts // height, (self.ends - 1) // height
        pieces = last - first + 1
        if (pieces == 1).all():
            return self
        number = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        column = np.repeat(first, pieces) + number
        starts = np.maximum(np.repeat(self.starts, pieces), column * height)
        ends = np.minimum(np.repeat(self.ends, pieces), (column + 1) * height)
        return MaskSet(self.count, np.repeat(self.of, pieces), starts, ends)

    def placed(self, rows: int, corner: tuple[int, int], height: int) -> MaskSet:
        """Masks of a window of `rows` rows in an image of `height` rows, (top, left) being its corner."""
        top, left = corner
        strokes = self.columns(rows)
        column = strokes.starts // rows
        starts = (column + left) * height + top + strokes.starts - column * rows
        return MaskSet(self.count, strokes.of, starts, starts + strokes.ends - strokes.starts)


def join(parts: Sequence[MaskSet]) -> MaskSet:
    """The masks of several parts, numbered on."""
    counts = np.cumsum([0, *(part.count for part in parts)])
    none = np.empty(0, np.int64)
    return MaskSet(
        int(counts[-1]),
        np.concatenate([none, *(part.of + count for part, count in zip(parts, counts, strict=False))]),
        np.concatenate([none, *(part.starts for part in parts)]),
        np.concatenate([none, *(part.ends for part in parts)]),
    )


def from_crops(
    crops: Sequence[NDArray[np.bool_]], corners: Sequence[tuple[int, int]], height: int
) -> MaskSet:
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
    return MaskSet(len(crops), of, pixel, pixel + ends - starts)


def decode(masks: Sequence[bytes], height: int, width: int, *, where: str | Path | None = None) -> MaskSet:
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
        return MaskSet(0, none, none, none)
    lengths, numbers = expand(masks, height, width, where)
    ends = np.cumsum(lengths) - np.repeat(np.arange(len(masks)) * (height * width), numbers)
    foreground = np.flatnonzero((places(numbers) & 1 == 1) & (lengths > 0))
    of = np.repeat(np.arange(len(masks)), numbers)[foreground]
    return MaskSet(len(masks), of, (ends - lengths)[foreground], ends[foreground])


def encode(runs: MaskSet, height: int, width: int) -> list[bytes]:
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
    return compress(lengths, numbers)
