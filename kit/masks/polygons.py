"""Polygons of an annotation file, filled."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kit.errors import KitError

Ring = Sequence[Sequence[float]]
"""Vertices (x, y) in pixels; closed by itself."""


def fill(
    rings: Sequence[Ring], height: int, width: int, *, where: str | Path | None = None
) -> NDArray[np.bool_]:
    """Pixels inside some rings (even-odd rule, so a ring in a ring is a hole), the outline included.

    As the competition's own tools do, vertices are rounded to pixels and filled by OpenCV.

    Args:
        rings: vertices (x, y); x in 0..width and y in 0..height (the far edges count as the last pixel's).
        height: rows of the tile.
        width: columns of the tile.
        where: file, tile and polygon, for the error message.

    Returns:
        (height, width).

    Raises:
        KitError: a ring has fewer than three vertices, is no list of (x, y), or leaves the tile.
    """
    import cv2

    points = [_vertices(ring, number, height, width, where) for number, ring in enumerate(rings)]
    filled = np.zeros((height, width), np.uint8)
    if points:
        cv2.fillPoly(filled, points, 1)
    return filled.astype(bool)


def _vertices(
    ring: Ring, number: int, height: int, width: int, where: str | Path | None
) -> NDArray[np.int32]:
    try:
        points = np.asarray(ring, np.float64)
    except (TypeError, ValueError) as error:
        raise KitError(f"ring {number} is no list of (x, y): {error}", where=where) from error
    if points.ndim != 2 or points.shape[1] != 2:
        raise KitError(f"ring {number} has the shape {points.shape}, needed is (n, 2)", where=where)
    if len(points) < 3:
        raise KitError(
            f"ring {number} has {len(points)} vertices, needed are 3", where=where, fix="remove that polygon"
        )
    inside = np.all((points >= 0) & (points <= (width, height)), axis=1)  # False for NaN, too
    if not inside.all():
        vertex = int(np.argmin(inside))
        x, y = points[vertex]
        raise KitError(
            f"vertex {vertex} of ring {number} ({x:g}, {y:g}) lies outside the tile ({width} x {height})",
            where=where,
            fix="coordinates are (x, y) in the tile's pixels; clip the polygon or correct the tile's size",
        )
    return np.minimum(np.rint(points), (width - 1, height - 1)).astype(np.int32)
