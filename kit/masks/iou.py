"""Overlaps of many masks, counted on run lengths of those pairs only whose boxes touch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kit.masks import coco, rle


@dataclass(frozen=True)
class _Decoded:
    """Masks of one image, ready to be compared: runs, areas (n,) and boxes (n, 4) x0, y0, x1, y1."""

    runs: list[rle.Runs]
    areas: NDArray[np.int64]
    boxes: NDArray[np.int64]


def iou_matrix(
    masks_a: Sequence[bytes], masks_b: Sequence[bytes], height: int, width: int
) -> NDArray[np.float64]:
    """Intersection over union of every mask of `masks_a` with every one of `masks_b`.

    Args:
        masks_a: n COCO compressed counts.
        masks_b: m COCO compressed counts.
        height: rows of the image they belong to.
        width: its columns.

    Returns:
        (n, m), in [0, 1]; 0 for two empty masks.

    Raises:
        KitError: a mask is damaged or of another size.
    """
    a, b = _decoded(masks_a, height, width), _decoded(masks_b, height, width)
    overlaps = np.zeros((len(masks_a), len(masks_b)), np.int64)
    for row, column in np.argwhere(_boxes_touch(a.boxes, b.boxes)).tolist():
        overlaps[row, column] = rle.intersection(a.runs[row], b.runs[column])
    unions = a.areas[:, None] + b.areas[None, :] - overlaps
    ious: NDArray[np.float64] = overlaps / np.maximum(unions, 1)
    return ious


def _decoded(masks: Sequence[bytes], height: int, width: int) -> _Decoded:
    runs = [coco.runs_of(counts, height, width) for counts in masks]
    areas = np.array([rle.area(one) for one in runs], np.int64)
    boxes = np.array([rle.bounding_box(one, height) for one in runs], np.int64).reshape(-1, 4)
    return _Decoded(runs, areas, boxes)


def _boxes_touch(boxes_a: NDArray[np.int64], boxes_b: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which boxes (n, 4) and (m, 4) share a pixel, (n, m); an empty box shares none."""
    near = np.maximum(boxes_a[:, None, :2], boxes_b[None, :, :2])
    far = np.minimum(boxes_a[:, None, 2:], boxes_b[None, :, 2:])
    return (near[..., 0] < far[..., 0]) & (near[..., 1] < far[..., 1])
