"""Competitions with scored instances in images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from kit.competitions import mask_text, submissions
from kit.competitions.competition import Competition
from kit.competitions.report import Report
from kit.competitions.tables import Row
from kit.errors import KitError
from kit.masks import coco, mask_set
from kit.predictions import Instances, Prediction

_FORM = "write '{} score mask' for each instance, separated by blanks"


class InstanceCompetition(Competition):
    """Vasculature, and what a TOML file of the kind "instance" describes; a row holds scored instances."""

    def empty(self, height: int, width: int) -> Instances:
        """Return a prediction without instances."""
        return Instances(height, width, np.zeros(0), [])

    def rows(self, image_id: str, prediction: Prediction) -> list[dict[str, str]]:
        """Return id, size where asked for, and "label score mask" per instance; scores have six decimals."""
        if not isinstance(prediction, Instances):
            raise TypeError(f"{self.name} rows hold instances, not {type(prediction).__name__}")
        form = self.format.submission
        found = zip(prediction.scores.tolist(), prediction.masks, strict=True)
        text = " ".join(f"{form.label} {score:.6f} {coco.pack(mask)}" for score, mask in found)
        return [form.row(image_id, (prediction.height, prediction.width), text or form.empty)]

    def decode(self, rows: Sequence[Row], size: tuple[int, int] | None) -> Instances:
        """Return the instances of a row, best score first."""
        [row] = rows
        form = self.format.submission
        fix = _FORM.format(form.label)
        size = submissions.size_of(row, form, size)
        if mask_text.is_empty(row.cells[form.mask], form):
            return self.empty(*(size or (0, 0)))
        if size is None:
            raise KitError("the size of this image is not known", where=row.where, fix="check the id")
        # "0 0.9 eNoL... 0 0.4 eNqz..." holds two instances: label, score and mask, three words each.
        tokens = row.cells[form.mask].split()
        if len(tokens) % 3:
            raise KitError(
                f"prediction string has {len(tokens)} parts, which is no multiple of 3",
                where=row.where,
                fix=fix,
            )
        scores, masks = [], []
        for number in range(len(tokens) // 3):
            label, score, text = tokens[3 * number : 3 * number + 3]
            where = f"{row.where}, prediction {number + 1}"
            if label != form.label:
                raise KitError(f"label is {label[:20]!r}, it has to be {form.label}", where=where, fix=fix)
            scores.append(score_of(score, where, fix))
            masks.append(coco.unpack(text, where=where))
        require_masks(masks, size, row.where)
        # Stable, so that equal scores keep the order of the file, as the metric ranks them.
        order = np.argsort(-np.array(scores, np.float64), kind="stable")
        ranked = np.array(scores, np.float64)[order]
        return Instances(*size, ranked, [masks[index] for index in order])

    def alarm(self, report: Report, predictions: Mapping[str, Prediction]) -> None:
        """Alarm if masks are all missing, cover their images or are equal, or if all scores are."""
        submissions.raise_alarms(report, predictions)  # type: ignore[arg-type]  # `decode` made them


def require_masks(masks: Sequence[bytes], size: tuple[int, int], where: str) -> None:
    """Raise a `KitError` that names the first mask that does not fit this size."""
    # Decoding all masks at once is fast, but its error does not say which one: search only after an error.
    try:
        mask_set.decode(masks, *size)
    except KitError:
        for number, counts in enumerate(masks, start=1):
            coco.runs_of(counts, *size, where=f"{where}, prediction {number}")
        raise  # pragma: no cover - both find the same faults; if they should not, this is one all the same


def score_of(text: str, where: str, fix: str) -> float:
    """Return the score of a text; raise a `KitError` if it is no number in [0, 1]."""
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if not 0.0 <= score <= 1.0:  # False for NaN, too
        raise KitError(f"score is {text[:20]!r}, it has to be a number in [0, 1]", where=where, fix=fix)
    return score


COMPETITION = InstanceCompetition
"""What `kit.competitions.get` makes of a definition of this kind; it finds this module by the kind's name."""
