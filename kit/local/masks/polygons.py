"""Draw outlines as masks, and find the outlines of masks; there and back, no pixel changes.

Vertices are the centres of the outermost pixels, which belong to the region, as in OpenCV and the vasculature
competition. COCO's polygons run along the edges of the pixels (`kit.local.masks.segmentation`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kit.errors import KitError

# The upper left 2 x 2 pixels of an image:
#
#     x x .      as an outline here   (0, 0) (1, 0) (1, 1) (0, 1)
#     x x .      as COCO's polygon     0, 0,  2, 0,  2, 2,  0, 2
Ring = Sequence[Sequence[float]]
"""Vertices (x, y) in pixels; the last one is joined to the first."""


def fill(
    rings: Sequence[Ring], height: int, width: int, *, where: str | Path | None = None
) -> NDArray[np.bool_]:
    """Return the pixels inside rings, outline included; a ring inside a ring is a hole (even-odd rule).

    Vertices are rounded to pixels and filled by OpenCV, as in the competition's own tools.

    Args:
        rings: vertices (x, y); x in 0..width, y in 0..height (the far edges count as the last pixel).
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


def outlines(mask_HW: NDArray[np.bool_] | NDArray[np.uint8]) -> list[list[Ring]]:
    """Return the regions of a mask as outlines that `fill` turns into the same pixels again.

    Args:
        mask_HW: (height, width); anything but zero is foreground.

    Returns:
        For each region (pixels that touch at sides or corners) its outer ring, then the rings of its holes.
        Vertices are (x, y); rings with one or two vertices repeat the last one until there are three.
    """
    import cv2

    contours, tree = cv2.findContours(
        (np.asarray(mask_HW) != 0).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE
    )
    rings: list[Ring] = [contour[:, 0].tolist() for contour in contours]
    # One pixel has one vertex, a line of pixels two; readers want three, so the last one is repeated.
    rings = [[*ring, *[ring[-1]] * (3 - len(ring))] for ring in rings]
    parents = tree[0, :, 3].tolist() if rings else []
    regions = {number: [rings[number]] for number, parent in enumerate(parents) if parent < 0}
    for number, parent in enumerate(parents):
        if parent >= 0:
            regions[parent].append(rings[number])
    return list(regions.values())


def _vertices(
    ring: Ring, number: int, height: int, width: int, where: str | Path | None
) -> NDArray[np.int32]:
    try:
        points = np.asarray(ring, np.float64)
    except (TypeError, ValueError) as error:
        raise KitError(f"ring {number} is no list of (x, y): {error}", where=where) from error
    if points.ndim != 2 or points.shape[1] != 2:
        raise KitError(f"ring {number} has the shape {points.shape}, it has to be (n, 2)", where=where)
    if len(points) < 3:
        raise KitError(
            f"ring {number} has {len(points)} vertices, it needs at least 3",
            where=where,
            fix="remove this polygon",
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
