"""Competitions with instances of several classes, in rows of their own, without overlap, or as boxes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from kit.competitions import instance_text, mask_text, row_forms, submissions
from kit.competitions.instance import require_masks, score_of
from kit.competitions.many_rows import ManyRows
from kit.competitions.report import Report
from kit.competitions.tables import Row
from kit.errors import KitError
from kit.masks import coco
from kit.predictions import Instances, Prediction


class InstanceRowsCompetition(ManyRows):
    """What a TOML file of the kind "instance" describes, beyond one class in one cell for each image."""

    def empty(self, height: int, width: int) -> Instances:
        """Return a prediction without instances."""
        return Instances(height, width, np.zeros(0), [])

    def rows(self, image_id: str, prediction: Prediction) -> list[dict[str, str]]:
        """Return the rows of an image, best instance first; scores have six decimals."""
        if not isinstance(prediction, Instances):
            raise TypeError(f"{self.name} rows hold instances, not {type(prediction).__name__}")
        form, size = self.format.submission, (prediction.height, prediction.width)
        found = prediction if form.overlap else without_overlap(prediction)
        texts = [self._text(found, place) for place in range(len(found.masks))]
        labels = found.labels.tolist()
        if form.rows == "object":
            if not texts:
                return row_forms.nothing(self.format, image_id, size, {})
            return [
                self._object(image_id, size, label, score, text)
                for label, score, text in zip(labels, found.scores.tolist(), texts, strict=True)
            ]
        if form.class_in_row:
            own = [[text for text, of in zip(texts, labels, strict=True) if of == n] for n in self._numbers]
        else:
            own = [texts]
        return row_forms.rows(self.format, image_id, size, [" ".join(some) or form.empty for some in own])

    def decode(self, rows: Sequence[Row], size: tuple[int, int] | None) -> Instances:
        """Return the instances of an image, best score first."""
        form = self.format.submission
        scores: list[float] = []
        masks: list[bytes] = []
        labels: list[int] = []
        places: list[str] = []
        for label, text, row in self._cells(rows):
            size = submissions.size_of(row, form, size)
            if mask_text.is_empty(text, form):
                continue
            if size is None:
                raise KitError("the size of this image is not known", where=row.where, fix="check the id")
            read = (
                self._one(row, text, label, size)
                if form.rows == "object"
                else self._several(row, text, label, size)
            )
            for score, mask, of in read:
                scores.append(score)
                masks.append(mask)
                labels.append(of)
                places.append(row.where)
        if size is None or not masks:
            return self.empty(*(size or (0, 0)))
        require_masks(masks, size, rows[0].where)
        if not form.overlap:
            _require_apart(masks, size, places)
        order = np.argsort(-np.array(scores, np.float64), kind="stable")
        ranked = np.array(scores, np.float64)[order]
        return Instances(*size, ranked, [masks[n] for n in order], labels=np.array(labels, np.int64)[order])

    def alarm(self, report: Report, predictions: Mapping[str, Prediction]) -> None:
        """Alarm as for instances of one class, and if a class is never found."""
        found = {key: one for key, one in predictions.items() if isinstance(one, Instances)}
        scored = self.format.submission.score or "{score}" in self.format.submission.instance
        submissions.raise_alarms(
            report, found, scored=bool(scored) and self.format.submission.rows == "image"
        )
        seen = {number for one in found.values() for number in one.labels.tolist()}
        for number, name in enumerate(self.format.classes):
            if seen and number not in seen:
                fix = "is its label another, or its threshold too high?"
                report.alarm(f"no image has an instance of the class {name!r}", report.subject, fix)

    @property
    def _numbers(self) -> range:
        return range(len(self.format.labels))

    def _text(self, found: Instances, place: int) -> str:
        """Return an instance as text: its mask where it has a row, else the words of the pattern."""
        form, size = self.format.submission, (found.height, found.width)
        counts = found.masks[place]
        if form.rows == "object":
            return mask_text.write(coco.runs_of(counts, *size), form, *size)
        label = self.format.labels[found.labels[place]]
        return instance_text.write(form.instance, label, float(found.scores[place]), counts, size)

    def _object(
        self, image_id: str, size: tuple[int, int], label: int, score: float, text: str
    ) -> dict[str, str]:
        form = self.format.submission
        row = {**row_forms.row_ids(self.format).cells(image_id, label), form.score: f"{score:.6f}"}
        row |= {form.height: str(size[0]), form.width: str(size[1]), form.mask: text}
        return {column: row[column] for column in self.columns}

    def _cells(self, rows: Sequence[Row]) -> Iterable[tuple[int | None, str, Row]]:
        """Yield the class (None: each instance tells its own), the cell with instances, and the row."""
        form, known = self.format.submission, row_forms.row_ids(self.format)
        for row in rows:
            number = known.split(row.cells)[1]
            yield 0 if number is None and not self.format.classes else number, row.cells[form.mask], row

    def _one(
        self, row: Row, text: str, label: int | None, size: tuple[int, int]
    ) -> Iterable[tuple[float, bytes, int]]:
        form = self.format.submission
        fix = f"write a number in the column {form.score}"
        score = score_of(row.cells[form.score], row.where, fix) if form.score else 1.0
        runs = mask_text.read(text, form, *size, where=row.where)
        yield score, coco.from_runs(runs, *size), label or 0

    def _several(
        self, row: Row, text: str, label: int | None, size: tuple[int, int]
    ) -> Iterable[tuple[float, bytes, int]]:
        form, names = self.format.submission, self.format.labels
        for number, one in enumerate(instance_text.read(form.instance, text, size, row.where), 1):
            wanted = names if label is None else names[label : label + 1]
            if one.label is not None and one.label not in wanted:
                raise KitError(
                    f"label is {one.label[:20]!r}, it has to be {' or '.join(wanted[:20])}",
                    where=f"{row.where}, prediction {number}",
                    fix=f"write '{form.instance}' for each instance, separated by blanks",
                )
            yield one.score, one.mask, (label or 0) if one.label is None else names.index(one.label)


def without_overlap(found: Instances) -> Instances:
    """Return instances of which each pixel belongs to one: the one with the best score keeps it."""
    # Two instances share 4 pixels: the better one has them, and the other one is smaller by 4. One that has
    # no pixel left is left out.
    size = (found.height, found.width)
    taken_HW = np.zeros(size, bool)
    kept: list[int] = []
    masks: list[bytes] = []
    for place in np.argsort(-found.scores, kind="stable").tolist():
        mask_HW = coco.decode(found.masks[place], *size) & ~taken_HW
        if mask_HW.any():
            taken_HW |= mask_HW
            kept.append(place)
            masks.append(coco.encode(mask_HW))
    return Instances(*size, found.scores[kept], masks, found.ignored, found.labels[kept])


def _require_apart(masks: Sequence[bytes], size: tuple[int, int], places: Sequence[str]) -> None:
    """Raise an error that names the first mask which shares a pixel with one before it."""
    owner_HW: NDArray[np.int32] = np.zeros(size, np.int32)
    for number, counts in enumerate(masks, 1):
        mask_HW = coco.decode(counts, *size)
        if first := int(owner_HW[mask_HW].max(initial=0)):
            raise KitError(
                f"this mask and the one of {places[first - 1]} share pixels",
                where=places[number - 1],
                fix="give each pixel to one instance only; this competition refuses overlap",
            )
        owner_HW[mask_HW] = number


COMPETITION = InstanceRowsCompetition
"""What `kit.competitions.get` makes of such a definition; it finds this module by name."""
