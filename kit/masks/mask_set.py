"""All masks of one image as runs in flat arrays, so that numpy works on all of them in one call.

300 masks of 50 x 50 pixels have about 12,000 short runs. A loop over masks spends most of its time on calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kit.masks.counts import Integers, compress, expand, places


@dataclass(frozen=True)
class MaskSet:
    """Runs of foreground of `count` masks over column-major pixels of one image.

    Three masks, of which the first has the pixels 1 to 3 and 7, the second none and the third 2 to 4:

        count   3
        of      0  0  2
        starts  1  7  2
        ends    4  8  5

    Attributes:
        count: number of masks; a mask without foreground has no run.
        of: (n,) the mask of each run, ascending.
        starts: (n,) first pixel of each run, from 0; ascending within a mask.
        ends: (n,) pixel after the last one of each run.
    """

    count: int
    of: Integers
    starts: Integers
    ends: Integers

    def areas(self) -> Integers:
        """Return the number of foreground pixels of every mask, (count,)."""
        return np.bincount(self.of, self.ends - self.starts, self.count).astype(np.int64)

    def take(self, masks: Integers) -> MaskSet:
        """Return the masks at ascending positions, numbered from 0 again."""
        place = np.full(self.count, -1)
        place[masks] = np.arange(len(masks))
        of = place[self.of]
        kept = of >= 0
        return MaskSet(len(masks), of[kept], self.starts[kept], self.ends[kept])

    def columns(self, height: int) -> MaskSet:
        """Return the same masks with runs cut at the ends of columns of `height` pixels."""
        # With 10 rows, the run 8..25 becomes 8..10, 10..20 and 20..25 (ends exclusive).
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
        """Return the masks of a window as masks of the image that the window was cut from.

        Args:
            rows: rows of the window.
            corner: (top, left) of the window in the image.
            height: rows of the image.
        """
        # Pixel 7 of a window of 5 rows is column 1, row 2. With the corner (top 100, left 30) in an image of
        # 1,000 rows, it is column 31, row 102 of the image: pixel 31,102.
        top, left = corner
        strokes = self.columns(rows)
        column = strokes.starts // rows
        starts = (column + left) * height + top + strokes.starts - column * rows
        return MaskSet(self.count, strokes.of, starts, starts + strokes.ends - strokes.starts)


def join(parts: Sequence[MaskSet]) -> MaskSet:
    """Return the masks of all parts, one part after another."""
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
    """Return the runs of masks that are given as crops of their image.

    Args:
        crops: n masks (rows, columns), each of its own size, none of size 0.
        corners: (top, left) of each crop in the image.
        height: rows of the image.
    """
    # All crops become one line, column by column, with a background pixel in front and after each column, so
    # that no run goes on in another column or crop. Of the crops [[1, 1], [0, 1]] and [[1]]:
    #     line    0 | 1 0 0 | 1 1 0 | 1 0        changes at 0, 1, 3, 5, 6, 7: runs 0..1, 3..5, 6..7
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
    """Return the masks of COCO compressed counts (format: `kit.masks.counts`).

    Args:
        masks: n compressed counts.
        height: rows of their image.
        width: columns of their image.
        where: file and row, for the error message.

    Raises:
        KitError: the bytes of a mask are no compressed counts, or those of an image of another size.
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
    """Return the COCO compressed counts of every mask; runs that touch are joined.

    Args:
        runs: of the masks.
        height: rows of their image.
        width: columns of their image.
    """
    if runs.count == 0:
        return []
    opens = np.ones(len(runs.of), bool)
    opens[1:] = (runs.of[1:] != runs.of[:-1]) | (runs.starts[1:] != runs.ends[:-1])
    closes = np.append(opens[1:], True)[: len(opens)]
    of, starts, ends = runs.of[opens], runs.starts[opens], runs.ends[closes]

    # Each run gives two lengths, the background before it and itself. A mask whose last run ends before the
    # image does has one more length. In an image of 10 pixels, the masks 1..4, 7..8 and 5..10 (ends
    # exclusive) have the lengths 1 3 3 1 2 and 5 5.
    own = np.bincount(of, minlength=runs.count)
    last_end = np.zeros(runs.count, np.int64)
    last_end[of] = ends
    numbers = 2 * own + (last_end < height * width)
    first = np.cumsum(numbers) - numbers
    lengths = np.zeros(numbers.sum(), np.int64)
    place = first[of] + 2 * (np.arange(len(of)) - (np.cumsum(own) - own)[of])
    before = np.append(0, ends[:-1])[: len(ends)]
    lengths[place] = starts - np.where(place == first[of], 0, before)
    lengths[place + 1] = ends - starts
    rest = np.flatnonzero(last_end < height * width)
    lengths[first[rest] + 2 * own[rest]] = height * width - last_end[rest]
    return compress(lengths, numbers)
