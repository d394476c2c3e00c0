"""The format of a competition: the tables of its TOML file as dataclasses.

The competitions that the kit knows by name are written in the same form (`presets`), so a TOML file can
ask for everything that they use. docs/competitions.md explains every key and shows complete files.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from kit.errors import KitError
from kit.typed_json import above, at_least

Kind = Literal["semantic", "instance"]
Split = Literal["train", "test"]
"""The images with truth, or those to predict."""
ID = "{id}"
SUFFIXES = (".tif", ".tiff", ".svs", ".qptiff", ".scn", ".ndpi", ".btf", ".tf8", ".tf2", ".bif")
"""Of names that ids may end with; an image may have any name, its content decides."""
_NO_TIFF = (
    ".png",
    ".jpg",
    ".jpeg",
    ".jp2",
    ".webp",
    ".bmp",
    ".gif",
    ".dcm",
    ".mrxs",
    ".czi",
    ".npy",
    ".zarr",
)


@dataclass(frozen=True, kw_only=True)
class Images:
    """Paths of the images below the competition's folder; `{id}` stands for an image's id.

    Attributes:
        train: path of the images with truth, e.g. "train/{id}.tiff".
        test: path of the images to predict.
    """

    train: str
    test: str

    def __post_init__(self) -> None:
        for key, pattern in (("train", self.train), ("test", self.test)):
            _require_below(key, pattern)
            if ID not in pattern:
                raise KitError(
                    f"{key} is {pattern!r}, which has no {{id}} in it",
                    fix="write a path with {id} for the image's id, such as 'train/{id}.tiff'",
                )
            if pattern.lower().endswith(_NO_TIFF):
                raise KitError(
                    f"{key} is {pattern!r}, but images have to be TIFFs (.tif, .svs, .ndpi ...)",
                    fix="convert them, for example with Pillow: Image.open(a).convert('RGB').save(b); the "
                    "test images on Kaggle have to be TIFFs as they are",
                )


@dataclass(frozen=True, kw_only=True)
class MaskText:
    """How a mask is written in a cell of a table.

    Attributes:
        encoding: "pairs" (start and length of each run, separated by blanks) or "coco" (base64 of zlib of
            COCO's compressed counts).
        order: how "pairs" number the pixels: down the "columns" or along the "rows".
        first: number of the first pixel, 0 or 1.
        empty: text for an image without masks; readers understand an empty cell in any case.
    """

    # With the defaults, the cell "2 3 9 1" (3 pixels from number 2 on, 1 from 9 on) in an image of 4 rows and
    # 3 columns is:
    #
    #     numbers   1 5  9      mask   . . x
    #               2 6 10             x . .
    #               3 7 11             x . .
    #               4 8 12             x . .
    encoding: Literal["pairs", "coco"] = "pairs"
    order: Literal["columns", "rows"] = "columns"
    first: int = 1
    empty: str = ""

    def __post_init__(self) -> None:
        if self.first not in (0, 1):
            raise KitError(f"first is {self.first}", fix="write 0 or 1: the number of the first pixel")


@dataclass(frozen=True, kw_only=True)
class Truth(MaskText):
    """Where the truth is, and which parts of it are scored.

    Attributes:
        form: "text": a CSV with masks in its cells (`encoding`, `order` ... say how they are written);
            "images": one mask image per image, its values are labels;
            "polygons": JSON lines, or one JSON file per image;
            "coco": one COCO instances file; the paths in `Images` tell the ids from its file names.
        file: path below the competition's folder; with `{id}` where each image has its own file.
        solution: the same for the held-out images, if you have their truth; Kaggle does not publish it.
        id: column of the ids, for "text".
        mask: column of the masks, for "text".
        rows: for "text": whether a row holds an "image" (the default for masks of whole images) or an
            "object" (the default for instances); the objects of an image are united to its mask.
        scored: types of polygons, or COCO categories, that count; empty means all.
        ignored: types inside which detections are neither right nor wrong; for instances only.
    """

    form: Literal["text", "images", "polygons", "coco"]
    file: str
    solution: str = ""
    id: str = "id"
    mask: str = ""
    rows: Literal["", "image", "object"] = ""
    scored: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.file:
            raise KitError("file is missing", fix="name the file with the truth, such as 'train.csv'")
        for key, path in (("file", self.file), ("solution", self.solution)):
            _require_below(key, path)
            if self.form == "text" and ID in path:
                raise KitError(
                    f"{key} is {path!r}, but masks in text are in one table for all images",
                    fix="name the table without {id}, such as 'train.csv'",
                )
            if self.form == "coco" and ID in path:
                raise KitError(
                    f"{key} is {path!r}, but a COCO file holds all images",
                    fix="name the file without {id}, such as 'train/annotations.json'",
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
                f"scored and ignored name types of polygons, but form is {self.form!r}",
                fix="remove both keys; if they come from `like`, write scored = [] and ignored = []",
            )
        if both := set(self.scored) & set(self.ignored):
            raise KitError(f"{min(both)!r} is both scored and ignored", fix="remove it from one of the two")


@dataclass(frozen=True, kw_only=True)
class Submission(MaskText):
    """Columns of submission.csv, which has one row per image.

    Attributes:
        id: column of the ids.
        mask: column of the mask (semantic) or of "label score mask", repeated (instance).
        height: column of the image's height; empty if there is none.
        width: column of the image's width; empty if there is none.
        label: the class label in front of every instance.
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
            raise KitError("only one of height and width is given", fix="name both columns, or neither")
        if len(set(self.columns)) != len(self.columns):
            raise KitError(
                f"a column is named twice: {', '.join(self.columns)}", fix="give each column another name"
            )
        if not re.fullmatch(r"\S+", self.label):
            raise KitError(f"label is {self.label!r}", fix="write one word, such as '0'")

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the header of submission.csv."""
        return tuple(name for name in (self.id, self.height, self.width, self.mask) if name)

    def row(self, image_id: str, size: tuple[int, int], text: str) -> dict[str, str]:
        """Return a row by columns: id, mask as text, and the size if the competition asks for it.

        Args:
            image_id: of the image.
            size: its height and width.
            text: the mask; `empty` for an image without one.
        """
        cells = {self.id: image_id, self.height: str(size[0]), self.width: str(size[1]), self.mask: text}
        return {column: cells[column] for column in self.columns}


@dataclass(frozen=True, kw_only=True)
class Metric:
    """How predictions are scored.

    Attributes:
        name: "mean Dice" (the mean over images; 1 for an image whose truth and prediction are empty), or "AP"
            (average precision of the detections of all images together).
        iou: for AP: the IoU from which on a detection is correct; with several, the mean of the APs counts.
    """

    name: Literal["mean Dice", "AP"]
    iou: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.iou) != (self.name == "AP"):
            raise KitError(
                f"iou does not fit the metric {self.name!r}", fix="AP needs one number or more, Dice none"
            )
        if not all(0 < threshold <= 1 for threshold in self.iou):
            raise KitError(f"iou is {list(self.iou)}", fix="write numbers above 0 and up to 1")
        if list(self.iou) != sorted(set(self.iou)):
            raise KitError(f"iou is {list(self.iou)}", fix="write each threshold once, in ascending order")

    @property
    def text(self) -> str:
        """Return the name with its thresholds: "mean Dice", "AP@0.6", "mean AP@0.5:0.95"."""
        if not self.iou:
            return self.name
        first, last = self.iou[0], self.iou[-1]
        return f"AP@{first:g}" if len(self.iou) == 1 else f"mean AP@{first:g}:{last:g}"


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Names of the columns in the metadata tables; empty where there is no such column.

    Attributes:
        organ: column of the organ.
        source: column of the lab or data set.
        pixel_size: column of the pixel size in micrometres.
        group: column of what must stay together in one fold (patient, slide); empty: each image by itself.
        height: column of the image's rows; it is compared with the image's header.
        width: column of the image's columns; it is compared with the image's header.
    """

    organ: str = ""
    source: str = ""
    pixel_size: str = ""
    group: str = ""
    height: str = ""
    width: str = ""


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What the competition says of its images besides the pixels.

    The pixel size of an image is the first of these that is known: its cell in the table;
    `pixel_sizes["HPA/lung"]` (source/organ); `pixel_sizes["lung"]`; `pixel_size`.

    Attributes:
        train: CSV or JSON with one row per image, below the competition's folder; empty if there is none.
        test: the same for the images to predict.
        id: column of the ids; an id may end with the image's suffix, as in "a.tiff".
        columns: names of the columns in both tables.
        organ: organ of the images whose table does not tell it.
        source: source of the images whose table does not tell it.
        pixel_size: micrometres, for images whose pixel size is not known otherwise.
        pixel_sizes: micrometres by "source/organ" or organ, for images whose table does not tell it.
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
                raise KitError(f"{key} is {value}", fix="write the side of a pixel in micrometres, above 0")
        if self.columns.group and not self.train:
            raise KitError(
                "columns.group needs a table of the training images",
                fix="name the table: train = 'train.csv'",
            )
        columns = [key for key, column in vars(self.columns).items() if column]
        if columns and not (self.train or self.test):
            raise KitError(
                f"columns.{columns[0]} needs a table", fix="name one: train = 'train.csv', or test"
            )


@dataclass(frozen=True, kw_only=True)
class Definition:
    """The format of a competition.

    Attributes:
        name: short name for command lines and folders.
        slug: Kaggle's name, as in the competition's address.
        kind: "semantic": one mask per image; "instance": any number of scored masks per image.
        images: where the images lie.
        truth: where the truth is and how it is written.
        submission: columns and mask text of submission.csv.
        metric: how predictions are scored.
        metadata: pixel sizes, organs and groups.
        marks: further files or folders that only this competition has; they help to recognise its folder.
        hidden_images: number of images in the hidden run, if anybody knows.
        hidden_megapixels: of all of them together, if anybody knows.
        server: how a gateway asks for predictions, see `kit.competitions.server`; None: they go to a file.
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
    hidden_images: Annotated[int, at_least(1)] | None = None
    hidden_megapixels: Annotated[float, above(0)] | None = None
    server: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        for key, value in (("name", self.name), ("slug", self.slug)):
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", value):
                raise KitError(
                    f"{key} is {value!r}, which cannot name a folder",
                    fix="use letters, digits, '-', '_' and '.'",
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
                f"submission.encoding is {self.submission.encoding!r}, whose text has blanks inside",
                fix=f"blanks separate 'label score mask', so the mask may have none: encoding = {encoding!r}",
            )
        if self.truth.rows and (
            self.truth.form != "text" or (self.kind, self.truth.rows) == ("instance", "image")
        ):
            raise KitError("truth.rows is for masks of whole images in a table", fix="remove it")
        if self.kind == "semantic" and self.truth.ignored:
            raise KitError("truth.ignored works for instances only", fix="remove it")


def _require_below(key: str, path: str) -> None:
    """Raise a `KitError` if a path leaves the competition's folder."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\\" in path or "\0" in path:
        raise KitError(
            f"{key} is {path!r}, which is no path below the competition's folder",
            fix="write a relative path with '/' and without '..'",
        )
