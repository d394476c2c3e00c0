"""What every competition module provides, and the two kinds of prediction.

Importing this needs only the standard library and numpy: the supervisor on Kaggle writes its fallback before
anything is installed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kit.errors import KitError

Split = Literal["train", "test"]
Level = Literal["error", "alarm", "note"]


@dataclass(frozen=True)
class SemanticMask:
    """One foreground mask as run lengths over column-major (top to bottom, then left to right) pixels.

    Attributes:
        height: image rows.
        width: image columns.
        runs: int64 (N, 2): zero-based start and length; sorted, positive, non-overlapping, not touching.
    """

    height: int
    width: int
    runs: NDArray[np.int64]


@dataclass(frozen=True)
class Instances:
    """The instances of one image, best score first.

    Attributes:
        height: image rows.
        width: image columns.
        scores: float64 (N,), in [0, 1]; ones for truth.
        masks: N COCO compressed run-length strings (`counts` bytes over column-major pixels).
        ignored: of truth, in the same form: regions inside of which detections are not judged.
    """

    height: int
    width: int
    scores: NDArray[np.float64]
    masks: list[bytes]
    ignored: list[bytes] = field(default_factory=list)


Prediction = SemanticMask | Instances


@dataclass(frozen=True)
class ImageInfo:
    """What is known of an image besides its pixels.

    Attributes:
        pixel_size: side of a pixel in micrometres, None if not known.
        organ: as the competition spells it, e.g. "kidney"; empty if not known.
        source: where the image comes from, e.g. "HPA" or "Hubmap"; empty if not known.
    """

    pixel_size: float | None = None
    organ: str = ""
    source: str = ""


@dataclass(frozen=True)
class Usual:
    """What the masks of some images are like.

    Attributes:
        images: how many.
        empty: share of images without a mask.
        shares: smallest and largest share of an image that masks cover, among images with masks.
        mean_share: of the pixels of all images with masks together, the share that those cover.
        area: median pixels of an instance; None for masks of whole images.
    """

    images: int
    empty: float
    shares: tuple[float, float]
    mean_share: float
    area: float | None


@dataclass(frozen=True)
class Finding:
    """One line of a report.

    Attributes:
        level: "error" makes the data or file unusable; "alarm" is valid but absurd; "note" is worth knowing.
        message: what was found.
        where: file, row or id.
        fix: what to do, for errors and alarms.
    """

    level: Level
    message: str
    where: str = ""
    fix: str = ""

    def __str__(self) -> str:
        place = f" [{self.where}]" if self.where else ""
        return f"{self.level}: {self.message}{place}" + (f" -> {self.fix}" if self.fix else "")


@dataclass
class Report:
    """Findings about a data folder or a submission file."""

    subject: str
    findings: list[Finding] = field(default_factory=list)
    facts: dict[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """True without errors; alarms and notes do not count."""
        return not any(finding.level == "error" for finding in self.findings)

    def add(self, level: Level, message: str, where: str = "", fix: str = "") -> None:
        """Add a finding."""
        self.findings.append(Finding(level, message, where, fix))

    def error(self, message: str, where: str = "", fix: str = "") -> None:
        """Add an error."""
        self.add("error", message, where, fix)

    def alarm(self, message: str, where: str = "", fix: str = "") -> None:
        """Add an alarm."""
        self.add("alarm", message, where, fix)

    def note(self, message: str, where: str = "") -> None:
        """Add a note."""
        self.add("note", message, where)

    def take(self, error: KitError, where: str = "") -> None:
        """Add an error that was raised; `where` is used if it names no place itself."""
        self.error(error.problem, error.where or where, error.fix or "")

    def require_ok(self) -> None:
        """Raise the first error as a `KitError` that also counts the others.

        Raises:
            KitError: there is at least one error.
        """
        errors = [finding for finding in self.findings if finding.level == "error"]
        if errors:
            first, more = errors[0], len(errors) - 1
            raise KitError(
                first.message + (f" (and {more} more error{'s' if more > 1 else ''})" if more else ""),
                where=first.where or self.subject,
                fix=first.fix or None,
            )


@dataclass(frozen=True)
class Score:
    """A submission's score.

    Attributes:
        metric: its name, e.g. "mean Dice", "AP@0.6".
        value: the score, larger is better.
        per_image: id -> its own score where the metric has one (Dice), else empty.
    """

    metric: str
    value: float
    per_image: dict[str, float]


class Competition(ABC):
    """One competition: layout, ids, truth, metric, rows, validator. Stateless; every path is an argument."""

    name: str
    """Short name used on command lines, e.g. "kidney"."""
    slug: str
    """Kaggle's name, used in mount paths."""
    kind: Literal["semantic", "instance"]
    columns: tuple[str, ...]
    """Header of submission.csv."""
    metric: str
    definition: dict[str, Any] | None = None
    """What a TOML file says of a competition that the kit does not know by name; None for the others."""

    @abstractmethod
    def check(self, data: Path, *, need_train: bool = True) -> Report:
        """Look at the folder's layout, tables, images (headers) and truth; never raises for bad data.

        Args:
            data: the competition's folder.
            need_train: False on Kaggle, where only the test part and the sample submission matter.
        """

    @abstractmethod
    def check_folder(self, report: Report, data: Path) -> bool:
        """Whether a folder is there and not another competition's; the report says what it is otherwise."""

    @abstractmethod
    def train_ids(self, data: Path) -> list[str]:
        """Ids with truth, sorted."""

    @abstractmethod
    def test_ids(self, data: Path) -> list[str]:
        """Ids to predict, in the order of sample_submission.csv, else sorted files of the test folder.

        Raises:
            KitError: neither exists.
        """

    @abstractmethod
    def image_path(self, data: Path, image_id: str, split: Split) -> Path:
        """Where an image lies; it need not exist."""

    @abstractmethod
    def size_of(self, data: Path, image_id: str) -> tuple[int, int]:
        """Height and width of a training or test image, from its file's header.

        Raises:
            KitError: the image is missing, damaged or no TIFF.
        """

    @abstractmethod
    def group_of(self, data: Path, image_id: str) -> str:
        """What must not be split across folds (slide, WSI, stain group)."""

    def info(self, data: Path, image_id: str, split: Split = "test") -> ImageInfo:
        """Pixel size, organ and source of an image; what is not known is left out, never an error."""
        del data, image_id, split
        return ImageInfo()

    @abstractmethod
    def truth(self, data: Path, ids: Iterable[str]) -> dict[str, Prediction]:
        """Truth of the given ids (training truth, or a solution file beside it).

        Raises:
            KitError: an id has no truth or its truth is invalid (names file, row and reason).
        """

    @abstractmethod
    def empty(self, height: int, width: int) -> Prediction:
        """The prediction that finds nothing."""

    @abstractmethod
    def row(self, image_id: str, prediction: Prediction) -> dict[str, str]:
        """One submission row, keyed by `columns`."""

    @abstractmethod
    def parse(
        self, submission: Path, sizes: Mapping[str, tuple[int, int]] | None = None
    ) -> dict[str, Prediction]:
        """Predictions of somebody's submission file.

        Args:
            submission: the CSV.
            sizes: id -> (height, width), needed where the file does not carry them.

        Raises:
            KitError: names the row and what is wrong with it.
        """

    @abstractmethod
    def usual(self, data: Path) -> Usual | None:
        """What the masks of the training images are like; None without usable truth."""

    @abstractmethod
    def validate(
        self,
        submission: Path,
        ids: Sequence[str],
        sizes: Mapping[str, tuple[int, int]],
        *,
        expected: Usual | None = None,
    ) -> Report:
        """Check a submission file; never raises for bad content.

        Errors: columns, ids missing or twice, run lengths unsorted, non-positive, overlapping or out of
        bounds, masks that do not decode. Alarms: what is valid but absurd, such as all masks empty.

        Args:
            submission: the CSV.
            ids: those to predict.
            sizes: id -> (height, width), as far as known.
            expected: what training masks are like (`usual`); what is far from that raises an alarm, too.
        """

    @abstractmethod
    def score(self, truth: Mapping[str, Prediction], predictions: Mapping[str, Prediction]) -> Score:
        """The competition's metric over all images of `truth`; a missing prediction counts as empty."""
