"""Average precision of instances at one IoU threshold or several, as instance competitions score it.

Known of the vasculature competition: Open Images' instance segmentation AP, one class, IoU 0.6. From that
follows that the ranking runs over all tiles together and that precision is made monotone first (as Open
Images' published evaluator does, after PASCAL VOC 2010). Not known, as Kaggle's own code is not public:
whether its evaluator does exactly so, how it ranks equal scores (here by image id, then by place in the
image), and whether a detection whose best truth is already taken may find its second best. Here it may, as in
COCO's evaluation; the published one counts it as wrong. Both agree as long as truths do not overlap: above
0.5 a detection then overlaps one truth enough at most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kit.local.masks.iou import Overlaps, overlaps

if TYPE_CHECKING:
    from kit.predictions import Instances


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

    Args:
        truths: id -> true instances (scores are ignored).
        predictions: id -> detections; ids without truth are ignored, a missing one found nothing.
        iou: a detection is correct from this mask overlap on, above 0.

    Returns:
        In [0, 1]; without any truth 1.0 if nothing was predicted, else 0.0.

    Raises:
        KitError: a mask is damaged or of another size than its image.
    """
    return precision_recall(truths, predictions, iou).average_precision


def mean_average_precision(
    truths: Mapping[str, Instances], predictions: Mapping[str, Instances], ious: Sequence[float]
) -> float:
    """The mean of `average_precision` over some thresholds; overlaps are counted once for all of them."""
    return float(np.mean([one.average_precision for one in precision_recalls(truths, predictions, ious)]))


def precision_recall(
    truths: Mapping[str, Instances], predictions: Mapping[str, Instances], iou: float = 0.6
) -> PrecisionRecall:
    """The curve behind `average_precision`; same arguments and errors."""
    return precision_recalls(truths, predictions, [iou])[0]


def precision_recalls(
    truths: Mapping[str, Instances], predictions: Mapping[str, Instances], ious: Sequence[float]
) -> list[PrecisionRecall]:
    """`precision_recall` at each of some thresholds (at least one, all above 0).

    Equal scores rank by image id, then by their place in the image: no dictionary's order matters.
    """
    scores: list[NDArray[np.float64]] = [np.zeros(0)]
    correct: list[NDArray[np.bool_]] = [np.zeros((len(ious), 0), bool)]
    for image in sorted(truths.keys() & predictions.keys()):
        true, found = truths[image], predictions[image]
        pairs = overlaps(found.masks, true.masks, true.height, true.width, at_least=min(ious))
        scores.append(np.asarray(found.scores, np.float64))
        correct.append(np.stack([_correct(pairs, scores[-1], len(true.masks), iou) for iou in ious]))
    all_scores, all_correct = np.concatenate(scores), np.concatenate(correct, axis=1)
    order = np.argsort(-all_scores, kind="stable")
    total = sum(len(truth.masks) for truth in truths.values())
    return [_curve(all_scores[order], of_threshold[order], total) for of_threshold in all_correct]


def _curve(scores: NDArray[np.float64], correct: NDArray[np.bool_], truths: int) -> PrecisionRecall:
    hits = np.cumsum(correct)
    return PrecisionRecall(
        scores=scores,
        correct=correct,
        precision=hits / np.arange(1, len(hits) + 1),
        recall=hits / max(truths, 1),
        truths=truths,
    )


def _correct(pairs: Overlaps, scores: NDArray[np.float64], truths: int, iou: float) -> NDArray[np.bool_]:
    """Which detections of one image found a truth: best score first, each takes the best one still free."""
    enough = np.flatnonzero(pairs.iou >= iou)
    rank = np.empty(len(scores), np.int64)
    rank[np.argsort(-scores, kind="stable")] = np.arange(len(scores))
    enough = enough[np.lexsort((pairs.b[enough], -pairs.iou[enough], rank[pairs.a[enough]]))]
    correct, free = [False] * len(scores), [True] * truths
    for detection, truth in zip(pairs.a[enough].tolist(), pairs.b[enough].tolist(), strict=True):
        if free[truth] and not correct[detection]:
            correct[detection], free[truth] = True, False
    return np.array(correct, bool)
