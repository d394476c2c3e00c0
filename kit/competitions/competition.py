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
    """A competition with one TIFF per image: its folder, ids, images, submission rows and their checks.

    The modules `semantic` and `instance` each add what a prediction of that kind looks like in a submission
    file.
    """

    @abstractmethod
    def empty(self, height: int, width: int) -> Prediction:
        """Return the prediction that finds nothing."""

    @abstractmethod
    def row(self, image_id: str, prediction: Prediction) -> dict[str, str]:
        """Return one submission row, keyed by `columns`."""

    @abstractmethod
    def decode_row(self, row: Row, size: tuple[int, int] | None) -> Prediction:
        """Return the prediction of one submission row.

        Args:
            row: with the competition's columns.
            size: height and width of the image, None if not known.

        Raises:
            KitError: the row is invalid; names file, line and reason.
        """

    def parse(
        self, submission: Path, sizes: Mapping[str, tuple[int, int]] | None = None
    ) -> dict[str, Prediction]:
        """Return the predictions of a submission file, ids in its order.

        Args:
            submission: the CSV.
            sizes: id -> (height, width), needed where the file does not carry them.

        Raises:
            KitError: names the row and what is wrong with it.
        """
        report = Report(str(submission))
        rows = read_table(submission, self.columns, key=self.columns[0])
        predictions = submissions.decode(report, rows, self.decode_row, sizes or {})
        report.require_ok()
        return predictions

    def validate(self, submission: Path, ids: Sequence[str], sizes: Mapping[str, tuple[int, int]]) -> Report:
        """Check a submission file; never raises for bad content.

        Errors: columns; ids missing or twice; run lengths unsorted, non-positive, overlapping or out of
        bounds; masks that do not decode. Alarms: what is valid but absurd, such as all masks empty.

        Args:
            submission: the CSV.
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
        submissions.check_ids(report, rows, ids)
        predictions = submissions.decode(report, rows, self.decode_row, sizes)
        # After an error some rows are not decoded, and "all masks are empty" might be wrong.
        if report.ok:
            submissions.raise_alarms(report, predictions)
        return report, predictions
