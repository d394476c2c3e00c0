"""Weighted boxes fusion of some hundred boxes: which of them can share a cluster is known beforehand.

Equal to the clusters of `kit.inference.boxes`, which looks for neighbours box by box on a grid and is made
for any number of boxes. A search fuses the boxes of a tile thousands of times.
"""

from __future__ import annotations

from array import array

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def clusters(boxes: Floats, confidences: Floats, iou: float) -> tuple[Floats, Integers]:
    """Return the fused boxes (k, 4), in the order their clusters were opened, and each box's cluster (n,).

    Args:
        boxes: (n, 4) x1, y1, x2, y2, by falling confidence.
        confidences: (n,), not negative.
        iou: a box joins the cluster whose fused box it overlaps most, if their IoU is larger.
    """
    bounds, earlier = _earlier_neighbours(boxes, iou)
    count, listed, trust = len(boxes), boxes.tolist(), confidences.tolist()
    # A cluster has the number of the box that opened it, and every box begins with one of its own.
    of = list(range(count))
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    fused = np.column_stack([boxes, areas]).tolist()
    totals = trust.copy()
    sums: list[array[float] | None] = [None] * count  # of confidence * coordinate in float32
    newest = list(range(count))  # of each cluster, the box that joined it last
    joined = list(range(count))  # of each box, the cluster whose newest it is; -1 if of none
    rounded = array("f", bytes(16))
    for position in np.flatnonzero(np.diff(bounds)).tolist():
        x1, y1, x2, y2, area = fused[position]
        best, most = -1, iou
        for neighbour in earlier[bounds[position] : bounds[position + 1]]:
            number = joined[neighbour]
            if number < 0:
                continue
            other_x1, other_y1, other_x2, other_y2, other_area = fused[number]
            width = (other_x2 if other_x2 < x2 else x2) - (other_x1 if other_x1 > x1 else x1)  # noqa: FURB136
            height = (other_y2 if other_y2 < y2 else y2) - (other_y1 if other_y1 > y1 else y1)  # noqa: FURB136
            if width <= 0 or height <= 0:
                continue
            common = width * height
            overlap = common / (other_area + area - common)
            if overlap > most or (overlap == most and number < best):
                best, most = number, overlap
        if best < 0:
            continue
        own, before, share = sums[best], newest[best], trust[position]
        if own is None:
            own = sums[best] = array("f", [trust[best] * side for side in listed[best]])
        total = totals[best] = totals[best] + share
        if total > 0:  # if all boxes of a cluster score 0, the first one stays
            for side, value in enumerate(listed[position]):
                own[side] += share * value
                rounded[side] = own[side] / total
            x1, y1, x2, y2 = rounded
            fused[best] = [x1, y1, x2, y2, (x2 - x1) * (y2 - y1)]
        joined[before], joined[position], newest[best], of[position] = -1, best, position, best
    opened = np.array(of, np.int64)
    first = np.flatnonzero(opened == np.arange(count))
    number_of = np.cumsum(opened == np.arange(count)) - 1
    return np.array(fused, np.float64).reshape(-1, 5)[first, :4], number_of[opened]


def _earlier_neighbours(boxes: Floats, iou: float) -> tuple[list[int], list[int]]:
    """Return for each box those before it that may be the last one of a cluster that it joins.

    Returns:
        n + 1 bounds, and the neighbours of box i between the bounds i and i + 1.
    """
    # A box with IoU > t to a fused box has its centre within r = max(1 - t, (1 / t - 1) / 2) times its width
    # of that one's, and a width between t and 1 / t times that one's; so for heights. This held when the last
    # box of a cluster joined it, and then the fused box moved towards that box. So the next box that joins
    # has its centre within r times the sum of both widths of the last one's, and a width between t * t and
    # 1 / (t * t) times its. With t = 0.6, boxes 20 wide need centres less than 16 apart.
    count = len(boxes)
    reach = max(1 - iou, (1 / iou - 1) / 2)
    # Fused boxes are rounded to float32, by sums of up to all boxes.
    slack = (1e-6 + 1e-6 * count) * float(np.abs(boxes).max(initial=0.0)) + 1e-9
    size = boxes[:, 2:] - boxes[:, :2]
    centre = (boxes[:, 2:] + boxes[:, :2]) / 2
    low, high = centre - reach * size - slack, centre + reach * size + slack
    by_x = np.argsort(low[:, 0], kind="stable")
    after = np.searchsorted(low[by_x, 0], high[by_x, 0], side="right")
    number = after - np.arange(count) - 1
    first = np.repeat(np.arange(count), number)
    second = np.arange(len(first)) - np.repeat(np.cumsum(number) - number, number) + first + 1
    one, two = by_x[first], by_x[second]
    near = np.flatnonzero((low[one, 1] <= high[two, 1]) & (low[two, 1] <= high[one, 1]))
    one, two = one[near], two[near]
    least, most = np.minimum(size[one], size[two]), np.maximum(size[one], size[two])
    alike = (least >= iou * iou * most - slack).all(axis=1)
    one, two = one[alike], two[alike]
    later, earlier = np.maximum(one, two), np.minimum(one, two)
    order = np.argsort(later, kind="stable")
    bounds = np.searchsorted(later[order], np.arange(count + 1))
    return bounds.tolist(), earlier[order].tolist()
