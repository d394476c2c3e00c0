"""Polygons of annotation files to masks and back, both ways without losing a pixel.

Two kinds are in use. Outlines have their vertices in the centres of the outermost pixels, which belong to the
region (`fill`, `outlines`; OpenCV's kind, and the vasculature competition's). COCO's polygons run along the
pixels' edges, cover what they enclose, and several of a region are united (`from_coco`, `to_coco`).
"""

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


def outlines(mask_HW: NDArray[np.bool_] | NDArray[np.uint8]) -> list[list[Ring]]:
    """The regions of a mask as outlines that `fill` turns into the same pixels again.

    Args:
        mask_HW: (height, width); anything but zero is foreground.

    Returns:
        For each region (pixels that touch at sides or corners) its outer ring and those of its holes.
        Vertices are (x, y); rings of one or two pixels repeat the last one up to three.
    """
    import cv2

    contours, tree = cv2.findContours(
        (np.asarray(mask_HW) != 0).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE
    )
    rings: list[Ring] = [contour[:, 0].tolist() for contour in contours]
    rings = [[*ring, *[ring[-1]] * (3 - len(ring))] for ring in rings]
    parents = tree[0, :, 3].tolist() if rings else []
    regions = {number: [rings[number]] for number, parent in enumerate(parents) if parent < 0}
    for number, parent in enumerate(parents):
        if parent >= 0:
            regions[parent].append(rings[number])
    return list(regions.values())


def from_coco(
    segmentation: Sequence[Sequence[float]], height: int, width: int, *, where: str | Path | None = None
) -> NDArray[np.bool_]:
    """Pixels inside any of some COCO polygons, as pycocotools draws them.

    Args:
        segmentation: polygons x0, y0, x1, y1 ... along pixels' edges; what leaves the image is cut off.
        height: rows of the image.
        width: columns of the image.
        where: file and annotation, for the error message.

    Returns:
        (height, width), Fortran-ordered.

    Raises:
        KitError: a polygon has an odd count of numbers, fewer than six, or one that is not finite.
    """
    from pycocotools import mask as coco_mask

    from kit.masks import coco

    fix = "a COCO polygon is a list x0, y0, x1, y1, x2, y2 ... of pixels"
    polygons = []
    for number, polygon in enumerate(segmentation):
        try:
            values = np.asarray(polygon, np.float64)
        except (TypeError, ValueError) as error:
            raise KitError(
                f"polygon {number} is no list of numbers: {error}", where=where, fix=fix
            ) from error
        if values.ndim != 1 or len(values) < 6 or len(values) % 2 or not np.isfinite(values).all():
            raise KitError(
                f"polygon {number} is no list of six or more finite numbers, x and y in turns",
                where=where,
                fix=fix,
            )
        polygons.append(values.tolist())
    if not polygons:
        return np.zeros((height, width), bool)
    merged = coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))
    return coco.decode(merged["counts"], height, width)


def to_coco(mask_HW: NDArray[np.bool_] | NDArray[np.uint8]) -> list[list[float]]:
    """COCO polygons that pycocotools, and so `from_coco`, turns into the same pixels again.

    COCO unites the polygons of a region, so that none can be a hole. Therefore each region is one polygon
    that goes over to the rings of its holes and back on the same line.

    Args:
        mask_HW: (height, width); anything but zero is foreground.

    Returns:
        A polygon x0, y0, x1, y1 ... for each region (pixels that touch at sides), along pixels' edges.
    """
    import cv2

    count, label_HW = cv2.connectedComponents((np.asarray(mask_HW) != 0).astype(np.uint8), connectivity=4)
    polygons = []
    for number in range(1, count):
        rings = _edges(label_HW == number)
        points = [point for ring in rings for point in (*ring, ring[0])]
        points += [ring[0] for ring in reversed(rings[:-1])]
        polygons.append([float(value) for point in points for value in point])
    return polygons


def _edges(region_HW: NDArray[np.bool_]) -> list[list[tuple[int, int]]]:
    """Rings along the edges of pixels: corners (x, y) joined in turns along their row and their column.

    On each line of the grid, edges begin and end in turns, so the corners on it, in order, are joined in
    pairs. A corner where two pixels touch diagonally ends two edges and begins two, and counts twice.
    """
    padded = np.pad(region_HW, 1).astype(np.int8)
    turns = padded[1:, 1:] - padded[:-1, 1:] - padded[1:, :-1] + padded[:-1, :-1]
    y, x = np.nonzero(turns)
    times = np.abs(turns[y, x])
    y, x = np.repeat(y, times), np.repeat(x, times)  # row by row
    down = np.lexsort((y, x))
    partner = np.empty(len(x), np.int64)
    partner[down[0::2]], partner[down[1::2]] = down[1::2], down[0::2]
    rings, left = [], np.ones(len(x), bool)
    for first in range(0, len(x), 2):
        at, ring = first, []
        while left[at]:
            beside = at ^ 1  # the other end of the edge along the row
            ring += [(int(x[at]), int(y[at])), (int(x[beside]), int(y[beside]))]
            left[at] = left[beside] = False
            at = int(partner[beside])
        if ring:
            rings.append(ring)
    return rings


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
