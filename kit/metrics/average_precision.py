"""Average precision of instances at one IoU threshold, as the vasculature competition scores it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kit.masks.iou import iou_matrix

if TYPE_CHECKING:
    from kit.competitions.base import Instances


@dataclass(frozen=True)
class PrecisionRecall:
    """All detections of all images in the order of their scores, and what holds down to each.

    Attributes:
        scores: (n,), falling.
        correct: (n,), detection found a truth that none before it had found.
        precision: (n,), correct ones so far / detections so far.
        recall: (n,), correct ones so far / truths.
        truths: true instances of all images.
    """

    scores: NDArray[np.float64]
    correct: NDArray[np.bool_]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    truths: int

    @property
    def average_precision(self) -> float:
        """Area under the curve made monotone: sum of (R_n - R_n-1) P_n, P_n the best from n on."""
        if self.truths == 0:
            return 1.0 if len(self.scores) == 0 else 0.0
        monotone = np.maximum.accumulate(self.precision[::-1])[::-1]
        return float(np.sum(np.diff(self.recall, prepend=0.0) * monotone))


def average_precision(
    truths: Mapping[str, Instances], predictions: Mapping[str, Instances], iou: float = 0.6
) -> float:
    """Area under the precision-recall curve of all images' detections together.

    The competition says: Open Images' instance segmentation AP, one class, IoU 0.6. That the ranking runs
    over all tiles together and that precision is made monotone first (as Open Images' published evaluator
    does, after PASCAL VOC 2010) follows from that; Kaggle's own code is not public, so neither is certain.

    Args:
        truths: id -> true instances (scores are ignored).
        predictions: id -> detections; ids without truth are ignored, a missing one found nothing.
        iou: a detection is correct from this mask overlap on.

    Returns:
        In [0, 1]; without any truth 1.0 if nothing was predicted, else 0.0.

    Raises:
        KitError: a mask is damaged or of another size than its image.
    """
    return precision_recall(truths, predictions, iou).average_precision


def precision_recall(
    truths: Mapping[str, Instances], predictions: Mapping[str, Instances], iou: float = 0.6
) -> PrecisionRecall:
    """The curve behind `average_precision`; same arguments and errors.

    Equal scores rank by image id, then by their place in the image: no dictionary's order matters.
    """
    scores: list[NDArray[np.float64]] = [np.zeros(0)]
    correct: list[NDArray[np.bool_]] = [np.zeros(0, bool)]
    for image in sorted(truths):
        if image in predictions:
            scores.append(np.asarray(predictions[image].scores, np.float64))
            correct.append(_found(truths[image], predictions[image], iou))
    all_scores, all_correct = np.concatenate(scores), np.concatenate(correct)
    order = np.argsort(-all_scores, kind="stable")
    hits = np.cumsum(all_correct[order])
    total = sum(len(truth.masks) for truth in truths.values())
    return PrecisionRecall(
        scores=all_scores[order],
        correct=all_correct[order],
        precision=hits / np.arange(1, len(hits) + 1),
        recall=hits / max(total, 1),
        truths=total,
    )


def _found(truth: Instances, prediction: Instances, iou: float) -> NDArray[np.bool_]:
    """Which detections of one image found a truth: best score first, each takes the best one still free."""
    overlaps = iou_matrix(prediction.masks, truth.masks, truth.height, truth.width)
    found = np.zeros(len(prediction.masks), bool)
    if overlaps.shape[1] == 0:
        return found
    for index in np.argsort(-np.asarray(prediction.scores), kind="stable"):
        best = int(np.argmax(overlaps[index]))
        if overlaps[index, best] >= iou:
            found[index] = True
            overlaps[:, best] = -1.0
    return found
