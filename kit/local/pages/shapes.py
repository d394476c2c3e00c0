"""Outlines of the objects of an image as SVG path data, in pixels of the image, one path for each layer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import cv2
import numpy as np
from numpy.typing import NDArray

from kit.local.masks import boxes, polygons
from kit.local.pages.judged import ERRORS, Judged
from kit.masks import coco, rle
from kit.predictions import Instances

_MOST_CHARACTERS = 600_000
"""Of the paths of one picture; outlines that need more are drawn with fewer corners."""
_MOST_BOXES = 200
"""Errors of one picture that the page can go to one by one."""
Box = tuple[str, int, int, int, int]


@dataclass(frozen=True)
class Shapes:
    """What is drawn over one picture.

    Attributes:
        layers: name -> SVG path data. "true", "predicted", the `ERRORS`; "lacking" and "surplus": pixels of
            the truth that the prediction lacks, and the other way round. Empty layers are left out.
        boxes: (error, x, y, width, height) of each object with an error, largest first.
        tolerance: pixels of the image by which outlines may be off, because corners were left out.
    """

    layers: dict[str, str]
    boxes: list[Box]
    tolerance: float


def shapes(judged: Judged) -> Shapes:
    """Return the outlines of all objects, and the places of what is wrong.

    Args:
        judged: the objects of an image.
    """
    rings = _layers(judged)
    tolerance = 0.0 if judged.scale == 1 else 0.5
    while True:
        layers = {name: _path(found, judged.scale, tolerance) for name, found in rings.items() if found}
        if sum(map(len, layers.values())) <= _MOST_CHARACTERS or tolerance > 64:
            return Shapes(layers, _boxes(judged), tolerance * judged.scale)
        tolerance = max(0.5, 2 * tolerance)


Ring = NDArray[np.int32]


def _layers(judged: Judged) -> dict[str, list[Ring]]:
    """Return name -> rings (n, 2) of x, y in pixels of the masks."""
    found = [_rings(judged.found, number) for number in range(len(judged.found.masks))]
    layers = {"predicted": _flat(found)}
    if judged.truth is None or judged.errors is None:
        return layers
    true = [_rings(judged.truth, number) for number in range(len(judged.truth.masks))]
    layers["true"] = _flat(true)
    for error, of in zip(ERRORS, (true, found, true, found), strict=True):
        flags = getattr(judged.errors, error)
        layers[error] = _flat(rings for rings, wrong in zip(of, flags, strict=True) if wrong)
    if judged.differ is not None:
        for name, mask_HW in zip(("lacking", "surplus"), judged.differ, strict=True):
            layers[name] = _rings_of(mask_HW)
    return layers


def _flat(rings: Iterable[Sequence[Ring]]) -> list[Ring]:
    return list(chain.from_iterable(rings))


def _rings(instances: Instances, number: int) -> list[Ring]:
    """Return the rings of one mask; only the part of the image around it is decoded."""
    height = instances.height
    runs = coco.runs_of(instances.masks[number], height, instances.width)
    x0, y0, x1, y1 = boxes.of_runs(runs, height)
    crop_HW = rle.decode_window(runs, height, (y0, x0, y1 - y0, x1 - x0))
    return [ring + np.array([x0, y0], np.int32) for ring in _rings_of(crop_HW)]


def _rings_of(mask_HW: NDArray[np.bool_] | NDArray[np.uint8]) -> list[Ring]:
    if not mask_HW.any():
        return []
    return [np.array(ring, np.int32) for region in polygons.outlines(mask_HW) for ring in region]


def _path(rings: Sequence[Ring], scale: float, tolerance: float) -> str:
    """Return path data: an absolute start, then steps from corner to corner.

    The ring (3, 5), (8, 5), (8, 9) becomes M3.5 5.5l5 0 0 4z: vertices are the centres of pixels.
    """
    parts = []
    for ring in rings:
        corners = cv2.approxPolyDP(ring, tolerance, closed=True)[:, 0] if tolerance else ring
        # Rounded before the steps are taken, so that errors of rounding do not add up.
        at = np.rint((corners + 0.5) * scale * 2).astype(np.int64)
        steps = np.diff(at, axis=0)
        x, y = at[0].tolist()
        parts.append(f"M{_half(x)} {_half(y)}")
        if len(steps):
            parts.append("l" + " ".join(f"{_half(dx)} {_half(dy)}" for dx, dy in steps.tolist()))
        parts.append("z")
    return "".join(parts)


def _half(doubled: int) -> str:
    """Return half of a number: 7 becomes 3.5, 8 becomes 4."""
    whole, rest = divmod(abs(doubled), 2)
    sign = "-" if doubled < 0 else ""
    return f"{sign}{whole}.5" if rest else f"{sign}{whole}"


def _boxes(judged: Judged) -> list[Box]:
    """Return where the errors lie, largest first."""
    if judged.truth is None or judged.errors is None:
        return []
    found: list[Box] = []
    for error, of in zip(ERRORS, (judged.truth, judged.found) * 2, strict=True):
        for number in np.flatnonzero(getattr(judged.errors, error)).tolist():
            runs = coco.runs_of(of.masks[number], of.height, of.width)
            x0, y0, x1, y1 = (round(edge * judged.scale) for edge in boxes.of_runs(runs, of.height))
            found.append((error, x0, y0, x1 - x0, y1 - y0))
    # A stable order: equal sizes stand as above.
    return sorted(found, key=lambda box: -box[3] * box[4])[:_MOST_BOXES]
