"""Competitions with one foreground mask per image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kit.competitions import mask_text, submissions
from kit.competitions.competition import Competition
from kit.competitions.report import Report
from kit.competitions.tables import Row
from kit.errors import KitError
from kit.masks import rle
from kit.predictions import Prediction, SemanticMask


class SemanticCompetition(Competition):
    """Kidney, body, and what a TOML file of the kind "semantic" describes; a row holds an image's mask."""

    def empty(self, height: int, width: int) -> SemanticMask:
        """Return a mask without foreground."""
        return SemanticMask(height, width, rle.empty())

    def rows(self, image_id: str, prediction: Prediction) -> list[dict[str, str]]:
        """Return id and mask, with the size where the competition asks for it."""
        if not isinstance(prediction, SemanticMask):
            raise TypeError(f"{self.name} rows hold one mask, not {type(prediction).__name__}")
        form, size = self.format.submission, (prediction.height, prediction.width)
        text = mask_text.write(prediction.runs, form, *size)
        return [form.row(image_id, size, text)]

    def decode(self, rows: Sequence[Row], size: tuple[int, int] | None) -> SemanticMask:
        """Return the mask of a row; an empty one needs no size."""
        [row] = rows
        form = self.format.submission
        size = submissions.size_of(row, form, size)
        text = row.cells[form.mask]
        if size is None:
            if mask_text.is_empty(text, form):
                return self.empty(0, 0)
            raise KitError(
                "the size of this image is not known, so its mask cannot be checked",
                where=row.where,
                fix="check the id, and whether the image's header can be read",
            )
        return SemanticMask(*size, mask_text.read(text, form, *size, where=row.where))

    def alarm(self, report: Report, predictions: Mapping[str, Prediction]) -> None:
        """Alarm if masks are all empty, cover their images, or are equal."""
        submissions.raise_alarms(report, predictions)  # type: ignore[arg-type]  # `decode` made them


COMPETITION = SemanticCompetition
"""What `kit.competitions.get` makes of a definition of this kind; it finds this module by the kind's name."""
