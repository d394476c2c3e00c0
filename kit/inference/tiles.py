"""Cut an image into cores; each core has a window that shows it with its context."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True)
class Tile:
    """One core: the rows y0..y0+height and columns x0..x0+width of the image, never empty, never outside.

    Its window has `core + 2 * context` pixels per side and starts `context` above and left of (y0, x0). At
    the right and bottom border the core is cut, but not the window: the network always sees the size it was
    trained on.
    """

    y0: int
    x0: int
    height: int
    width: int


def count(height: int, width: int, core: int) -> int:
    """Return how many tiles `plan` gives."""
    return -(-height // core) * -(-width // core)


def plan(height: int, width: int, core: int) -> Iterator[Tile]:
    """Yield the cores of an image, row by row; each pixel is in exactly one.

    >>> [(tile.y0, tile.x0, tile.height, tile.width) for tile in plan(5, 7, 4)]
    [(0, 0, 4, 4), (0, 4, 4, 3), (4, 0, 1, 4), (4, 4, 1, 3)]

    Args:
        height: rows of the image.
        width: columns of the image.
        core: pixels per side.
    """
    for y0 in range(0, height, core):
        for x0 in range(0, width, core):
            yield Tile(y0, x0, min(core, height - y0), min(core, width - x0))


def move_up(rows: NDArray[Any], by: int) -> None:
    """Move rows towards the first one in place; the last `by` rows keep their contents.

    Args:
        rows: any array; its first axis is moved.
        by: how many rows up.
    """
    # `rows[:-by] = rows[by:]` would make numpy copy all of them first, because the two overlap. Pieces of
    # `by` rows do not overlap. Rows 0 1 2 3 4 moved by 2 become 2 3 4 3 4.
    for first in range(by, len(rows), by) if by else ():
        piece = rows[first : first + by]
        rows[first - by : first - by + len(piece)] = piece
