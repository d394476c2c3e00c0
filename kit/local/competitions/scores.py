"""Scores: a competition's metric over predictions and truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from kit.competitions.competition import Competition
from kit.competitions.instance_text import box_of
from kit.errors import KitError
from kit.local.metrics import class_dice, dice, matches, of_values, own
from kit.local.metrics.average_precision import PrecisionRecall, precision_recall, precision_recalls
from kit.masks import coco, rle
from kit.predictions import ClassMasks, Instances, Prediction, SemanticMask, Values

_INSIDE = 0.5
"""A detection with more than this share of its area in an ignored region is not judged."""

OneKind = TypeVar("OneKind", SemanticMask, ClassMasks, Instances, Values)


@dataclass(frozen=True)
class Score:
    """A submission's score.

    Attributes:
        metric: its name, e.g. "mean Dice", "AP@0.6".
        value: the score.
        per_image: id -> its own score where the metric has one (Dice), else empty.
        higher_is_better: whether a higher score is better.
    """

    metric: str
    value: float
    per_image: dict[str, float]
    higher_is_better: bool = True

    @property
    def gain(self) -> float:
        """Return the score as what compares scores wants it: larger is better."""
        return self.value if self.higher_is_better else -self.value


def score(
    competition: Competition, truth: Mapping[str, Prediction], predictions: Mapping[str, Prediction]
) -> Score:
    """Return the competition's metric over all images of `truth`.

    docs/competitions.md has the formula of each metric.

    Args:
        competition: says which metric.
        truth: of at least one image.
        predictions: by id; a missing one counts as empty, except for values.

    Raises:
        KitError: no truth; a prediction of another size than its image, or missing values; or a fault in the
            competition's own metric file.
        TypeError: predictions of several kinds are mixed.
    """
    _require_sizes(truth, predictions)
    form = competition.format.submission
    if competition.kind == "instance" and form.rows == "image" and "{mask}" not in form.instance:
        truth = {key: as_boxes(true) for key, true in _of_kind(Instances, truth).items()}
    metric, kind = competition.format.metric, competition.kind
    per_image: dict[str, float] = {}
    if metric.file:
        value = own.score_by_file(competition, truth, predictions)
    elif kind == "values":
        true_values, values = _of_kind(Values, truth), _of_kind(Values, predictions)
        value = of_values.score_values(competition.format, true_values, values)
    elif kind == "semantic":
        value, per_image = _of_masks(competition, truth, predictions)
    elif metric.name == "AP":
        value = mean_of_classes(precision_recall_curves(competition, truth, predictions))
    else:
        beta = metric.beta if metric.name == "F-beta" else None
        true, found = _of_kind(Instances, truth), _of_kind(Instances, predictions)
        per_image = matches.mean_of_images(true, found, metric.iou, beta)
        value = sum(per_image.values()) / len(per_image)
    return Score(competition.metric, value, per_image, higher_is_better=metric.sign > 0)


def as_boxes(found: Instances) -> Instances:
    """Return instances whose masks are the bounding boxes of the masks; empty masks stay."""
    size = (found.height, found.width)
    masks = []
    for counts in found.masks:
        runs = coco.runs_of(counts, *size)
        boxed_HW = np.zeros(size, bool)
        if len(runs):
            top, left, bottom, right = box_of(runs, found.height)
            boxed_HW[top:bottom, left:right] = True
        masks.append(coco.encode(boxed_HW))
    return Instances(*size, found.scores, masks, found.ignored, found.labels)


def mean_of_classes(curves: Sequence[PrecisionRecall]) -> float:
    """Return the mean AP of curves of several classes and thresholds; classes without any truth do not count.

    COCO and Open Images leave out such classes, too. Where no class has truth, all curves count.
    """
    known = [curve for curve in curves if curve.truths] or list(curves)
    return float(np.mean([curve.average_precision for curve in known]))


def _of_masks(
    competition: Competition, truth: Mapping[str, Prediction], predictions: Mapping[str, Prediction]
) -> tuple[float, dict[str, float]]:
    """Return the score of masks, and that of each image: the mean over its classes."""
    true, found = _masks(competition, truth), _masks(competition, predictions)
    if competition.format.metric.name == "global Dice":
        return class_dice.global_dice(true, found), {}
    nothing = [rle.empty()] * len(next(iter(true.values())))
    per_image = {}
    for image, masks in true.items():
        of_class = [dice.dice(*pair) for pair in zip(masks, found.get(image, nothing), strict=True)]
        per_image[image] = sum(of_class) / len(of_class)
    # All images have the same classes: the mean over images is that over all pairs of image and class.
    return sum(per_image.values()) / len(per_image), per_image


def _masks(competition: Competition, predictions: Mapping[str, Prediction]) -> dict[str, list[rle.Runs]]:
    if not competition.format.classes:
        return {key: [mask.runs] for key, mask in _of_kind(SemanticMask, predictions).items()}
    return {key: [*mask.masks.values()] for key, mask in _of_kind(ClassMasks, predictions).items()}


def precision_recall_curves(
    competition: Competition, truth: Mapping[str, Prediction], predictions: Mapping[str, Prediction]
) -> list[PrecisionRecall]:
    """Return the curve behind an instance competition's metric at each of its IoU thresholds, class by class.

    Arguments and errors are those of `score`. The curves of single images can be joined
    (`kit.local.metrics.average_precision.ranked_curve`).
    """
    _require_sizes(truth, predictions)
    true, detected = _of_kind(Instances, truth), _of_kind(Instances, predictions)
    thresholds = competition.format.metric.iou
    if not competition.format.classes:
        return _curves(true, detected, thresholds)
    curves: list[PrecisionRecall] = []
    for number in range(len(competition.format.classes)):
        of_class = {key: _of_class(one, number) for key, one in true.items()}
        found = {key: _of_class(one, number) for key, one in detected.items()}
        curves += _curves(of_class, found, thresholds)
    return curves


def _of_class(found: Instances, number: int) -> Instances:
    """Return the instances of one class; ignored regions are ignored for all classes."""
    places = np.flatnonzero(found.labels == number)
    masks = [found.masks[place] for place in places.tolist()]
    return Instances(found.height, found.width, found.scores[places], masks, found.ignored)


def _curves(
    true: Mapping[str, Instances], detected: Mapping[str, Instances], thresholds: Sequence[float]
) -> list[PrecisionRecall]:
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
        if isinstance(true, Values) or found is None or isinstance(found, Values):
            continue  # a mix of kinds is told by `_of_kind`
        if (found.height, found.width) not in {(true.height, true.width), (0, 0)}:
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
