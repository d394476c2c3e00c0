"""Draw outlines as masks, and find the outlines of masks; there and back, no pixel changes.

Vertices are the centres of the outermost pixels, which belong to the region, as in OpenCV and the vasculature
competition. COCO's polygons run along the edges of the pixels (`kit.local.masks.segmentation`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.errors import KitError
from kit.local.wording import counted
from kit.typed_json import shown

_FIX = "a ring is [[x, y], ...] in the image's pixels; correct it, or remove this polygon"
_LARGEST = 1e7
"""Pixels; no image is so large, and larger numbers would cost OpenCV time."""
_MARGIN = 1024
"""Pixels by which an outline may leave its tile and still be cut exactly."""

# The upper left 2 x 2 pixels of an image:
#
#     x x .      as an outline here   (0, 0) (1, 0) (1, 1) (0, 1)
#     x x .      as COCO's polygon     0, 0,  2, 0,  2, 2,  0, 2
Ring = Sequence[Sequence[float]]
"""Vertices (x, y) in pixels; the last one is joined to the first."""


def fill(
    rings: Sequence[Ring | NDArray[np.float64]],
    height: int,
    width: int,
    *,
    where: str | Path | None = None,
) -> NDArray[np.bool_]:
    """Return the pixels inside rings, outline included; a ring inside a ring is a hole (even-odd rule).

    Vertices are rounded to pixels and filled by OpenCV, as in the competition's own tools. What lies outside
    the tile is cut off.

    Args:
        rings: vertices (x, y); x = width and y = height, the far edges, count as the last pixel.
        height: rows of the tile.
        width: columns of the tile.
        where: file, tile and polygon, for the error message.

    Returns:
        (height, width).

    Raises:
        KitError: a ring has fewer than three vertices, or is no list of (x, y).
    """
    import cv2

    points = [_pixels(ring, number, height, width, where) for number, ring in enumerate(rings)]
    if not points:
        return np.zeros((height, width), bool)
    # OpenCV draws a line that it cuts off a pixel beside the whole line. So an outline that leaves the tile
    # is drawn on a larger one, as (-2, 3) to (5, 9) on one with 2 more columns at its left, and then cut.
    every = np.concatenate(points)
    low, high = np.minimum(every.min(axis=0), 0), np.maximum(every.max(axis=0) + 1, (width, height))
    if max(*-low, *(high - (width, height))) > _MARGIN:  # so far outside that a pixel does not matter
        low, high = np.zeros(2, np.int32), np.array([width, height])
    columns, rows = (high - low).tolist()
    filled = np.zeros((rows, columns), np.uint8)
    cv2.fillPoly(filled, [ring - low for ring in points], 1)
    left, top = (-low).tolist()
    return filled[top : top + height, left : left + width].astype(bool)


def vertices(ring: Any, number: int, *, where: str | Path | None = None) -> NDArray[np.float64]:
    """Return the vertices of a ring, (n, 2); a third coordinate, the height in GeoJSON, is left out.

    Args:
        ring: as JSON gives it.
        number: of the ring, for the error message.
        where: file, tile and polygon, for the error message.

    Raises:
        KitError: it is no list of (x, y), or a vertex is no pair of numbers that can be pixels.
    """
    try:
        points = _array(ring)
        if points is None:  # some vertices may have a height and others none, or one may be huge
            points = np.array([_pair(vertex) for vertex in ring], np.float64)
        if points.shape == (0,):
            return np.zeros((0, 2))
        points = points[:, :2].astype(np.float64)
    except (TypeError, ValueError, IndexError, KeyError) as error:
        raise KitError(f"ring {number} is no list of (x, y): {error}", where=where, fix=_FIX) from error
    if points.shape[1] != 2:
        raise KitError(
            f"ring {number} has the shape {points.shape}, it has to be (n, 2)", where=where, fix=_FIX
        )
    possible = np.all(np.abs(points) <= _LARGEST, axis=1)  # False for NaN, too
    if not possible.all():
        vertex = int(np.argmin(possible))
        x, y = points[vertex]
        raise KitError(
            f"vertex {vertex} of ring {number} ({x:g}, {y:g}) is no place in an image", where=where, fix=_FIX
        )
    return points


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


def _pixels(
    ring: Ring | NDArray[np.float64], number: int, height: int, width: int, where: str | Path | None
) -> NDArray[np.int32]:
    points = vertices(ring, number, where=where)
    if len(points) < 3:
        raise KitError(
            f"ring {number} has {counted(len(points), 'vertex', plural='vertices')}, it needs at least 3",
            where=where,
            fix="remove this polygon",
        )
    size = np.array([width, height])
    rounded = np.rint(points)
    return np.where(points <= size, np.minimum(rounded, size - 1), rounded).astype(np.int32)


def _array(ring: Any) -> NDArray[Any] | None:
    """Return a list of equally long lists of numbers as an array, None for anything else."""
    try:
        points = np.asarray(ring)
    except ValueError:
        return None
    return points if points.shape == (0,) or (points.dtype.kind in "iuf" and points.ndim == 2) else None


def _pair(vertex: Any) -> list[float]:
    if not isinstance(vertex, list | tuple):
        raise TypeError(f"{shown(vertex)} is no pair")
    return [_number(value) for value in vertex[:2]]


def _number(value: Any) -> float:
    """Return a number as JSON gives it; one too large for a float is infinite."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{shown(value)} is no number")
    try:
        return float(value)
    except OverflowError:
        return math.inf
