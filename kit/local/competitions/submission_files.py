"""Submission files on the local side: held against the training images, and written."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from kit.artefacts import write_text
from kit.competitions.competition import Competition
from kit.competitions.report import Report
from kit.competitions.tables import read_table
from kit.local.competitions import plausibility
from kit.local.competitions.plausibility import Plausibility
from kit.predictions import Prediction


def inspect(
    competition: Competition,
    submission: Path,
    ids: Sequence[str],
    sizes: Mapping[str, tuple[int, int]],
    expected: Plausibility | None,
) -> tuple[Report, dict[str, Prediction]]:
    """Check a submission file as `Competition.inspect` does, and compare its masks with the training images'.

    Args:
        competition: whose submission it is.
        submission: the CSV.
        ids: those to predict.
        sizes: id -> (height, width), as far as known.
        expected: what training masks are like; masks far from that raise an alarm, too.

    Returns:
        The report, and the predictions that could be decoded.
    """
    report, predictions = competition.inspect(submission, ids, sizes)
    # With errors, the rows that could be decoded are no fair sample of the submission.
    if report.ok and expected is not None:
        plausibility.compare(report, plausibility.describe(predictions.values()), expected)
    return report, predictions


def read(
    competition: Competition, submission: Path, sizes: Mapping[str, tuple[int, int]] | None = None
) -> dict[str, Prediction]:
    """Return the predictions of a submission file, ids in its order.

    Args:
        competition: whose submission it is.
        submission: the file.
        sizes: id -> (height, width), needed where the file does not carry them.

    Raises:
        KitError: names the row and what is wrong with it.
    """
    report = Report(str(submission))
    rows = read_table(submission, competition.columns, key=competition.columns[0])
    found = competition.decoded(report, competition.of_images(report, rows, None), sizes or {})
    report.require_ok()
    return found


def write_submission(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> None:
    """Write a submission file atomically, columns in their order, a newline at line ends.

    Args:
        path: the file to write or replace.
        columns: of the competition.
        rows: as `Competition.row` makes them.

    Raises:
        ValueError: a row has other columns.
    """
    # Written to memory first: a wrong row must not leave a half-written file.
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        if set(row) != set(columns):
            raise ValueError(f"row has columns {sorted(row)}, the competition needs {tuple(columns)}")
        writer.writerow([row[column] for column in columns])
    write_text(path, stream.getvalue())
