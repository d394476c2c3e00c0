"""Boxes of several detectors to one set: NMS and weighted boxes fusion, with a fixed order of ties.

Ties: higher score first, then the earlier source (member or view), then the earlier detection of it. Nothing
depends on timing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def iou_with(box: Floats, boxes: Floats) -> Floats:
    """Intersection over union of one box (4,) with each of `boxes` (n, 4), as continuous areas; (n,)."""
    widths = np.minimum(boxes[:, 2], box[2]) - np.maximum(boxes[:, 0], box[0])
    heights = np.minimum(boxes[:, 3], box[3]) - np.maximum(boxes[:, 1], box[1])
    common = np.maximum(widths, 0) * np.maximum(heights, 0)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    union = areas + (box[2] - box[0]) * (box[3] - box[1]) - common
    ratio: Floats = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
    return ratio


def nms(boxes: Floats, scores: Floats, iou: float) -> NDArray[np.int64]:
    """Greedy non-maximum suppression.

    Args:
        boxes: (n, 4) x1, y1, x2, y2.
        scores: (n,); equal scores rank by position.
        iou: a box that overlaps a better kept one by more is dropped.

    Returns:
        Positions of the kept boxes, best first.
    """
    order = np.argsort(-scores, kind="stable")
    kept = []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        order = order[iou_with(boxes[best], boxes[order]) <= iou]
    return np.array(kept, np.int64)


@dataclass(frozen=True)
class Cluster:
    """One fused box.

    Attributes:
        box: (4,) score-weighted mean of its members' boxes.
        score: fused confidence.
        members: (source, index in the source) of every box in it, best first.
    """

    box: Floats
    score: float
    members: list[tuple[int, int]]


def weighted_boxes_fusion(
    boxes: Sequence[Floats],
    scores: Sequence[Floats],
    weights: Sequence[float],
    *,
    iou: float,
    skip_score: float,
) -> list[Cluster]:
    """Weighted boxes fusion (Solovyev, Wang, Gabruseva 2021) of one class, members tracked by index.

    Boxes go, best weighted score first, to the cluster whose fused box they overlap most, if by more than
    `iou`, else open a new one. A fused box is the mean of its members weighted by weighted score; its
    confidence is the mean weighted score times min(number of sources, number of members) / sum of weights.
    Sums are rounded to float32 where the package ensemble-boxes does so, which makes results equal to its.

    Args:
        boxes: one (n_s, 4) a source: x1, y1, x2, y2, not empty, in any unit.
        scores: one (n_s,) a source.
        weights: one a source, positive.
        iou: threshold for joining a cluster.
        skip_score: boxes with a lower unweighted score are left out.

    Returns:
        Clusters, best confidence first; equal ones in the order they were opened.
    """
    entries = [
        (float(score) * weight, source, index)
        for source, (source_scores, weight) in enumerate(zip(scores, weights, strict=True))
        for index, score in enumerate(source_scores)
        if score >= skip_score
    ]
    entries.sort(key=lambda entry: (-entry[0], entry[1], entry[2]))
    fused = np.empty((len(entries), 4))
    sums = np.zeros((len(entries), 4), np.float32)
    confidences: list[list[float]] = []
    members: list[list[tuple[int, int]]] = []
    for confidence, source, index in entries:
        box = boxes[source][index]
        overlaps = iou_with(box, fused[: len(members)])
        best = int(np.argmax(overlaps)) if members else -1
        if best < 0 or overlaps[best] <= iou:
            best = len(members)
            fused[best] = box
            members.append([])
            confidences.append([])
        members[best].append((source, index))
        confidences[best].append(confidence)
        sums[best] += confidence * box
        if len(members[best]) > 1:
            fused[best] = (sums[best].astype(np.float64) / sum(confidences[best])).astype(np.float32)
    total = float(np.sum(weights))
    clusters = [
        Cluster(box, _confidence(own) * min(len(weights), len(own)) / total, which)
        for box, own, which in zip(fused, confidences, members, strict=False)
    ]
    return sorted(clusters, key=lambda cluster: -cluster.score)


def _confidence(own: list[float]) -> float:
    return own[0] if len(own) == 1 else float(np.float32(sum(own) / len(own)))
