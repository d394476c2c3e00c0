"""What all competitions do alike: ids, sizes and truth of TIFFs in folders; checks of folders and files."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kit.competitions import layout, presets, submissions
from kit.competitions.base import Competition, Split, Usual
from kit.competitions.definition import ID, Definition
from kit.competitions.files import PathPattern, is_file
from kit.competitions.layout import SAMPLE_SUBMISSION
from kit.competitions.metadata import MetadataReader
from kit.competitions.parsing import parse
from kit.competitions.report import Report
from kit.competitions.tables import Row, read_table
from kit.errors import KitError
from kit.images.header import read_header, require_rgb8
from kit.images.info import ImageInfo
from kit.local.competitions import plausibility, truth_readers
from kit.local.competitions.truth_readers import TruthEntry
from kit.predictions import Prediction

_ONE_OF_TWO = "keep one of the two"


class TiffCompetition(Competition):
    """A competition with one TIFF an image; subclasses say what a prediction is.

    Args:
        definition: its format.
        value: the plain values the definition was made from, for one that a TOML file describes.
    """

    def __init__(self, definition: Definition, value: dict[str, Any] | None = None) -> None:
        self.format = definition
        self.definition = value
        self.name, self.slug, self.kind = definition.name, definition.slug, definition.kind
        self.columns = definition.submission.columns
        self.metric = definition.metric.text
        self.truth_files = tuple(name for name in (definition.truth.file, definition.truth.solution) if name)
        self._metadata = MetadataReader(definition.metadata)
        self._truth = truth_readers.reader(definition)

    @abstractmethod
    def decode_truth(self, entry: TruthEntry, height: int, width: int) -> Prediction:
        """The truth of one image.

        Raises:
            KitError: it is invalid; names file, line and reason.
        """

    @abstractmethod
    def decode_row(self, row: Row, size: tuple[int, int] | None) -> Prediction:
        """The prediction of one submission row.

        Args:
            row: with the competition's columns.
            size: height and width of the image, None if not known.

        Raises:
            KitError: it is invalid; names file, line and reason.
        """

    def check_folder(self, report: Report, data: Path) -> bool:
        """Whether a folder is there and not another competition's; the report says what it is otherwise."""
        known = {name: layout.signature(parse(value)) for name, value in presets.PRESETS.items()}
        return layout.check_folder(report, data, layout.signature(self.format), known)

    def image_path(self, data: Path, image_id: str, split: Split) -> Path:
        """Where the definition says; it need not exist."""
        return self._pattern(split).path(data, image_id)

    def size_of(self, data: Path, image_id: str) -> tuple[int, int]:
        """Height and width of a training or test image, from its TIFF header."""
        train = self.image_path(data, image_id, "train")
        header = read_header(train if is_file(train) else self.image_path(data, image_id, "test"))
        return header.height, header.width

    def train_ids(self, data: Path) -> list[str]:
        """Ids in the training truth, sorted."""
        return sorted({entry.id for entry in self._truth.entries(data, self.truth_files[0])})

    def test_ids(self, data: Path) -> list[str]:
        """Ids of sample_submission.csv in its order, else of the sorted files there are."""
        listed = data / SAMPLE_SUBMISSION
        if listed.is_file():
            return [row.id for row in read_table(listed, self.columns, key=self.columns[0])]
        pattern = self._pattern("test")
        found = pattern.ids(data)
        if not found:
            raise KitError(
                f"neither {SAMPLE_SUBMISSION} nor images {pattern.text}",
                where=data,
                fix="unpack the data again",
            )
        return found

    def group_of(self, data: Path, image_id: str) -> str:
        """What the definition's column says, the image itself without one."""
        return self._metadata.group(data, image_id)

    def info(self, data: Path, image_id: str, split: Split = "test") -> ImageInfo:
        """What the competition's tables tell of an image, else what its definition holds for all."""
        return self._metadata.info(data, image_id, split)

    def truth(self, data: Path, ids: Iterable[str]) -> dict[str, Prediction]:
        """Truth of the given ids, from the training truth or a solution file."""
        wanted = list(dict.fromkeys(ids))
        entries: dict[str, TruthEntry] = {}
        for name in self.truth_files:
            if self._truth.exists(data, name):
                missing = set(wanted) - set(entries)
                found = [entry for entry in self._truth.entries(data, name) if entry.id in missing]
                if twice := submissions.repeated(entry.id for entry in found):
                    raise KitError(f"id {twice[0]} is there twice", where=data / name, fix=_ONE_OF_TWO)
                entries |= {entry.id: entry for entry in found}
        absent = [image_id for image_id in wanted if image_id not in entries]
        if absent:
            raise KitError(
                f"no truth for {len(absent)} image{'s' if len(absent) > 1 else ''}, the first is {absent[0]}",
                where=data,
                fix=f"truth is looked for in {' and '.join(self.truth_files)}",
            )
        return {key: self.decode_truth(entries[key], *self.size_of(data, key)) for key in wanted}

    def check(self, data: Path, *, need_train: bool = True) -> Report:
        """Folder, tables, image headers and training truth.

        A broken test image is an error, but an alarm on Kaggle (`need_train` False) while others can be read:
        there it gets an empty row.
        """
        report = Report(str(data))
        if not self.check_folder(report, data):
            return report
        test = self._check_test(report, data, on_kaggle=not need_train)
        if need_train:
            train = self._check_train(report, data)
            for image_id in [key for key in test if train.get(key, test[key]) != test[key]]:
                text = f"{image_id} is the id of a training image and of another one to predict"
                report.error(text, str(data), "rename one of them: truth and scores go by the id alone")
        return report

    def parse(
        self, submission: Path, sizes: Mapping[str, tuple[int, int]] | None = None
    ) -> dict[str, Prediction]:
        """Predictions of a submission file, ids in its order."""
        report = Report(str(submission))
        rows = read_table(submission, self.columns, key=self.columns[0])
        predictions = submissions.decode(report, rows, self.decode_row, sizes or {})
        report.require_ok()
        return predictions

    def validate(
        self,
        submission: Path,
        ids: Sequence[str],
        sizes: Mapping[str, tuple[int, int]],
        *,
        expected: Usual | None = None,
    ) -> Report:
        """Everything Kaggle would refuse as errors, what is valid but absurd as alarms."""
        report = Report(str(submission))
        try:
            rows = read_table(submission, self.columns, key=self.columns[0])
        except KitError as error:
            report.take(error)
            return report
        submissions.check_ids(report, rows, ids)
        predictions = submissions.decode(report, rows, self.decode_row, sizes)
        if report.ok:
            submissions.raise_alarms(report, predictions)
            if expected is not None:
                plausibility.compare(report, plausibility.describe(predictions.values()), expected)
        return report

    def usual(self, data: Path) -> Usual | None:
        """What the masks of the training images are like; None without usable truth."""
        try:
            ids = plausibility.sample(self.train_ids(data))
            return plausibility.describe(self.truth(data, ids).values())
        except KitError:
            return None

    def note_truth(self, report: Report, entries: Sequence[TruthEntry]) -> None:
        """Add notes and facts about the training truth as a whole; nothing unless overridden."""

    def _pattern(self, split: Split) -> PathPattern:
        return PathPattern(self.format.images.train if split == "train" else self.format.images.test)

    def _check_test(self, report: Report, data: Path, *, on_kaggle: bool) -> dict[str, tuple[int, int]]:
        """Check the images to predict; returns the sizes of those that can be used."""
        try:
            ids = self.test_ids(data)
        except KitError as error:
            report.take(error)
            return {}
        listed = data / SAMPLE_SUBMISSION
        for image_id in submissions.repeated(ids):
            report.error(f"id {image_id} is there twice", str(listed), "download the table again")
        sizes, faults = self._headers(report, data, dict.fromkeys(ids), "test")
        report.facts["test images"] = float(len(sizes))
        for fault in faults:
            if on_kaggle and sizes:
                report.alarm(fault.problem, fault.where or "", "its row of the submission stays empty")
            else:
                report.take(fault)
        self._metadata.check(report, data, "test", sizes)
        unlisted = sorted(set(self._pattern("test").ids(data)) - set(ids))
        if unlisted:
            more = f" and {len(unlisted) - 1} more" if len(unlisted) > 1 else ""
            name = self._pattern("test").text.replace(ID, unlisted[0])
            text = f"image {name}{more} is not in {SAMPLE_SUBMISSION}"
            report.alarm(text, str(listed), "only listed images are predicted")
        return sizes

    def _check_train(self, report: Report, data: Path) -> dict[str, tuple[int, int]]:
        """Check images with truth; returns the sizes of those that can be used."""
        path = data / self.truth_files[0]
        try:
            entries = list(self._truth.entries(data, self.truth_files[0]))
        except KitError as error:
            report.take(error)
            return {}
        for image_id in submissions.repeated(entry.id for entry in entries):
            report.error(f"id {image_id} is there twice", str(path), _ONE_OF_TWO)
        sizes, faults = self._headers(report, data, [entry.id for entry in entries], "train")
        for fault in faults:
            report.take(fault)
        empty = bool(sizes)
        for entry in entries:
            if entry.id in sizes:
                try:
                    truth = self.decode_truth(entry, *sizes[entry.id])
                    empty = empty and not submissions.areas_of(truth).any()
                except KitError as error:
                    report.take(error, entry.where)
                    empty = False
        if empty:
            report.alarm(
                "no training image has a mask", str(path), "does the definition name what is scored?"
            )
        self._metadata.check(report, data, "train", sizes)
        report.facts["training images with truth"] = float(len(sizes))
        self.note_truth(report, entries)
        return sizes

    def _headers(
        self, report: Report, data: Path, ids: Iterable[str], split: Split
    ) -> tuple[dict[str, tuple[int, int]], list[KitError]]:
        """Sizes of the images that can be used and what is wrong with the others; notes go to the report."""
        sizes: dict[str, tuple[int, int]] = {}
        faults: list[KitError] = []
        for image_id in ids:
            path = self.image_path(data, image_id, split)
            try:
                header = read_header(path)
                for note in require_rgb8(header):
                    report.note(note, str(path))
            except KitError as error:
                faults.append(error)
                continue
            if header.layout == "planar":
                report.note("its channels come first (separate planes); they are read as RGB", str(path))
            sizes[image_id] = (header.height, header.width)
        return sizes, faults
