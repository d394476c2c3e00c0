"""Competitions whose images have several rows, or several cells: what all kinds of them share."""

from __future__ import annotations

from collections.abc import Sequence

from kit.competitions import row_forms, submissions
from kit.competitions.competition import Competition
from kit.competitions.report import Report
from kit.competitions.tables import Row
from kit.errors import KitError


class ManyRows(Competition):
    """A competition with a row for each image, for each class of an image, or for each instance."""

    def of_images(
        self, report: Report, rows: Sequence[Row], ids: Sequence[str] | None
    ) -> dict[str, list[Row]]:
        """Return the rows of each image, in the order of its classes where a row is of one class."""
        form, known = self.format.submission, row_forms.row_ids(self.format)
        objects = form.rows == "object"
        found: dict[str, dict[tuple[int | None, int], Row]] = {}
        for place, row in enumerate(rows):
            try:
                image, number = known.split(row.cells)
            except KitError as error:
                report.error(error.problem, row.where, error.fix or "")
                continue
            of_image = found.setdefault(image, {})
            if (number, place if objects else 0) in of_image:
                name = known.name(image, number)
                report.error(f"{name} is there twice", row.where, "write one row for each")
                continue
            of_image[number, place if objects else 0] = row
        if ids is not None:
            # Where each class has a row, a row that is missing is told like an id that is missing.
            numbers = range(len(known.labels)) if form.class_in_row and not objects else [None]
            given = [
                known.name(image, None if objects else n) for image, own in found.items() for n, _ in own
            ]
            wanted = [known.name(image, number) for image in dict.fromkeys(ids) for number in numbers]
            raw = [cell for row in rows if (cell := row.cells[form.id]) != cell.strip()]
            submissions.check_names(report, given, wanted, raw)
        return {
            image: list(own.values()) if objects else [own[key] for key in sorted(own, key=_place)]
            for image, own in found.items()
        }

    def numbered(self, rows: Sequence[Row]) -> list[tuple[int, str, Row]]:
        """Return number, cell and row of each class (or target) that the rows of an image tell."""
        form, known = self.format.submission, row_forms.row_ids(self.format)
        if not form.class_in_row:
            return [(n, row.cells[column], row) for row in rows for n, column in enumerate(self.format.cells)]
        return [(known.split(row.cells)[1] or 0, row.cells[self.format.cells[0]], row) for row in rows]


def _place(key: tuple[int | None, int]) -> int:
    return key[0] or 0
