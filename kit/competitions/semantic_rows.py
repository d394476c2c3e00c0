"""Competitions with a mask for each class of an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kit.competitions import mask_text, row_forms, submissions
from kit.competitions.many_rows import ManyRows
from kit.competitions.report import Report
from kit.competitions.tables import Row
from kit.errors import KitError
from kit.masks import rle
from kit.predictions import ClassMasks, Prediction, SemanticMask


class ClassMaskCompetition(ManyRows):
    """What a TOML file of the kind "semantic" with classes describes: a row or a column for each class."""

    def empty(self, height: int, width: int) -> ClassMasks:
        """Return masks without foreground."""
        return ClassMasks(height, width, {name: rle.empty() for name in self.format.classes})

    def rows(self, image_id: str, prediction: Prediction) -> list[dict[str, str]]:
        """Return a row for each class, or one with a column for each."""
        if not isinstance(prediction, ClassMasks):
            raise TypeError(f"{self.name} rows hold masks by class, not {type(prediction).__name__}")
        form, size = self.format.submission, (prediction.height, prediction.width)
        texts = [mask_text.write(prediction.masks[name], form, *size) for name in self.format.classes]
        return row_forms.rows(self.format, image_id, size, texts)

    def decode(self, rows: Sequence[Row], size: tuple[int, int] | None) -> ClassMasks:
        """Return the masks of an image; empty ones need no size."""
        form, classes = self.format.submission, self.format.classes
        found = {name: rle.empty() for name in classes}
        for number, text, row in self.numbered(rows):
            size = submissions.size_of(row, form, size)
            if mask_text.is_empty(text, form):
                continue
            if size is None:
                raise KitError(
                    "the size of this image is not known, so its masks cannot be checked",
                    where=row.where,
                    fix="check the id, and whether the image's header can be read",
                )
            found[classes[number]] = mask_text.read(text, form, *size, where=row.where)
        return ClassMasks(*(size or (0, 0)), found)

    def alarm(self, report: Report, predictions: Mapping[str, Prediction]) -> None:
        """Alarm as for single masks, and if a class has no mask at all."""
        known = row_forms.row_ids(self.format)
        single: dict[str, SemanticMask] = {}
        for image, found in predictions.items():
            assert isinstance(found, ClassMasks)
            for number, runs in enumerate(found.masks.values()):
                single[known.name(image, number)] = SemanticMask(found.height, found.width, runs)
        submissions.raise_alarms(report, single)
        kept = {name for found in predictions.values() for name, runs in _masks(found) if len(runs)}
        if kept and (without := [name for name in self.format.classes if name not in kept]):
            report.alarm(
                f"no image has a mask of the class {without[0]!r}"
                + (f", nor of {len(without) - 1} other classes" if without[1:] else ""),
                report.subject,
                "is its threshold too high, or its place in the network's output another?",
            )


def _masks(prediction: Prediction) -> list[tuple[str, rle.Runs]]:
    return [*prediction.masks.items()] if isinstance(prediction, ClassMasks) else []


COMPETITION = ClassMaskCompetition
"""What `kit.competitions.get` makes of such a definition; it finds this module by name."""
