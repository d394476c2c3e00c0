"""Find which tiles were cut from one image, by how well the pixels continue across their edges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

Position = tuple[int, int]
"""Row and column of a tile in its source image."""


@dataclass(frozen=True)
class Seam:
    """Two tiles that may be neighbours.

    Attributes:
        step: mean absolute difference across the seam, divided by that between neighbouring pixels inside
            the two tiles. Where one image goes on, the seam looks like any other place: about 1. A seam with
            a mean difference of 30 between tiles with one of 10 has 3: two images.
        first: id of the upper or left tile.
        second: id of the lower or right tile.
        shift: rows and columns from first to second, (0, 1) or (1, 0).
    """

    step: float
    first: str
    second: str
    shift: Position


def seams(tiles: Mapping[str, NDArray[np.uint8]]) -> list[Seam]:
    """Return all ordered pairs of tiles, side by side and one above the other, best first.

    Args:
        tiles: id -> image_HWC; all of one size.
    """
    # int16: the difference of two uint8 would wrap around.
    image = {key: tile_HWC.astype(np.int16) for key, tile_HWC in tiles.items()}
    roughness = {
        key: {
            (0, 1): float(np.abs(np.diff(tile_HWC, axis=1)).mean()),
            (1, 0): float(np.abs(np.diff(tile_HWC, axis=0)).mean()),
        }
        for key, tile_HWC in image.items()
    }
    found = []
    for first, second in permutations(sorted(image), 2):
        for shift, last, start in (
            ((0, 1), image[first][:, -1], image[second][:, 0]),
            ((1, 0), image[first][-1], image[second][0]),
        ):
            inside = (roughness[first][shift] + roughness[second][shift]) / 2
            step = float(np.abs(last - start).mean()) / max(inside, 1e-6)
            found.append(Seam(step, first, second, shift))
    return sorted(found, key=lambda seam: (seam.step, seam.first, seam.second, seam.shift))


def source_images(
    tiles: Mapping[str, NDArray[np.uint8]], *, rows: int, columns: int, limit: float
) -> list[dict[str, Position]]:
    """Put tiles together, best seam first, as long as the result fits a grid of `rows` x `columns`.

    Each tile begins as a part of its own, at (0, 0). A seam joins the two parts of its tiles: that of the
    second tile is moved so that the tile lies where the seam says. With "A left of B" and then "C above B":

        {A: (0, 0)} + {B: (0, 0)} -> {A: (0, 0), B: (0, 1)}
        {C: (0, 0)} + {A: .., B: ..}: B has to lie at (1, 0), so the part moves by (1, -1)
                                  -> {C: (0, 0), A: (1, -1), B: (1, 0)}

    At the end each part is moved so that it begins at (0, 0).

    Args:
        tiles: id -> image_HWC; all of one size.
        rows: of tiles in one source image.
        columns: of tiles in one source image.
        limit: largest `Seam.step` that counts as a continuation.

    Returns:
        One dict for each source image: id -> position of the tile in it; ordered by smallest id.
    """
    parts: dict[str, dict[str, Position]] = {key: {key: (0, 0)} for key in tiles}
    for seam in seams(tiles):
        if seam.step > limit:
            break
        one, other = parts[seam.first], parts[seam.second]
        if one is other:
            continue
        # How far `other` has to move so that its tile lies where the seam says: place it should have minus
        # place it has.
        down = one[seam.first][0] + seam.shift[0] - other[seam.second][0]
        right = one[seam.first][1] + seam.shift[1] - other[seam.second][1]
        joined = {**one, **{key: (row + down, column + right) for key, (row, column) in other.items()}}
        # A seam that would make the image too large, or put two tiles at one place, is skipped: some tile of
        # another image happened to fit better than it should.
        if _fits(joined, rows, columns):
            for key in joined:
                parts[key] = joined
    distinct = {min(part): part for part in parts.values()}
    return [_from_zero(distinct[key]) for key in sorted(distinct)]


def _fits(part: Mapping[str, Position], rows: int, columns: int) -> bool:
    taken = list(part.values())
    down = [row for row, _ in taken]
    right = [column for _, column in taken]
    return (
        len(set(taken)) == len(taken) and max(down) - min(down) < rows and max(right) - min(right) < columns
    )


def _from_zero(part: Mapping[str, Position]) -> dict[str, Position]:
    top = min(row for row, _ in part.values())
    left = min(column for _, column in part.values())
    return {key: (row - top, column - left) for key, (row, column) in sorted(part.items())}
