"""The truth of a competition's folder: every file is read once, every image's truth is decoded once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from kit.competitions.competition import Competition
from kit.competitions.path_pattern import plain_id
from kit.competitions.report import Report
from kit.competitions.submissions import repeated
from kit.errors import KitError
from kit.local.competitions import annotation_notes, metadata_tables, plausibility, truth_forms
from kit.local.competitions.class_truth import TableTruth
from kit.local.competitions.plausibility import Plausibility
from kit.local.competitions.truth_readers import AnnotatedTruth, TruthEntry
from kit.masks import coco, rle
from kit.predictions import ClassMasks, Instances, Prediction, SemanticMask


class LabelledData:
    """A competition's folder together with its truth.

    A command makes one object and hands it on to all that need truth. The object keeps what it has read:
    files that change later are not read again.

    Args:
        competition: the competition.
        data: its folder.
        keep_repeats: take an annotation that is there twice as two instances. A score takes it once.

    Attributes:
        files: where truth is looked for, in this order: the training truth, then the held-out images' if the
            definition names a file for it.
        reader: reads the competition's form of truth.
        unusable: why `plausibility` found no usable truth.
    """

    def __init__(self, competition: Competition, data: Path, *, keep_repeats: bool = False) -> None:
        self.competition, self.data = competition, data
        truth = competition.format.truth
        self.files = tuple(name for name in (truth.file, truth.solution) if name)
        self.reader = truth_forms.reader(competition.format)
        if isinstance(self.reader, AnnotatedTruth):
            self.reader.keep_repeats = keep_repeats
        # With 82 labelled tiles:
        #     check(labelled)                        reads polygons.jsonl, decodes 82 tiles
        #     labelled.train_ids()                   reads nothing
        #     labelled.truth(labelled.train_ids())   reads nothing, decodes nothing
        self.unusable: KitError | None = None
        self._entries: dict[str, list[TruthEntry]] = {}
        self._decoded: dict[str, Prediction] = {}

    def entries(self, file: str) -> list[TruthEntry]:
        """Return the entries of one of `files`, not yet decoded.

        Raises:
            KitError: the file is missing or not of the form the definition says.
        """
        if file not in self._entries:
            found = list(self.reader.entries(self.data, file))
            if self.competition.format.truth.unlisted == "empty":
                found += self._unlisted(found, file)
            self._entries[file] = found
        return self._entries[file]

    def _unlisted(self, listed: Sequence[TruthEntry], file: str) -> list[TruthEntry]:
        """Return an entry without masks for each image that a table with truth does not list."""
        known = {plain_id(entry.id).lower() for entry in listed}
        pattern = self.competition.image_pattern("train" if file == self.files[0] else "test")
        return [
            TruthEntry(image_id, f"{self.data / file} (no row of {image_id})", [])
            for image_id in pattern.ids(self.data)
            if plain_id(image_id).lower() not in known
        ]

    def train_ids(self) -> list[str]:
        """Return the ids in the training truth, sorted.

        Raises:
            KitError: as `entries`.
        """
        return sorted({entry.id for entry in self.entries(self.files[0])})

    def group_of(self, image_id: str) -> str:
        """Return what must not be split across folds (patient, slide); the id itself if no table says.

        Raises:
            KitError: the table is missing or has no group for this image.
        """
        return metadata_tables.group_of(self.competition.metadata, self.data, image_id)

    def truth(self, ids: Iterable[str]) -> dict[str, Prediction]:
        """Return the truth of some images, in the order of their ids.

        Raises:
            KitError: an id has no truth or its truth is invalid (names file, row and reason).
        """
        wanted = list(dict.fromkeys(ids))
        # The file of the held-out images is opened only for ids that the training truth lacks. For an id in
        # both, the training truth counts: it is what networks trained on.
        found: dict[str, TruthEntry] = {}
        for file in self.files:
            missing = {plain_id(image_id): image_id for image_id in wanted if image_id not in found}
            if missing and self.reader.exists(self.data, file):
                entries = [entry for entry in self.entries(file) if plain_id(entry.id) in missing]
                if twice := repeated(plain_id(entry.id) for entry in entries):
                    raise KitError(
                        f"id {twice[0]} is there twice", where=self.data / file, fix=self.reader.twice
                    )
                found |= {missing[plain_id(entry.id)]: entry for entry in entries}
        absent = [image_id for image_id in wanted if image_id not in found]
        if absent:
            raise KitError(
                f"no truth for {len(absent)} image{'s' if len(absent) > 1 else ''}, the first is {absent[0]}",
                where=self.data,
                fix=f"truth is looked for in {' and '.join(self.files)}; {self._where_to_put_truth()}",
            )
        return {image_id: self.decode(found[image_id]) for image_id in wanted}

    def _where_to_put_truth(self) -> str:
        solution = self.competition.format.truth.solution
        file = f"write it to {solution}" if solution else "name its file as `solution` in [truth]"
        return (
            "of the competition's own test images only Kaggle knows it. To score images that you held out, "
            f"{file}, or give a --data that has it"
        )

    def decode(self, entry: TruthEntry, size: tuple[int, int] | None = None) -> Prediction:
        """Return the truth of one image.

        Args:
            entry: one of `entries`.
            size: height and width of the image; None reads the header of its file.

        Raises:
            KitError: the truth is invalid, or the image cannot be read; names file, line and reason.
        """
        # By place and not by id: an id that is twice in a file has two entries, and the check decodes both.
        if entry.where not in self._decoded and isinstance(self.reader, TableTruth):
            self._decoded[entry.where] = self.reader.values(entry)
        elif entry.where not in self._decoded:
            height, width = size or self.competition.size_of(self.data, entry.id)
            self._decoded[entry.where] = self._decode(entry, height, width)
        return self._decoded[entry.where]

    def _decode(self, entry: TruthEntry, height: int, width: int) -> Prediction:
        """Return all regions together, or the regions that count beside those where nothing is judged."""
        regions = self.reader.regions(entry, height, width)
        classes = self.competition.format.classes
        if self.competition.kind == "semantic" and classes:
            of_class = [[region.runs for region in regions if region.label == n] for n in range(len(classes))]
            return ClassMasks(height, width, dict(zip(classes, map(rle.union, of_class), strict=True)))
        if self.competition.kind == "semantic":
            return SemanticMask(height, width, rle.union(region.runs for region in regions))
        masks: list[bytes] = []
        ignored: list[bytes] = []
        labels = [region.label for region in regions if not region.ignored]
        for region in regions:
            (ignored if region.ignored else masks).append(coco.from_runs(region.runs, height, width))
        return Instances(height, width, np.ones(len(masks)), masks, ignored, np.array(labels, np.int64))

    def plausibility(self) -> Plausibility | None:
        """Return what the masks of the training images are like; None without usable truth."""
        try:
            ids = plausibility.sample(self.train_ids())
            return plausibility.describe(self.truth(ids).values())
        except KitError as error:
            self.unusable = error
            return None

    def tell(self, report: Report) -> None:
        """Add what is noteworthy in the truth decoded so far: assumptions, and masks that look wrong."""
        self.reader.remarks.tell(report)
        if isinstance(self.reader, AnnotatedTruth):
            drawn = [
                entry for listed in self._entries.values() for entry in listed if entry.where in self._decoded
            ]
            annotation_notes.tell(report, self.reader, drawn)
        path = self.data / self.files[0]
        plausibility.check_truth(report, self._decoded.values(), str(path))
        if self.unusable and self.reader.exists(self.data, self.files[0]):
            problem, where = self.unusable.problem, self.unusable.where
            report.note(
                f"masks are not compared with those of the training images: {problem}", where or str(path)
            )
