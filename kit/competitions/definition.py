"""What a competition's format consists of: the tables of a TOML file, typed.

The competitions the kit knows by name are such definitions too (`presets`), so nothing is possible for them
that a file could not ask for. docs/competitions.md explains every key and shows complete files.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal

from kit.errors import KitError

Kind = Literal["semantic", "instance"]
Split = Literal["train", "test"]
"""The images with truth, or those to predict."""
ID = "{id}"
SUFFIXES = (".tif", ".tiff")


@dataclass(frozen=True, kw_only=True)
class Images:
    """Where images lie: paths below the competition's folder with `{id}` for the image's id.

    Attributes:
        train: of images with truth.
        test: of images to predict.
    """

    train: str
    test: str

    def __post_init__(self) -> None:
        for key, pattern in (("train", self.train), ("test", self.test)):
            _require_below(key, pattern)
            if ID not in pattern or PurePosixPath(pattern).suffix.lower() not in SUFFIXES:
                raise KitError(
                    f"{key} is {pattern!r}, no pattern of TIFFs",
                    fix="write a path with {id} for the image's id, such as 'train/{id}.tiff'",
                )


@dataclass(frozen=True, kw_only=True)
class MaskText:
    """How a mask is written in a cell of a table.

    Attributes:
        encoding: "pairs" of start and length with blanks between, or "coco": base64 of zlib of COCO's
            compressed counts.
        order: of the pixels that pairs count: down the "columns" or along the "rows".
        first: number of the first pixel, 0 or 1.
        empty: what is written for an image without masks; an empty cell is always understood.
    """

    encoding: Literal["pairs", "coco"] = "pairs"
    order: Literal["columns", "rows"] = "columns"
    first: int = 1
    empty: str = ""

    def __post_init__(self) -> None:
        if self.first not in (0, 1):
            raise KitError(f"first is {self.first}", fix="the first pixel's number is 0 or 1")


@dataclass(frozen=True, kw_only=True)
class Truth(MaskText):
    """Where the truth is and what of it is scored.

    Attributes:
        form: "text": a CSV with masks in cells (`encoding` and so on say how); "images": an image a mask, its
            values labels; "polygons": JSON lines, or one JSON file an image; "coco": one instances file of
            the COCO form, whose images have ids by `Images`.
        file: below the competition's folder; with `{id}` for images and JSON files.
        solution: the same for held-out images, where somebody has their truth; the competition keeps it.
        id: column of the ids, for text.
        mask: column of the masks, for text.
        scored: types of polygons, or COCO's categories, that count; all if empty.
        ignored: those inside of which detections are not judged, for instances only.
    """

    form: Literal["text", "images", "polygons", "coco"]
    file: str
    solution: str = ""
    id: str = "id"
    mask: str = ""
    scored: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.file:
            raise KitError("file is missing", fix="say where the truth is, such as 'train.csv'")
        for key, path in (("file", self.file), ("solution", self.solution)):
            _require_below(key, path)
            if self.form == "text" and ID in path:
                raise KitError(
                    f"{key} is {path!r}, but masks in text stand in one table",
                    fix="name the table, such as 'train.csv'",
                )
            if self.form == "coco" and ID in path:
                raise KitError(
                    f"{key} is {path!r}, but a COCO file holds all images",
                    fix="name the file, such as 'train/annotations.json'",
                )
            if path and self.form == "images" and ID not in path:
                raise KitError(
                    f"{key} is {path!r}, but there is one mask image for each id",
                    fix="write a path with {id} for the image's id, such as 'train_masks/{id}.png'",
                )
        for key, column in (("id", self.id), ("mask", self.mask)):
            if self.form == "text" and not column:
                raise KitError(
                    f"{key} is missing", fix=f"name the column of {self.file} that holds the {key}s"
                )
        if (self.scored or self.ignored) and self.form not in ("polygons", "coco"):
            raise KitError(
                "scored and ignored are types of polygons",
                fix=f"leave them out with {self.form}; what `like` gave ends with []",
            )
        if both := set(self.scored) & set(self.ignored):
            raise KitError(f"{min(both)!r} is both scored and ignored", fix="keep one of the two")


@dataclass(frozen=True, kw_only=True)
class Submission(MaskText):
    """Columns of submission.csv, a row an image.

    Attributes:
        id: column of the ids.
        mask: column of the mask (semantic) or of "label score mask", repeated (instance).
        height: column of the image's height; empty if there is none.
        width: column of the image's width; empty if there is none.
        label: the only one of an instance.
    """

    id: str = "id"
    mask: str
    height: str = ""
    width: str = ""
    label: str = "0"

    def __post_init__(self) -> None:
        super().__post_init__()
        for key, column in (("id", self.id), ("mask", self.mask)):
            if not column:
                raise KitError(f"{key} is {column!r}", fix=f"name the column of the {key}s")
        if bool(self.height) != bool(self.width):
            raise KitError("there is one of height and width", fix="name both columns, or neither")
        if len(set(self.columns)) != len(self.columns):
            raise KitError(
                f"a column is named twice: {', '.join(self.columns)}", fix="give each its own name"
            )
        if not re.fullmatch(r"\S+", self.label):
            raise KitError(f"label is {self.label!r}", fix="write one word, such as '0'")

    @property
    def columns(self) -> tuple[str, ...]:
        """The header."""
        return tuple(name for name in (self.id, self.height, self.width, self.mask) if name)


@dataclass(frozen=True, kw_only=True)
class Metric:
    """How predictions are scored.

    Attributes:
        name: "mean Dice" of all images (1 where truth and prediction are empty), or "AP" of all images'
            detections together.
        iou: for AP: overlap from which on a detection is correct; the mean of several is taken.
    """

    name: Literal["mean Dice", "AP"]
    iou: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.iou) != (self.name == "AP"):
            raise KitError(f"iou does not go with {self.name}", fix="AP needs one number or more, Dice none")
        if not all(0 < threshold <= 1 for threshold in self.iou):
            raise KitError(f"iou is {list(self.iou)}", fix="overlaps are larger than 0 and at most 1")
        if list(self.iou) != sorted(set(self.iou)):
            raise KitError(f"iou is {list(self.iou)}", fix="write each threshold once, ascending")

    @property
    def text(self) -> str:
        """As people write it: "mean Dice", "AP@0.6", "mean AP@0.5:0.95"."""
        if not self.iou:
            return self.name
        first, last = self.iou[0], self.iou[-1]
        return f"AP@{first:g}" if len(self.iou) == 1 else f"mean AP@{first:g}:{last:g}"


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Columns of the metadata tables; empty where a table does not tell.

    Attributes:
        organ: of `ImageInfo`.
        source: of `ImageInfo`.
        pixel_size: of `ImageInfo`, micrometres.
        group: what must not be split across folds (patient, slide); the image itself if empty.
        height: rows, compared with the image's header.
        width: columns, compared with the image's header.
    """

    organ: str = ""
    source: str = ""
    pixel_size: str = ""
    group: str = ""
    height: str = ""
    width: str = ""


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What is known of images besides their pixels.

    Attributes:
        train: CSV or JSON with a row an image, below the competition's folder; empty if there is none.
        test: the same for images to predict.
        id: column of the ids; the image's suffix may be part of them.
        columns: of both tables.
        organ: of every image that no table tells it of.
        source: of every image that no table tells it of.
        pixel_size: micrometres, of every image that neither a table nor `pixel_sizes` tells it of.
        pixel_sizes: micrometres by "source/organ" or organ, for images whose table does not tell.
    """

    train: str = ""
    test: str = ""
    id: str = "id"
    columns: Columns = field(default_factory=Columns)
    organ: str = ""
    source: str = ""
    pixel_size: float | None = None
    pixel_sizes: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require_below("train", self.train)
        _require_below("test", self.test)
        given = {**self.pixel_sizes, **({} if self.pixel_size is None else {"pixel_size": self.pixel_size})}
        for key, value in given.items():
            if not 0 < value < math.inf:
                raise KitError(f"{key} is {value}", fix="pixel sizes are micrometres, larger than 0")
        if self.columns.group and not self.train:
            raise KitError(
                "columns.group needs a table of the training images", fix="name it: train = 'train.csv'"
            )
        columns = [key for key, column in vars(self.columns).items() if column]
        if columns and not (self.train or self.test):
            raise KitError(f"columns.{columns[0]} needs a table", fix="name it: train = 'train.csv', or test")


@dataclass(frozen=True, kw_only=True)
class Definition:
    """A competition's format.

    Attributes:
        name: short, for command lines and folders.
        slug: Kaggle's name, as in the competition's address.
        kind: of the predictions.
        images: where they lie.
        truth: of the training images.
        submission: what is handed in.
        metric: how it is scored.
        metadata: pixel sizes and so on.
        marks: further files or folders that only this competition has, to recognise its folder.
    """

    name: str
    slug: str
    kind: Kind
    images: Images
    truth: Truth
    submission: Submission
    metric: Metric
    metadata: Metadata = field(default_factory=Metadata)
    marks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for key, value in (("name", self.name), ("slug", self.slug)):
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", value):
                raise KitError(
                    f"{key} is {value!r}; it becomes a folder's name", fix="use letters, digits, '-' and '_'"
                )
        for mark in self.marks:
            _require_below("marks", mark)
        metric, encoding = ("mean Dice", None) if self.kind == "semantic" else ("AP", "coco")
        if self.metric.name != metric:
            raise KitError(
                f"metric.name is {self.metric.name!r}, but kind is {self.kind!r}",
                fix=f"a {self.kind} competition is scored by {metric!r}",
            )
        if encoding and self.submission.encoding != encoding:
            raise KitError(
                f"submission.encoding is {self.submission.encoding!r}, which has blanks inside",
                fix=f"'label score mask' takes masks without blanks: encoding = {encoding!r}",
            )
        if self.kind == "semantic" and self.truth.ignored:
            raise KitError("truth.ignored is for instances", fix="leave it out")


def _require_below(key: str, path: str) -> None:
    """Raise a `KitError` if a path leaves the competition's folder."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\\" in path or "\0" in path:
        raise KitError(f"{key} is {path!r}", fix="write a path below the competition's folder, with '/'")
