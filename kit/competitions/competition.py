"""One class for every competition: what predict.py needs of it on Kaggle.

Truth, scores and the checks of training data stay on the local side, in `kit.local.competitions`. Importing
this needs only the standard library and numpy; what is needed before even numpy is imported is in `folder`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from kit.competitions import submissions
from kit.competitions.folder import CompetitionFolder
from kit.competitions.report import Report
from kit.competitions.tables import Row, read_table
from kit.errors import KitError
from kit.predictions import Prediction


class Competition(CompetitionFolder, ABC):
    """A competition: its folder, ids, images, submission rows and their checks.

    The modules `semantic`, `instance` and `values` each add what a prediction of that kind looks like in a
    submission file; `semantic_rows` and `instance_rows` know classes, and several rows for an image.
    """

    @abstractmethod
    def empty(self, height: int, width: int) -> Prediction:
        """Return the prediction that finds nothing."""

    @abstractmethod
    def rows(self, image_id: str, prediction: Prediction) -> list[dict[str, str]]:
        """Return the submission rows of an image, keyed by `columns`; the metric's rows for a truth.

        Raises:
            TypeError: the prediction is of another kind.
        """

    @abstractmethod
    def decode(self, rows: Sequence[Row], size: tuple[int, int] | None) -> Prediction:
        """Return the prediction of an image's submission rows.

        Args:
            rows: one or more, with the competition's columns.
            size: height and width of the image, None if not known.

        Raises:
            KitError: a row is invalid; names file, line and reason.
        """

    @abstractmethod
    def alarm(self, report: Report, predictions: Mapping[str, Prediction]) -> None:
        """Add facts about a valid submission, and alarms for what is hardly meant so."""

    def of_images(
        self, report: Report, rows: Sequence[Row], ids: Sequence[str] | None
    ) -> dict[str, list[Row]]:
        """Return the rows of each image; report rows that are missing, unknown or there twice.

        Args:
            report: gets the errors.
            rows: of the submission.
            ids: those to predict; None: any.
        """
        if ids is not None:
            submissions.check_ids(report, rows, ids)
        found: dict[str, list[Row]] = {}
        for row in rows:
            if row.id in found:
                report.error(f"id {row.id} is there twice", row.where, "write one row per id")
            else:
                found[row.id] = [row]
        return found

    def rows_of(self, submission: Path) -> dict[str, list[Row]]:
        """Return the rows of each image in a submission file that was validated."""
        rows = read_table(submission, self.columns, key=self.columns[0])
        return self.of_images(Report(str(submission)), rows, None)

    def validate(self, submission: Path, ids: Sequence[str], sizes: Mapping[str, tuple[int, int]]) -> Report:
        """Check a submission file; never raises for bad content.

        Errors: columns; ids missing or twice; run lengths unsorted, non-positive, overlapping or out of
        bounds; masks that do not decode. Alarms: what is valid but absurd, such as all masks empty.

        Args:
            submission: the file.
            ids: those to predict.
            sizes: id -> (height, width), as far as known.
        """
        return self.inspect(submission, ids, sizes)[0]

    def inspect(
        self, submission: Path, ids: Sequence[str], sizes: Mapping[str, tuple[int, int]]
    ) -> tuple[Report, dict[str, Prediction]]:
        """Return what `validate` says of a submission file, and the predictions that could be decoded."""
        report = Report(str(submission))
        try:
            rows = read_table(submission, self.columns, key=self.columns[0])
        except KitError as error:
            report.take(error)
            return report, {}
        predictions = self.decoded(report, self.of_images(report, rows, ids), sizes)
        # After an error some rows are not decoded, and "all masks are empty" might be wrong.
        if report.ok:
            self.alarm(report, predictions)
        return report, predictions

    def decoded(
        self, report: Report, rows: Mapping[str, list[Row]], sizes: Mapping[str, tuple[int, int]]
    ) -> dict[str, Prediction]:
        """Return the predictions of all images that can be decoded; report the others as errors."""
        found: dict[str, Prediction] = {}
        for image, own in rows.items():
            try:
                found[image] = self.decode(own, sizes.get(image))
            except KitError as error:
                report.take(error, own[0].where)
        return found
