"""Fuse the boxes of several detectors: NMS and weighted boxes fusion, with a fixed order of equal scores.

A higher score comes first, then the earlier source (member or view), then the earlier detection of that
source. So the result does not depend on timing.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from kit.errors import KitError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Confidence = Literal["avg", "max", "box_and_model_avg", "absent_model_aware_avg"]
CONFIDENCES: tuple[str, ...] = get_args(Confidence)

_FARTHEST = 1e9
"""Pixels: larger than any image, and products of such numbers are still exact enough to be compared."""
_SLACK = 1e-9
"""Added to the reach of a search, so that rounding hides no neighbour that overlaps just enough."""


def nms(boxes: Floats, scores: Floats, iou: float) -> Integers:
    """Greedy non-maximum suppression.

    Args:
        boxes: (n, 4) x1, y1, x2, y2.
        scores: (n,); equal scores rank by position.
        iou: a box is dropped if its IoU with a better kept box is larger.

    Returns:
        Positions of the kept boxes, best first.

    Raises:
        KitError: boxes or scores are not numbers.
    """
    require_numbers(boxes, scores)
    placed, kept = _Placed(boxes, iou), []
    order = np.argsort(-scores, kind="stable")
    for position, box in zip(order.tolist(), boxes[order].tolist(), strict=True):
        if placed.best(*box) < 0:
            placed.put(len(placed), *box)
            kept.append(position)
    return np.array(kept, np.int64)


@dataclass(frozen=True)
class Clusters:
    """Fused boxes, best confidence first, and the n detected boxes they were made of.

    Attributes:
        boxes: (k, 4) means of the boxes of each cluster, weighted by their weighted scores.
        scores: (k,) fused confidences.
        of: (n,) the cluster of each detected box, ascending; best first within a cluster.
        sources: (n,) the source of each detected box.
        indices: (n,) its position in that source.
    """

    boxes: Floats
    scores: Floats
    of: Integers
    sources: Integers
    indices: Integers

    def __len__(self) -> int:
        return len(self.scores)


def weighted_boxes_fusion(
    boxes: Sequence[Floats],
    scores: Sequence[Floats],
    weights: Sequence[float],
    *,
    iou: float,
    skip_score: float,
    confidence: Confidence = "avg",
    group: Callable[[Floats, Floats, float], tuple[Floats, Integers]] | None = None,
) -> Clusters:
    """Fuse the boxes of one class (weighted boxes fusion; Solovyev, Wang, Gabruseva 2021).

    The boxes are taken in the order of their weighted scores (score * weight of the source), best first. A
    box joins the cluster whose fused box it overlaps most, if their IoU is more than `iou`; else it opens a
    new cluster. The fused box is the mean of the cluster's boxes, weighted by weighted score.

    Two detectors of weight 1 find x = 0..10 with score 0.75 and x = 2..12 with score 0.25. The IoU is 8 / 12,
    so both are one cluster, from 0.75 * 0 + 0.25 * 2 = 0.5 to 10.5, with the confidence 0.5 * 2 / 2 = 0.5
    (avg):

    >>> found = weighted_boxes_fusion(
    ...     [np.array([[0.0, 0, 10, 10]]), np.array([[2.0, 0, 12, 10]])],
    ...     [np.array([0.75]), np.array([0.25])], [1, 1], iou=0.5, skip_score=0)
    >>> found.boxes.tolist(), found.scores.tolist()
    ([[0.5, 0.0, 10.5, 10.0]], [0.5])

    A third detector that finds nothing there lowers it to 0.5 * 2 / 3. For a cluster of n boxes from the
    sources p, with m the mean of their weighted scores, s all sources and w weights of sources, the
    confidence is

        avg                     m * min(len(s), n) / sum(w of s); above 1 where a source with more than the
                                mean weight puts several boxes into the cluster
        max                     largest weighted score / max(w of s)
        box_and_model_avg       m * n / sum(w of each box) * sum(w of p) / sum(w of s); never above 1
        absent_model_aware_avg  m * n / (sum(w of each box) + sum(w of s not in p)); never above 1

    Sums are rounded to float32 where the package ensemble-boxes does so, so that the results are equal.

    Args:
        boxes: for each source (n_s, 4) x1, y1, x2, y2 in any unit; boxes without area are left out.
        scores: for each source (n_s,), not negative.
        weights: for each source, positive.
        iou: threshold for joining a cluster, in (0, 1].
        skip_score: boxes with a lower unweighted score are left out.
        confidence: how scores are fused.
        group: finds the clusters, with the arguments and results of `train_local.ensemble.near_boxes`;
            None: on a grid.

    Returns:
        Clusters, best confidence first; equal confidences in the order in which the clusters were opened.

    Raises:
        KitError: boxes or scores are not numbers, or a score is negative.
    """
    weight_S = np.asarray(weights, np.float64)
    for source_boxes, source_scores in zip(boxes, scores, strict=True):
        require_numbers(source_boxes, source_scores)
    source_N = np.repeat(np.arange(len(boxes)), [len(part) for part in scores])
    index_N = np.concatenate([np.empty(0, np.int64), *(np.arange(len(part)) for part in scores)])
    box_N4 = np.concatenate([np.empty((0, 4)), *boxes])
    score_N = np.concatenate([np.empty(0), *scores])
    weighted_N = score_N * weight_S[source_N]
    used = np.flatnonzero((score_N >= skip_score) & (box_N4[:, :2] < box_N4[:, 2:]).all(axis=1))
    order = used[np.argsort(-weighted_N[used], kind="stable")]
    fused, of_N = (group or _clusters)(box_N4[order], weighted_N[order], iou)
    fused_scores = _confidences(of_N, source_N[order], weighted_N[order], weight_S, confidence)
    best_first = np.argsort(-fused_scores, kind="stable")
    rank = np.empty_like(best_first)
    rank[best_first] = np.arange(len(rank))
    grouped = np.argsort(rank[of_N], kind="stable")
    detected = order[grouped]
    return Clusters(
        fused[best_first],
        fused_scores[best_first],
        rank[of_N][grouped],
        source_N[detected],
        index_N[detected],
    )


def require_numbers(boxes: Floats, scores: Floats, *, where: str | Path | None = None) -> None:
    """Refuse boxes and scores that cannot be ranked or compared.

    Args:
        boxes: (n, 4).
        scores: (n,).
        where: file or image, for messages.

    Raises:
        KitError: the shapes do not fit each other, a value is not finite, a box lies far outside any image,
            or a score is negative.
    """
    fix = "delete the result of that pass and run it again; if that does not help, its weights are damaged"
    if boxes.shape != (len(scores), 4) or scores.ndim != 1:
        raise KitError(
            f"boxes of shape {boxes.shape} do not fit scores of shape {scores.shape}", where=where, fix=fix
        )
    if not ((np.abs(boxes) < _FARTHEST).all() and np.isfinite(scores).all()):  # False for NaN, too
        raise KitError(
            "detections hold boxes or scores that are not numbers, or lie far outside any image",
            where=where,
            fix=fix,
        )
    if (scores < 0).any():
        raise KitError(f"a detection has a negative score: {scores.min():g}", where=where, fix=fix)


class _Placed:
    """The boxes placed so far; finds the one that a new box overlaps most by a grid of their centres.

    Plain floats are used: a box has few neighbours, and a call into numpy would take longer.

    Args:
        boxes: (n, 4) all boxes that will be placed or searched for; a cell gets their mean size.
        iou: a box overlaps another one if their IoU is larger.
    """

    def __init__(self, boxes: Floats, iou: float) -> None:
        self._iou = iou
        # Boxes with IoU > t share more than t times the larger width, so their centres are closer than
        # max(1 - t, (1 / t - 1) / 2) times the width of either; the same holds for heights. With t = 0.5, a
        # box 20 wide with its centre at x = 100 needs no boxes with centres outside 90..110: two or three
        # cells of mean size.
        self._reach = max(1 - iou, (1 / iou - 1) / 2) + _SLACK
        width, height = (boxes[:, 2:] - boxes[:, :2]).mean(axis=0).tolist() if len(boxes) else (1.0, 1.0)
        self._per_x, self._per_y = 1 / (width or 1.0), 1 / (height or 1.0)
        self._cells: dict[tuple[int, int], list[int]] = {}
        self._cell_of: list[tuple[int, int]] = []
        self._boxes: list[tuple[float, float, float, float, float]] = []  # x1, y1, x2, y2, area

    def __len__(self) -> int:
        return len(self._boxes)

    def put(self, number: int, x1: float, y1: float, x2: float, y2: float) -> None:
        """Place the box `number` (counted from 0), or move it if it is placed already."""
        box = (x1, y1, x2, y2, (x2 - x1) * (y2 - y1))
        cell = (int((x1 + x2) * 0.5 * self._per_x // 1), int((y1 + y2) * 0.5 * self._per_y // 1))
        if number == len(self._boxes):
            self._boxes.append(box)
            self._cell_of.append(cell)
        else:
            self._boxes[number] = box
            if self._cell_of[number] == cell:
                return
            self._cells[self._cell_of[number]].remove(number)
            self._cell_of[number] = cell
        self._cells.setdefault(cell, []).append(number)

    def best(self, x1: float, y1: float, x2: float, y2: float) -> int:
        """Return the number of the box that this one overlaps most (the first of equals); -1 if none."""
        area = (x2 - x1) * (y2 - y1)
        best, most, boxes = -1, self._iou, self._boxes
        for number in self._near(x1, y1, x2, y2):
            other_x1, other_y1, other_x2, other_y2, other_area = boxes[number]
            # Calls of min and max would double the time.
            width = (other_x2 if other_x2 < x2 else x2) - (other_x1 if other_x1 > x1 else x1)  # noqa: FURB136
            height = (other_y2 if other_y2 < y2 else y2) - (other_y1 if other_y1 > y1 else y1)  # noqa: FURB136
            if width <= 0 or height <= 0:
                continue
            common = width * height
            overlap = common / (other_area + area - common)
            if overlap > most or (overlap == most and number < best):
                best, most = number, overlap
        return best

    def array(self) -> Floats:
        """Return all boxes, (k, 4)."""
        return np.array(self._boxes, np.float64).reshape(-1, 5)[:, :4]

    def _near(self, x1: float, y1: float, x2: float, y2: float) -> Iterable[int]:
        """Return the numbers of all boxes that may overlap this one, and maybe of others; in no order."""
        x, y = (x1 + x2) * 0.5, (y1 + y2) * 0.5
        reach_x, reach_y = (x2 - x1) * self._reach, (y2 - y1) * self._reach
        first, last = int((x - reach_x) * self._per_x // 1), int((x + reach_x) * self._per_x // 1)
        top, bottom = int((y - reach_y) * self._per_y // 1), int((y + reach_y) * self._per_y // 1)
        if (last - first + 1) * (bottom - top + 1) > len(self._boxes):
            return range(len(self._boxes))
        cells = self._cells
        return [
            number
            for column in range(first, last + 1)
            for row in range(top, bottom + 1)
            for number in cells.get((column, row), ())
        ]


def _clusters(boxes: Floats, confidences: Floats, iou: float) -> tuple[Floats, Integers]:
    """Return the fused boxes (k, 4), in the order their clusters were opened, and each box's cluster (n,)."""
    fused = _Placed(boxes, iou)
    sums: list[array[float]] = []  # of confidence * coordinate; array("f") rounds to float32
    totals: list[float] = []
    rounded = array("f", bytes(16))
    of = np.empty(len(boxes), np.int64)
    for position, (box, confidence) in enumerate(zip(boxes.tolist(), confidences.tolist(), strict=True)):
        best = fused.best(*box)
        if best < 0:
            best = len(fused)
            fused.put(best, *box)
            sums.append(array("f", [confidence * side for side in box]))
            totals.append(confidence)
        else:
            total = totals[best] = totals[best] + confidence
            if total > 0:  # if all boxes of a cluster score 0, the first one stays
                own = sums[best]
                for side, value in enumerate(box):
                    own[side] += confidence * value
                    rounded[side] = own[side] / total
                fused.put(best, *rounded)
        of[position] = best
    return fused.array(), of


def _confidences(
    of_N: Integers, source_N: Integers, weighted_N: Floats, weight_S: Floats, confidence: Confidence
) -> Floats:
    """Return the fused confidence of every cluster, (k,), by the formulas of `weighted_boxes_fusion`."""
    count = np.bincount(of_N)

    def rounded(values: Floats) -> Floats:
        return np.where(count > 1, values.astype(np.float32), values)

    if confidence == "max":
        first = np.unique(of_N, return_index=True)[1]
        fused = rounded(weighted_N[first]) / weight_S.max()
    else:
        mean = rounded(np.bincount(of_N, weighted_N) / np.maximum(count, 1))
        own = rounded(np.bincount(of_N, weight_S[source_N]).astype(np.float64))
        pairs = np.unique(of_N * len(weight_S) + source_N)
        present = np.bincount(pairs // len(weight_S), weight_S[pairs % len(weight_S)])
        if confidence == "avg":
            fused = mean * np.minimum(len(weight_S), count) / weight_S.sum()
        elif confidence == "box_and_model_avg":
            fused = mean * count / own * present / weight_S.sum()
        else:
            fused = mean * count / (own + weight_S.sum() - present)
    return np.asarray(fused, np.float64)
