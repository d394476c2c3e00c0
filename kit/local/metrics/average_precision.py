"""Average precision (AP) of instances at one IoU threshold or several, as instance competitions score it.

The vasculature competition names its metric: Open Images' instance segmentation AP, one class, IoU 0.6. So
the detections of all tiles are ranked together, and precision is made monotone first, as in Open Images'
published evaluator (after PASCAL VOC 2010).

Kaggle's own code is not public, so three things are not known: whether it does exactly this; how it ranks
equal scores (here by image id, then by position in the image); and whether a detection may take its second
best truth when its best one is taken. Here it may, as in COCO's evaluation; Open Images' evaluator counts it
as wrong. Both agree while truths do not overlap: above an IoU of 0.5 a detection then fits one truth only.
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
    """The curve over the detections of all images, best score first.

    Attributes:
        scores: (n,), descending.
        correct: (n,), whether the detection found a truth that none before it had found.
        precision: (n,), correct detections up to this one / detections up to this one.
        recall: (n,), correct detections up to this one / truths.
        truths: number of true instances in all images.
    """

    scores: NDArray[np.float64]
    correct: NDArray[np.bool_]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    truths: int

    @property
    def average_precision(self) -> float:
        """Return the sum of (R_n - R_n-1) P_n, where P_n is the highest precision from n on."""
        # With 2 true instances in all images:
        #
        #     score   correct   precision   recall   monotone precision
        #     0.9     yes       1/1         1/2      1
        #     0.8     no        1/2         1/2      2/3
        #     0.7     yes       2/3         2/2      2/3          AP = 1/2 * 1 + 1/2 * 2/3 = 0.83
        if self.truths == 0:
            return 1.0 if len(self.scores) == 0 else 0.0
        monotone = np.maximum.accumulate(self.precision[::-1])[::-1]
        return float(np.sum(np.diff(self.recall, prepend=0.0) * monotone))


def average_precision(
    truths: Mapping[str, Instances], predictions: Mapping[str, Instances], iou: float = 0.6
) -> float:
    """Return the area under the precision-recall curve of the detections of all images together.

    Args:
        truths: id -> true instances (scores are ignored).
        predictions: id -> detections; ids without truth are ignored, a missing one found nothing.
        iou: a detection is correct from this IoU of the masks on; above 0.

    Returns:
        In [0, 1]; without any truth 1.0 if nothing was predicted, else 0.0.

    Raises:
        KitError: a mask is damaged or of another size than its image.
    """
    return precision_recall(truths, predictions, iou).average_precision


def mean_average_precision(
    truths: Mapping[str, Instances], predictions: Mapping[str, Instances], ious: Sequence[float]
) -> float:
    """Return the mean of `average_precision` over IoU thresholds; overlaps are counted once for all."""
    return float(np.mean([one.average_precision for one in precision_recalls(truths, predictions, ious)]))


def precision_recall(
    truths: Mapping[str, Instances], predictions: Mapping[str, Instances], iou: float = 0.6
) -> PrecisionRecall:
    """Return the curve behind `average_precision`; same arguments and errors."""
    return precision_recalls(truths, predictions, [iou])[0]


def precision_recalls(
    truths: Mapping[str, Instances], predictions: Mapping[str, Instances], ious: Sequence[float]
) -> list[PrecisionRecall]:
    """Return `precision_recall` at each IoU threshold (at least one, all above 0).

    Equal scores are ranked by image id, then by position in the image; the dictionaries' order is irrelevant.
    """
    scores: list[NDArray[np.float64]] = [np.zeros(0)]
    correct: list[NDArray[np.bool_]] = [np.zeros((len(ious), 0), bool)]
    for image in sorted(truths.keys() & predictions.keys()):
        true, found = truths[image], predictions[image]
        # Overlaps from the lowest threshold up are enough for all of them.
        pairs = overlaps(found.masks, true.masks, true.height, true.width, at_least=min(ious))
        scores.append(np.asarray(found.scores, np.float64))
        correct.append(np.stack([_correct(pairs, scores[-1], len(true.masks), iou) for iou in ious]))
    all_scores, all_correct = np.concatenate(scores), np.concatenate(correct, axis=1)
    order = np.argsort(-all_scores, kind="stable")
    total = sum(len(truth.masks) for truth in truths.values())
    return [ranked_curve(all_scores[order], of_threshold[order], total) for of_threshold in all_correct]


def ranked_curve(scores: NDArray[np.float64], correct: NDArray[np.bool_], truths: int) -> PrecisionRecall:
    """Return the curve of detections that were judged image by image.

    Ranked as `precision_recall` ranks (score, image id, position in the image), it is the same curve.

    Args:
        scores: (n,), descending.
        correct: (n,), whether each found a truth of its image that none before it had found.
        truths: number of true instances in all images.
    """
    hits = np.cumsum(correct)
    return PrecisionRecall(
        scores=scores,
        correct=correct,
        precision=hits / np.arange(1, len(hits) + 1),
        recall=hits / max(truths, 1),
        truths=truths,
    )


def _correct(pairs: Overlaps, scores: NDArray[np.float64], truths: int, iou: float) -> NDArray[np.bool_]:
    """Return which detections of one image found a truth."""
    return matches(pairs, scores, truths, iou) >= 0


def matches(pairs: Overlaps, scores: NDArray[np.float64], truths: int, iou: float) -> NDArray[np.int64]:
    """Return the truth that each detection of one image found: each takes the best one that is still free.

    Args:
        pairs: overlaps of the n detections (a) with the truths (b).
        scores: (n,) of the detections.
        truths: number of true instances.
        iou: a detection may take a truth from this IoU on; above 0.

    Returns:
        (n,) index of the truth, -1 where none was left.
    """
    # Pairs are sorted by the detection's rank, then by falling IoU, then by truth. With detections 0 and 1
    # (scores 0.9 and 0.8) and truths A and B:
    #
    #     0-A 0.8    0 takes A
    #     1-A 0.9    A is taken, though 1 fits it better: the higher score goes first
    #     1-B 0.6    1 takes B
    enough = np.flatnonzero(pairs.iou >= iou)
    rank = np.empty(len(scores), np.int64)
    rank[np.argsort(-scores, kind="stable")] = np.arange(len(scores))
    enough = enough[np.lexsort((pairs.b[enough], -pairs.iou[enough], rank[pairs.a[enough]]))]
    found, free = [-1] * len(scores), [True] * truths
    for detection, truth in zip(pairs.a[enough].tolist(), pairs.b[enough].tolist(), strict=True):
        if free[truth] and found[detection] < 0:
            found[detection], free[truth] = truth, False
    return np.array(found, np.int64)
