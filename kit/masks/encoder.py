"""Encode masks as runs over column-major pixels without transposing a slide.

The encoder finds the few pixels that differ from the one before, and sorts only these. Where they are dense
(noise), sorting them takes longer than transposing. The encoder keeps such blocks as
maps of changes and transposes them a few columns at a time.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Runs: TypeAlias = NDArray[np.int64]
"""(N, 2): zero-based start and length; sorted, positive, neither overlapping nor touching."""

Mask: TypeAlias = NDArray[np.bool_] | NDArray[np.uint8]
"""(height, width); anything but zero is foreground."""

# A change is a pixel that differs from the one before it down the columns: from the pixel above it or, in row
# 0, from the last pixel of the column to the left.
#
#     column  0 1 2
#     row 0   . # .    row 0: (column 2, row 0) differs from (column 1, row 1)
#     row 1   # # .    row 1: (column 0, row 1) differs from the pixel above
#
# The encoder looks for changes row by row, as memory holds the pixels, and sorts only these by column and
# row: (0, 1), (2, 0). They are the pixels 1 and 4 down the columns, so the mask has the run 1..4. Bands come
# one after another, and row 0 is compared at the end, so the mask of a slide is never in memory at once.
_COLUMN = 32
"""A change is kept as column << 32 | row: such keys sort column-major while the height is not yet known."""
BLOCK = 1 << 20
"""Pixels compared at once: their differences stay in the processor's cache."""
_GROUP = 1 << 22
"""Pixels transposed at once."""
_PARTS = 16
"""Parts of a buffer that are combined by OR before the result is searched."""
_DENSE = 16
"""From one change per 16 pixels on, searching a map of all pixels is faster than sorting positions."""


class RunLengthEncoder:
    """Encodes a mask given as bands of rows, top to bottom.

    Memory grows with the number of changes, by at most one byte per pixel.

    Args:
        width: columns of the mask.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self.height = 0
        self._keys: list[NDArray[np.int64]] = []
        self._maps: list[tuple[int, NDArray[np.bool_]]] = []
        self._first: NDArray[np.bool_] = np.zeros(width, bool)
        self._last: NDArray[np.bool_] = np.zeros(width, bool)
        self._buffer = np.zeros(0, np.uint8)

    def push(self, band_HW: Mask) -> None:
        """Add rows below the rows already pushed.

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
        rows = max(1, BLOCK // self.width)
        for top in range(0, len(band_HW), rows):
            self._push_block(_as_bool(band_HW[top : top + rows]))

    def finish(self) -> Runs:
        """Return the runs of all rows pushed so far."""
        above_first = np.concatenate([[False], self._last[:-1]])
        at_top = np.flatnonzero(self._first != above_first)
        in_maps = sum(int(np.count_nonzero(map_HW)) for _, map_HW in self._maps)
        total = len(at_top) + sum(map(len, self._keys)) + in_maps
        if self._maps and total * _DENSE > self.width * self.height:
            return runs_between(self._scanned(at_top, total), self.width * self.height)
        maps = [_keys(np.flatnonzero(map_HW), self.width, top) for top, map_HW in self._maps]
        keys = np.concatenate([at_top << _COLUMN, *self._keys, *maps])
        keys.sort()
        rows = keys & ((1 << _COLUMN) - 1)
        keys >>= _COLUMN
        keys *= self.height
        keys += rows
        return runs_between(keys, self.width * self.height)

    def _push_block(self, block_HW: NDArray[np.bool_]) -> None:
        """Keep the changes of a block of rows that fits the buffer."""
        if self.height == 0:
            self._first = block_HW[0].copy()
            self._last = self._first
        size, padded = block_HW.size, _padded(block_HW.size)
        if len(self._buffer) < padded:
            self._buffer = np.zeros(padded, np.uint8)
        buffer, flat = self._buffer[:padded], block_HW.reshape(-1).view(np.uint8)
        np.bitwise_xor(self._last.view(np.uint8), flat[: self.width], out=buffer[: self.width])
        np.bitwise_xor(flat[: -self.width], flat[self.width :], out=buffer[self.width : size])
        buffer[size:] = 0
        found = _nonzero(buffer, size // _DENSE)
        if found is None:
            self._maps.append((self.height, buffer[:size].view(bool).reshape(block_HW.shape).copy()))
        else:
            self._keys.append(_keys(found, self.width, self.height))
        self._last = block_HW[-1].copy()
        self.height += len(block_HW)

    def _scanned(self, at_top: NDArray[np.int64], total: int) -> NDArray[np.int64]:
        """Return all changes in column-major order; search transposed maps of a few columns each."""
        keys = np.concatenate([at_top << _COLUMN, *self._keys])
        keys.sort()
        columns = min(self.width, max(1, _GROUP // self.height))
        lefts = np.arange(0, self.width, columns)
        begins = np.append(np.searchsorted(keys, lefts << _COLUMN), len(keys))
        changes, done = np.empty(total, np.int64), 0
        changed_WH = np.zeros((columns, self.height), bool)
        for left, begin, end in zip(lefts.tolist(), begins[:-1], begins[1:], strict=True):
            right = min(left + columns, self.width)
            changed_WH[:] = False
            for top, map_HW in self._maps:
                changed_WH[: right - left, top : top + len(map_HW)] = map_HW[:, left:right].T
            changed_WH[(keys[begin:end] >> _COLUMN) - left, keys[begin:end] & ((1 << _COLUMN) - 1)] = True
            found = np.flatnonzero(changed_WH[: right - left])
            np.add(found, left * self.height, out=changes[done : done + len(found)])
            done += len(found)
        return changes


def encode_columns(mask_WH: Mask) -> Runs:
    """Return the runs of a mask that is stored column by column (C-contiguous when transposed)."""
    flat = mask_WH.reshape(-1)
    buffer = np.zeros(min(_padded(flat.size), BLOCK), np.uint8)
    changes = [np.flatnonzero(flat[:1])]
    for begin in range(1, flat.size, BLOCK):
        part = _as_bool(flat[begin - 1 : begin + BLOCK]).view(np.uint8)
        size = len(part) - 1
        np.bitwise_xor(part[:-1], part[1:], out=buffer[:size])
        buffer[size:] = 0
        found = _nonzero(buffer, size)
        assert found is not None, "more changes than pixels"
        found += begin
        changes.append(found)
    return runs_between(np.concatenate(changes), flat.size)


def runs_between(changes: NDArray[np.int64], size: int) -> Runs:
    """Return the runs whose starts and ends alternate in `changes`, which is overwritten.

    The last run may reach the end of the mask, where no change ends it.

    >>> runs_between(np.array([1, 4, 5]), 6).tolist()
    [[1, 3], [5, 1]]
    """
    if len(changes) % 2:
        changes = np.append(changes, size)
    runs = changes.reshape(-1, 2)
    runs[:, 1] -= runs[:, 0]
    return runs


def _as_bool(part: Mask) -> NDArray[np.bool_]:
    return np.ascontiguousarray(part if part.dtype == bool else part != 0)


def _padded(size: int) -> int:
    """Return the next size that is a whole number of 8-byte words in each part."""
    return -(-size // (8 * _PARTS)) * 8 * _PARTS


def _nonzero(buffer: NDArray[np.uint8], most: int) -> NDArray[np.int64] | None:
    """Return the positions of the ones in a buffer of zeros and ones, or None if there are too many.

    Args:
        buffer: its length is that of `_padded`.
        most: largest number of positions to return if more than a quarter of the combined words are not 0.
    """
    # The buffer is 16 parts of 8-byte words. A buffer of 1 MiB has 8,192 words per part. One OR combines the
    # 16 parts into 8,192 words, most of which are 0 for a mask of few objects. The 16 words behind a 0 need
    # no look.
    words = buffer.view(np.uint64).reshape(_PARTS, -1)
    hits = np.flatnonzero(np.bitwise_or.reduce(words, axis=0))
    if len(hits) * 4 > words.shape[1]:
        ones = buffer.view(bool)
        return None if np.count_nonzero(ones) > most else np.flatnonzero(ones)
    inside = np.flatnonzero(np.take(words, hits, axis=1).view(bool))
    places = ((np.arange(_PARTS) * words.shape[1])[:, None] + hits).reshape(-1) << 3
    positions: NDArray[np.int64] = places[inside >> 3] + (inside & 7)
    return positions


def _keys(found: NDArray[np.int64], width: int, top: int) -> NDArray[np.int64]:
    """Return the keys (column << 32 | row) of positions in a block whose first row is `top`."""
    row = found // width
    keys: NDArray[np.int64] = ((found - row * width) << _COLUMN) + (row + top)
    return keys
