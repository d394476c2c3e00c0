"""One class for every competition: what predict.py needs of it on Kaggle.

Truth, scores and the checks of training data stay on the local side, in `kit.local.competitions`. Importing
this needs only the standard library and numpy: on Kaggle the fallback file is written before anything is
installed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kit.competitions import presets, recognition, submissions
from kit.competitions.definition import Definition, Split
from kit.competitions.metadata import MetadataReader
from kit.competitions.parsing import parse
from kit.competitions.path_pattern import PathPattern, is_file
from kit.competitions.recognition import SAMPLE_SUBMISSION
from kit.competitions.report import Report
from kit.competitions.tables import Row, read_table
from kit.errors import KitError
from kit.images.header import read_header
from kit.images.info import ImageInfo
from kit.predictions import Prediction


class Competition(ABC):
    """A competition with one TIFF per image: its folder, ids, images, submission rows and their checks.

    It holds no state besides the definition; every method takes the data folder. The modules `semantic` and
    `instance` each add what a prediction of that kind looks like in a submission file.

    Args:
        definition: the competition's format.
        value: the plain values the definition was made from, for a competition that a TOML file describes.

    Attributes:
        format: the definition.
        definition: `value`; None for a competition the kit knows by name.
        name: short name for command lines and folders, e.g. "kidney".
        slug: Kaggle's name, part of mount paths.
        kind: "semantic" (one mask per image) or "instance" (scored instances).
        columns: header of submission.csv.
        metric: its name, e.g. "mean Dice", "AP@0.6".
        metadata: reads the tables that say more of images than their pixels do.
    """

    def __init__(self, definition: Definition, value: dict[str, Any] | None = None) -> None:
        self.format = definition
        self.definition = value
        self.name, self.slug, self.kind = definition.name, definition.slug, definition.kind
        self.columns = definition.submission.columns
        self.metric = definition.metric.text
        self.metadata = MetadataReader(definition.metadata)

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

    def check_folder(self, report: Report, data: Path) -> bool:
        """Return whether a folder holds this competition's data; if not, report what it is instead."""
        known = {name: recognition.signature(parse(value)) for name, value in presets.PRESETS.items()}
        return recognition.check_folder(report, data, recognition.signature(self.format), known)

    def image_pattern(self, split: Split) -> PathPattern:
        """Return where the images of a part lie."""
        return PathPattern(self.format.images.train if split == "train" else self.format.images.test)

    def image_path(self, data: Path, image_id: str, split: Split) -> Path:
        """Return where an image lies according to the definition; it need not exist."""
        return self.image_pattern(split).path(data, image_id)

    def size_of(self, data: Path, image_id: str) -> tuple[int, int]:
        """Return height and width of a training or test image, from its file's header.

        Raises:
            KitError: the image is missing, damaged or no TIFF.
        """
        # An id in both parts means one image, so either file has its size; the check of a folder holds that.
        train = self.image_path(data, image_id, "train")
        header = read_header(train if is_file(train) else self.image_path(data, image_id, "test"))
        return header.height, header.width

    def test_ids(self, data: Path) -> list[str]:
        """Return the ids to predict: those of sample_submission.csv in its order, else the sorted test files.

        Raises:
            KitError: neither the table nor a test image exists.
        """
        listed = data / SAMPLE_SUBMISSION
        if listed.is_file():
            return [row.id for row in read_table(listed, self.columns, key=self.columns[0])]
        pattern = self.image_pattern("test")
        found = pattern.ids(data)
        if not found:
            raise KitError(
                f"neither {SAMPLE_SUBMISSION} nor images {pattern.text}",
                where=data,
                fix="unpack the data again",
            )
        return found

    def info(self, data: Path, image_id: str, split: Split = "test") -> ImageInfo:
        """Return pixel size, organ and source of an image; what is not known is left out, never an error."""
        return self.metadata.info(data, image_id, split)

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
