"""What every competition module provides, and the two kinds of prediction.

Importing this needs only the standard library and numpy: the supervisor on Kaggle writes its fallback before
anything is installed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kit.competitions.report import Report
from kit.images.info import ImageInfo
from kit.predictions import Prediction

Split = Literal["train", "test"]


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
