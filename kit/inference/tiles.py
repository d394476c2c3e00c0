"""Which cores an image is cut into, and which pixels each core's window shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True)
class Tile:
    """One core: rows y0..y0+height, columns x0..x0+width of the image, never empty, never outside.

    Its window is `core + 2 * context` pixels a side and starts `context` above and left of (y0, x0), also at
    the right and bottom border, where the core itself is cut: the network always sees the size it was trained
    on.
    """

    y0: int
    x0: int
    height: int
    width: int


def count(height: int, width: int, core: int) -> int:
    """How many tiles `plan` gives."""
    return -(-height // core) * -(-width // core)


def plan(height: int, width: int, core: int) -> Iterator[Tile]:
    """The cores of an image, row by row; together they are every pixel exactly once.

    Args:
        height: rows of the image.
        width: columns of the image.
        core: pixels a side.
    """
    for y0 in range(0, height, core):
        for x0 in range(0, width, core):
            yield Tile(y0, x0, min(core, height - y0), min(core, width - x0))


def move_up(rows: NDArray[Any], by: int) -> None:
    """Move rows towards the first one in place; the last `by` rows keep what they held.

    In pieces that do not overlap: numpy would make a copy of everything else.

    Args:
        rows: any array; its first axis is moved.
        by: how many rows up.
    """
    for first in range(by, len(rows), by) if by else ():
        piece = rows[first : first + by]
        rows[first - by : first - by + len(piece)] = piece
