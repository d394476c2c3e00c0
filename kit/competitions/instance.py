"""Competitions with scored instances in images, scored by average precision."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from kit.competitions import mask_text, submissions
from kit.competitions.base import Score
from kit.competitions.report import Report
from kit.competitions.tables import Row
from kit.competitions.tiffs import TiffCompetition
from kit.errors import KitError
from kit.local.competitions.annotations import distinct
from kit.local.competitions.truth_readers import AnnotatedTruth, TruthEntry
from kit.masks import coco, mask_set, rle
from kit.predictions import Instances, Prediction

_FORM = "a prediction is '{} score mask', repeated with blanks between"
_INSIDE = 0.5
"""Of a detection's area; more than that in an ignored region and nobody judges it."""


class InstanceCompetition(TiffCompetition):
    """Vasculature, and what a TOML file of the kind "instance" describes; a row is an image's instances."""

    def decode_truth(self, entry: TruthEntry, height: int, width: int) -> Instances:
        """The regions that count, and beside them those inside of which detections are not judged."""
        masks: list[bytes] = []
        ignored: list[bytes] = []
        for region in self._truth.regions(entry, height, width):
            (ignored if region.ignored else masks).append(coco.from_runs(region.runs, height, width))
        return Instances(height, width, np.ones(len(masks)), masks, ignored)

    def note_truth(self, report: Report, entries: Sequence[TruthEntry]) -> None:
        """Instances; annotations repeated, left out, or there only to keep detections from being judged."""
        truth = self._truth
        if not isinstance(truth, AnnotatedTruth):
            return
        drawn = [item for entry in entries for item in truth.annotations(entry)]
        kept = [item for entry in entries for item in distinct(truth.annotations(entry))]
        roles = Counter((truth.role(item), item.type, item.crowd) for item in kept)
        instances = sum(count for (role, _, _), count in roles.items() if role == "scored")
        report.facts["training instances"] = float(instances)
        if repeated := sum(truth.role(item) == "scored" for item in drawn) - instances:
            report.note(f"{repeated} repeated polygons are taken once", report.subject)
        for (role, kind, crowd), count in sorted(roles.items()):
            if role != "scored":
                what = "only keep detections from being judged" if role == "ignored" else "are left out"
                name = f"crowds of type {kind}" if crowd else f"annotations of type {kind}"
                report.note(f"{count} {name} {what}", report.subject)

    def empty(self, height: int, width: int) -> Instances:
        """No instances."""
        return Instances(height, width, np.zeros(0), [])

    def row(self, image_id: str, prediction: Prediction) -> dict[str, str]:
        """Id, size where asked for, and "label score mask" of every instance; scores with six decimals."""
        if not isinstance(prediction, Instances):
            raise TypeError(f"{self.name} rows hold instances, not {type(prediction).__name__}")
        form = self.format.submission
        found = zip(prediction.scores.tolist(), prediction.masks, strict=True)
        text = " ".join(f"{form.label} {score:.6f} {coco.pack(mask)}" for score, mask in found)
        return submissions.row(form, image_id, (prediction.height, prediction.width), text or form.empty)

    def decode_row(self, row: Row, size: tuple[int, int] | None) -> Instances:
        """The instances of a row, best score first."""
        form = self.format.submission
        fix = _FORM.format(form.label)
        size = submissions.size_of(row, form, size)
        if mask_text.is_empty(row.cells[form.mask], form):
            return self.empty(*(size or (0, 0)))
        if size is None:
            raise KitError("the size of this image is not known", where=row.where, fix="is the id right?")
        tokens = row.cells[form.mask].split()
        if len(tokens) % 3:
            raise KitError(
                f"prediction string has {len(tokens)} parts, no multiple of 3", where=row.where, fix=fix
            )
        scores, masks = [], []
        for number in range(len(tokens) // 3):
            label, score, text = tokens[3 * number : 3 * number + 3]
            where = f"{row.where}, prediction {number + 1}"
            if label != form.label:
                raise KitError(f"label is {label[:20]!r}, the only one is {form.label}", where=where, fix=fix)
            scores.append(_score(score, where, fix))
            masks.append(coco.unpack(text, where=where))
        _require_masks(masks, size, row.where)
        order = np.argsort(-np.array(scores, np.float64), kind="stable")
        ranked = np.array(scores, np.float64)[order]
        return Instances(*size, ranked, [masks[index] for index in order])

    def score(self, truth: Mapping[str, Prediction], predictions: Mapping[str, Prediction]) -> Score:
        """Average precision of all images together, the mean over the metric's thresholds."""
        from kit.local.metrics.average_precision import mean_average_precision

        submissions.check_sizes(truth, predictions)
        true, found = _instances(truth), _instances(predictions)
        thresholds = self.format.metric.iou
        if not any(image.ignored for image in true.values()):
            return Score(self.metric, mean_average_precision(true, found, thresholds), {})
        judged = zip(_judged(true, found, thresholds), thresholds, strict=True)
        values = [mean_average_precision(true, kept, [iou]) for kept, iou in judged]
        return Score(self.metric, sum(values) / len(values), {})


def _judged(
    truth: Mapping[str, Instances], predictions: Mapping[str, Instances], thresholds: Sequence[float]
) -> list[dict[str, Instances]]:
    """Predictions for each threshold without those that lie in ignored regions and find no true instance."""
    from kit.local.metrics.average_precision import precision_recalls

    kept = [dict(predictions) for _ in thresholds]
    for key in truth.keys() & predictions.keys():
        true, found = truth[key], predictions[key]
        if not true.ignored or not found.masks:
            continue
        order = np.argsort(-found.scores, kind="stable")  # that of the curve
        inside = _inside(found, true)[order]
        curves = precision_recalls({key: true}, {key: found}, thresholds)
        for judged, curve in zip(kept, curves, strict=True):
            places = order[curve.correct | ~inside].tolist()
            masks = [found.masks[place] for place in places]
            judged[key] = Instances(true.height, true.width, found.scores[places], masks)
    return kept


def _inside(found: Instances, true: Instances) -> NDArray[np.bool_]:
    """Which detections lie in an ignored region, (n,)."""
    regions = [coco.runs_of(counts, true.height, true.width) for counts in true.ignored]
    masks = [coco.runs_of(counts, true.height, true.width) for counts in found.masks]
    shared = [max(rle.intersection(runs, region) for region in regions) for runs in masks]
    return np.array(shared) > _INSIDE * np.array([rle.area(runs) for runs in masks])


def _require_masks(masks: Sequence[bytes], size: tuple[int, int], where: str) -> None:
    """Raise a `KitError` that names the first mask that is none of this size."""
    try:
        mask_set.decode(masks, *size)
    except KitError:
        for number, counts in enumerate(masks, start=1):
            coco.runs_of(counts, *size, where=f"{where}, prediction {number}")
        raise


def _score(text: str, where: str, fix: str) -> float:
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if not 0.0 <= score <= 1.0:  # False for NaN, too
        raise KitError(f"score is {text[:20]!r}, no number in [0, 1]", where=where, fix=fix)
    return score


def _instances(predictions: Mapping[str, Prediction]) -> dict[str, Instances]:
    kept = {key: found for key, found in predictions.items() if isinstance(found, Instances)}
    if len(kept) != len(predictions):
        raise TypeError("average precision compares instances, not masks of whole images")
    return kept
