"""Scores: a competition's metric over predictions and truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from kit.competitions.competition import Competition
from kit.errors import KitError
from kit.local.metrics import dice
from kit.local.metrics.average_precision import PrecisionRecall, precision_recall, precision_recalls
from kit.masks import coco, rle
from kit.predictions import Instances, Prediction, SemanticMask

_INSIDE = 0.5
"""A detection with more than this share of its area in an ignored region is not judged."""

OneKind = TypeVar("OneKind", SemanticMask, Instances)


@dataclass(frozen=True)
class Score:
    """A submission's score.

    Attributes:
        metric: its name, e.g. "mean Dice", "AP@0.6".
        value: the score, larger is better.
        per_image: id -> its own score where the metric has one (Dice), else empty.
    """

    metric: str
    value: float
    per_image: dict[str, float]


def score(
    competition: Competition, truth: Mapping[str, Prediction], predictions: Mapping[str, Prediction]
) -> Score:
    """Return the competition's metric over all images of `truth`.

    Semantic: the mean over images of Dice. Instance: average precision of all images' detections together,
    the mean over the metric's IoU thresholds.

    Args:
        competition: says which metric.
        truth: of at least one image.
        predictions: by id; a missing one counts as empty.

    Raises:
        KitError: no truth, or a prediction of another size than its image.
        TypeError: masks and instances are mixed.
    """
    _require_sizes(truth, predictions)
    if competition.kind == "semantic":
        masks = {key: mask.runs for key, mask in _of_kind(SemanticMask, truth).items()}
        found = {key: mask.runs for key, mask in _of_kind(SemanticMask, predictions).items()}
        return Score(competition.metric, dice.mean_dice(masks, found), dice.dice_per_image(masks, found))
    values = [curve.average_precision for curve in precision_recall_curves(competition, truth, predictions)]
    return Score(competition.metric, float(np.mean(values)), {})


def precision_recall_curves(
    competition: Competition, truth: Mapping[str, Prediction], predictions: Mapping[str, Prediction]
) -> list[PrecisionRecall]:
    """Return the curve behind an instance competition's metric at each of its IoU thresholds.

    Arguments and errors are those of `score`. The curves of single images can be joined
    (`kit.local.metrics.average_precision.ranked_curve`).
    """
    _require_sizes(truth, predictions)
    true, detected = _of_kind(Instances, truth), _of_kind(Instances, predictions)
    thresholds = competition.format.metric.iou
    if not any(image.ignored for image in true.values()):
        return precision_recalls(true, detected, thresholds)
    # What is left out depends on the threshold: at IoU 0.5 a detection may find T, at 0.9 only lie in R.
    judged = zip(_judged(true, detected, thresholds), thresholds, strict=True)
    return [precision_recall(true, kept, iou) for kept, iou in judged]


def _require_sizes(truth: Mapping[str, Prediction], predictions: Mapping[str, Prediction]) -> None:
    """Raise a `KitError` if there is no truth, or a prediction of another size (empty ones may have none)."""
    if not truth:
        raise KitError("there are no images to score", fix="give truth for at least one image")
    for key, true in truth.items():
        found = predictions.get(key)
        if found is not None and (found.height, found.width) not in {(true.height, true.width), (0, 0)}:
            raise KitError(
                f"prediction of image {key} is {found.height} x {found.width} pixels, "
                f"its truth {true.height} x {true.width}",
                fix="predict at the size of the original image",
            )


def _of_kind(kind: type[OneKind], predictions: Mapping[str, Prediction]) -> dict[str, OneKind]:
    kept = {key: found for key, found in predictions.items() if isinstance(found, kind)}
    if len(kept) != len(predictions):
        wrong = next(found for found in predictions.values() if not isinstance(found, kind))
        raise TypeError(f"the metric compares {kind.__name__}, not {type(wrong).__name__}")
    return kept


def _judged(
    truth: Mapping[str, Instances], predictions: Mapping[str, Instances], thresholds: Sequence[float]
) -> list[dict[str, Instances]]:
    """Return, for each threshold, the predictions without those that are neither right nor wrong."""
    # A detection is left out if it lies in an ignored region and finds no true instance at that threshold.
    # With one ignored region R and a true instance T beside it:
    #
    #     detection on T                  finds T: correct
    #     6 of its 10 pixels in R         left out, neither right nor wrong
    #     5 of its 10 pixels in R         judged, and wrong
    #
    # A second detection on a T that lies in R is left out, too: the first one has found T.
    kept = [dict(predictions) for _ in thresholds]
    for key in truth.keys() & predictions.keys():
        true, found = truth[key], predictions[key]
        if not true.ignored or not found.masks:
            continue
        order = np.argsort(-found.scores, kind="stable")  # that of the curve
        inside = inside_ignored(found, true)[order]
        curves = precision_recalls({key: true}, {key: found}, thresholds)
        for judged, curve in zip(kept, curves, strict=True):
            places = order[curve.correct | ~inside].tolist()
            masks = [found.masks[place] for place in places]
            judged[key] = Instances(true.height, true.width, found.scores[places], masks)
    return kept


def inside_ignored(found: Instances, true: Instances) -> NDArray[np.bool_]:
    """Return which detections lie in an ignored region of the truth, (n,)."""
    if not true.ignored or not found.masks:
        return np.zeros(len(found.masks), bool)
    regions = [coco.runs_of(counts, true.height, true.width) for counts in true.ignored]
    masks = [coco.runs_of(counts, true.height, true.width) for counts in found.masks]
    shared = [max(rle.intersection(runs, region) for region in regions) for runs in masks]
    return np.array(shared) > _INSIDE * np.array([rle.area(runs) for runs in masks])
