"""Draw COCO's `segmentation`: one region of an annotation file, in any of its three forms.

- Polygons, lists x0, y0, x1, y1 ... along the edges of the pixels; the region is what any of them encloses.
- {"size": [height, width], "counts": [...]}: lengths of background and foreground in turn, down the columns.
- The same with compressed counts as text (`kit.masks.coco`).

(Format: cocodataset.org, "Data format", and the COCO API.)
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.errors import KitError
from kit.local.wording import counted
from kit.masks import coco, rle
from kit.masks.counts import require_size

_FIX = "a segmentation is a list of polygons [x0, y0, x1, y1, ...], or {counts, size} for run lengths"
_MOST_PIXELS = 2**31 - 1
"""Largest image with polygons: pycocotools numbers pixels with C integers."""
_SHORTEST = 6
"""Numbers of the shortest polygon; annotation tools leave parts of one or two points behind."""
_LONGEST = 10_000_000
"""Longest outline in pixels: pycocotools needs over 100 bytes for each, and crashes without them."""


def compact(segmentation: Any) -> Any:
    """Return a segmentation with its lists of numbers as arrays, which take a fraction of the memory.

    Anything else is returned as it is; `runs_of` refuses it later.
    """
    if isinstance(segmentation, list):
        return [_numbers(polygon, np.float64) for polygon in segmentation]
    if isinstance(segmentation, Mapping):
        return {key: _numbers(segmentation[key], None) for key in ("size", "counts") if key in segmentation}
    return segmentation


def key_of(segmentation: Any) -> Hashable:
    """Return a value that is equal for compact segmentations with the same numbers, and else unique."""
    if isinstance(segmentation, list):
        return tuple(map(_key, segmentation))
    if isinstance(segmentation, Mapping):
        return tuple((name, _key(value)) for name, value in segmentation.items())
    return id(segmentation)


def outlines(segmentation: Any) -> tuple[list[NDArray[np.float64]], int]:
    """Return the vertices of a valid, compact segmentation's polygons, and how many have too few of them."""
    if not isinstance(segmentation, list):
        return [], 0
    kept = [polygon.reshape(-1, 2) for polygon in segmentation if len(polygon) >= _SHORTEST]
    return kept, len(segmentation) - len(kept)


def runs_of(segmentation: Any, height: int, width: int, *, where: str | Path | None = None) -> rle.Runs:
    """Return the zero-based column-major runs of a segmentation, the same pixels as pycocotools draws.

    Args:
        segmentation: as JSON gives it, or made `compact`; polygons are cut off at the image's border, and
            those of one or two points are left out.
        height: rows of the image.
        width: columns of the image.
        where: file and annotation, for the error message.

    Raises:
        KitError: it is no segmentation, or does not fit an image of this size.
    """
    # The lower right pixel of an image of 2 rows and 3 columns is [[2, 1, 3, 1, 3, 2, 2, 2]] as polygons, or
    # {"size": [2, 3], "counts": [5, 1]}: 5 pixels of background down the columns, then 1 of foreground.
    packed = compact(segmentation)
    if isinstance(packed, Mapping):
        return _of_counts(packed, height, width, where)
    if isinstance(packed, list) and packed:
        return _of_polygons(packed, height, width, where)
    problem = "segmentation is empty" if packed == [] else "segmentation is neither a list nor {counts, size}"
    raise KitError(problem, where=where, fix=f"draw the region or remove the annotation; {_FIX}")


def _of_counts(
    segmentation: Mapping[str, Any], height: int, width: int, where: str | Path | None
) -> rle.Runs:
    if missing := [key for key in ("size", "counts") if key not in segmentation]:
        raise KitError(f"segmentation has no {missing[0]}", where=where, fix=_FIX)
    size, counts = segmentation["size"], segmentation["counts"]
    if not _are_integers(size) or len(size) != 2:
        raise KitError("the segmentation's size is not [height, width]", where=where, fix=_FIX)
    if size.tolist() != [height, width]:
        raise KitError(
            f"the segmentation's size is {size[0]} x {size[1]}, but its image has {height} x {width} pixels",
            where=where,
            fix="write the mask at the image's size, [height, width]",
        )
    if isinstance(counts, str):
        # Characters outside ASCII become bytes that the decoder refuses.
        return coco.runs_of(counts.encode("utf-8", "surrogatepass"), height, width, where=where)
    if not _are_integers(counts):
        raise KitError(
            "the segmentation's counts are neither a text nor a list of integers", where=where, fix=_FIX
        )
    lengths = counts.astype(np.int64)
    require_size(lengths, np.array([len(lengths)]), (height, width), where)
    return rle.from_lengths(lengths)


def _of_polygons(segmentation: list[Any], height: int, width: int, where: str | Path | None) -> rle.Runs:
    from pycocotools import mask as coco_mask

    if height * width > _MOST_PIXELS:
        raise KitError(
            f"an image of {height} x {width} pixels is too large for COCO's polygons",
            where=where,
            fix=f"write run lengths instead; polygons work up to {_MOST_PIXELS} pixels",
        )
    checked = [_checked(polygon, number, height, width, where) for number, polygon in enumerate(segmentation)]
    polygons = [polygon.tolist() for polygon in checked if len(polygon) >= _SHORTEST]
    if not polygons:
        return rle.empty()
    merged = coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))
    return coco.runs_of(merged["counts"], height, width, where=where)


def _checked(
    polygon: Any, number: int, height: int, width: int, where: str | Path | None
) -> NDArray[np.float64]:
    """Return a polygon that is safe for pycocotools, which checks neither numbers nor memory itself."""
    if not isinstance(polygon, np.ndarray) or not np.isfinite(polygon).all():
        raise KitError(
            f"polygon {number} is no list of finite numbers, x and y in turn", where=where, fix=_FIX
        )
    if len(polygon) % 2:
        raise KitError(
            f"polygon {number} has {counted(len(polygon), 'number')}, an odd count: an x or a y is missing",
            where=where,
            fix=_FIX,
        )
    if len(polygon) < _SHORTEST:
        return polygon
    points = polygon.reshape(-1, 2)
    size = np.array([width, height])
    # Annotators overshoot the border a little, which is cut off; a coordinate like 1e9 would fill the memory.
    if (far := np.any((points < -size) | (points > 2 * size), axis=1)).any():
        x, y = points[np.argmax(far)]
        raise KitError(
            f"polygon {number} has a vertex at ({x:g}, {y:g}), far outside its image ({width} x {height})",
            where=where,
            fix="coordinates are x, y in the image's pixels; was the image scaled or cut?",
        )
    outline = np.abs(np.roll(points, -1, axis=0) - points).max(axis=1).sum()
    if outline > _LONGEST:
        raise KitError(
            f"polygon {number} is {outline:.3g} pixels long, but at most {_LONGEST} can be drawn",
            where=where,
            fix="split it, or write run lengths instead",
        )
    return polygon


def _numbers(value: Any, kind: type[np.float64] | None) -> Any:
    """Return a list of numbers as an array (of `kind`, or of its own type), anything else as it is."""
    if not isinstance(value, list):
        return value
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError):  # ragged, or too deep
        return value
    return array.astype(kind or array.dtype) if array.ndim == 1 and array.dtype.kind in "iuf" else value


def _are_integers(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "iu"


def _key(value: Any) -> Hashable:
    if isinstance(value, np.ndarray):
        return value.tobytes()
    return value if isinstance(value, str) else id(value)
