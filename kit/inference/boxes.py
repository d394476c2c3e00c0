"""Boxes of several detectors to one set: NMS and weighted boxes fusion, with a fixed order of ties.

Ties: higher score first, then the earlier source (member or view), then the earlier detection of it. Nothing
depends on timing.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
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
"""Pixels: no image reaches so far, and products of such numbers are exact enough to be compared."""
_SLACK = 1e-9
"""Relative: rounding may not hide a neighbour that overlaps just enough."""


def nms(boxes: Floats, scores: Floats, iou: float) -> Integers:
    """Greedy non-maximum suppression.

    Args:
        boxes: (n, 4) x1, y1, x2, y2.
        scores: (n,); equal scores rank by position.
        iou: a box that overlaps a better kept one by more is dropped.

    Returns:
        Positions of the kept boxes, best first.

    Raises:
        KitError: boxes or scores that are not numbers.
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
    """Fused boxes, best confidence first, with the boxes each was made of.

    Attributes:
        boxes: (k, 4) confidence-weighted means of their members' boxes.
        scores: (k,) fused confidences.
        of: (n,) the cluster of each fused box's member; ascending, members of one cluster best first.
        sources: (n,) which source each member came from.
        indices: (n,) which box of that source it is.
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
) -> Clusters:
    """Weighted boxes fusion (Solovyev, Wang, Gabruseva 2021) of one class, members tracked by index.

    Boxes go, best weighted score first, to the cluster whose fused box they overlap most, if by more than
    `iou`, else open a new one. A fused box is the mean of its members weighted by weighted score. With w of
    the sources' weights, n members, m their mean weighted score, s all sources and p those with a member in
    the cluster, a fused confidence is

        avg                     m * min(len(s), n) / sum(w of s); above 1 where a source with more than the
                                mean weight puts several boxes into the cluster
        max                     largest weighted score / max(w of s)
        box_and_model_avg       m * n / sum(w of members) * sum(w of p) / sum(w of s); never above 1
        absent_model_aware_avg  m * n / (sum(w of members) + sum(w of s not in p)); never above 1

    Sums are rounded to float32 where the package ensemble-boxes does so, which makes results equal to its.

    Args:
        boxes: one (n_s, 4) a source: x1, y1, x2, y2 in any unit; those without area are left out.
        scores: one (n_s,) a source, not negative.
        weights: one a source, positive.
        iou: threshold for joining a cluster, in (0, 1].
        skip_score: boxes with a lower unweighted score are left out.
        confidence: how scores are fused.

    Returns:
        Clusters, best confidence first; equal ones in the order they were opened.

    Raises:
        KitError: boxes or scores that are not numbers, negative scores.
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
    fused, of_N = _clusters(box_N4[order], weighted_N[order], iou)
    fused_scores = _confidences(of_N, source_N[order], weighted_N[order], weight_S, confidence)
    best_first = np.argsort(-fused_scores, kind="stable")
    rank = np.empty_like(best_first)
    rank[best_first] = np.arange(len(rank))
    grouped = np.argsort(rank[of_N], kind="stable")
    members = order[grouped]
    return Clusters(
        fused[best_first],
        fused_scores[best_first],
        rank[of_N][grouped],
        source_N[members],
        index_N[members],
    )


def require_numbers(boxes: Floats, scores: Floats, *, where: str | Path | None = None) -> None:
    """Refuse what cannot be ranked or compared.

    Args:
        boxes: (n, 4).
        scores: (n,).
        where: file or image, for messages.

    Raises:
        KitError: shapes that do not belong together, values that are not finite, boxes far outside any
            image, negative scores.
    """
    fix = "delete the stored result of that pass and run it again; if it returns, its network is damaged"
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
    """Boxes so far, and which of them a new one overlaps most: a grid of their centres.

    Boxes with IoU > t share more than t times the larger width, so their centres are less than
    max(1 - t, (1 / t - 1) / 2) times the width of either apart; the same holds for heights.

    Plain floats: a box has a handful of neighbours, for which a call into numpy would take longer.

    Args:
        boxes: (n, 4) all that will be placed or asked for; their mean size becomes that of a cell.
        iou: overlaps up to this are none.
    """

    def __init__(self, boxes: Floats, iou: float) -> None:
        self._iou = iou
        self._reach = max(1 - iou, (1 / iou - 1) / 2) + _SLACK
        width, height = (boxes[:, 2:] - boxes[:, :2]).mean(axis=0).tolist() if len(boxes) else (1.0, 1.0)
        self._per_x, self._per_y = 1 / (width or 1.0), 1 / (height or 1.0)
        self._cells: dict[tuple[int, int], list[int]] = {}
        self._cell_of: list[tuple[int, int]] = []
        self._boxes: list[tuple[float, float, float, float, float]] = []  # x1, y1, x2, y2, area

    def __len__(self) -> int:
        return len(self._boxes)

    def put(self, number: int, x1: float, y1: float, x2: float, y2: float) -> None:
        """Place the box `number` (they are counted from 0), or move it."""
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
        """Number of the box this one overlaps most, the first of several; -1 if none by more than `iou`."""
        area = (x2 - x1) * (y2 - y1)
        best, most, boxes = -1, self._iou, self._boxes
        for number in self._near(x1, y1, x2, y2):
            other_x1, other_y1, other_x2, other_y2, other_area = boxes[number]
            # min and max as calls would double the time.
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
        """All boxes, (k, 4)."""
        return np.array(self._boxes, np.float64).reshape(-1, 5)[:, :4]

    def _near(self, x1: float, y1: float, x2: float, y2: float) -> Iterable[int]:
        """Numbers of all boxes that may overlap this one, and maybe more; in no order."""
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
    """Fused boxes (k, 4) in the order in which they were opened, and the cluster of every box (n,)."""
    fused = _Placed(boxes, iou)
    sums: list[array[float]] = []  # of confidence * coordinate; an array("f") rounds to float32
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
            if total > 0:  # the mean of boxes that all score 0 is the first of them
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
    """Fused confidence of every cluster, (k,); boxes best first. See `weighted_boxes_fusion`."""
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
