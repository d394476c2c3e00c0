"""Rules inside the tables of a definition: what their types cannot say."""

from __future__ import annotations

import math
import re

from kit.competitions.below import require_below
from kit.competitions.cells_format import Cells
from kit.competitions.folder_paths import ID
from kit.competitions.labels_format import Truth
from kit.competitions.metadata_format import Metadata
from kit.competitions.scoring_format import Metric
from kit.competitions.submission_format import Submission
from kit.errors import KitError

ID_PART = re.compile(r"\{([^{}]+)\}")
"""A column in an id that several columns make, or a word of a box."""


def check_truth(truth: Truth) -> None:
    """Raise an error for keys of `[truth]`; messages name the key."""
    _check_first(truth)
    if not truth.file:
        raise KitError("file is missing", fix="name the file with the truth, such as 'train.csv'")
    for key, path in (("file", truth.file), ("solution", truth.solution)):
        require_below(key, path)
        if truth.form in ("text", "boxes") and ID in path:
            raise KitError(
                f"{key} is {path!r}, but masks in text and boxes are in one table for all images",
                fix="name the table without {id}, such as 'train.csv'",
            )
        if truth.form == "coco" and ID in path:
            raise KitError(
                f"{key} is {path!r}, but a COCO file holds all images",
                fix="name the file without {id}, such as 'train/annotations.json'",
            )
        if path and truth.form == "images" and "{" not in path:
            raise KitError(
                f"{key} is {path!r}, but there is one mask image for each id",
                fix="write a path with {id} for the image's id, such as 'train_masks/{id}.png'",
            )
    for key, column in (("id", truth.id), ("mask", truth.mask)):
        if truth.form == "text" and not column:
            raise KitError(f"{key} is missing", fix=f"name the column of {truth.file} that holds the {key}s")
    if set("{}") & set(ID_PART.sub("", truth.id)):
        raise KitError(
            f"id is {truth.id!r}, whose columns cannot be read",
            fix="write each column's name in braces: '{series}_{slice}'",
        )
    _check_box(truth)
    _check_types(truth)


def _check_types(truth: Truth) -> None:
    if (truth.scored or truth.ignored) and truth.form not in ("polygons", "coco"):
        raise KitError(
            f"scored and ignored name types of polygons, but form is {truth.form!r}",
            fix="remove both keys; if they come from `like`, write scored = [] and ignored = []",
        )
    if both := set(truth.scored) & set(truth.ignored):
        raise KitError(f"{min(both)!r} is both scored and ignored", fix="remove it from one of the two")


def _check_box(truth: Truth) -> None:
    """Raise an error unless the words of a box and their columns fit each other."""
    if truth.form != "boxes":
        if truth.box or truth.columns:
            key = "box" if truth.box else "columns"
            raise KitError(f"{key} is for form = 'boxes', but form is {truth.form!r}", fix="remove it")
        return
    words = ID_PART.findall(truth.box)
    ends = {"xmax", "ymax"}, {"width", "height"}
    if (
        ID_PART.sub("", truth.box).strip()
        or len(set(words)) != len(words)
        or not any(set(words) - {"label"} == {"xmin", "ymin"} | end for end in ends)
    ):
        raise KitError(
            f"box is {truth.box!r}",
            fix="write the words of a box in the order of the table: {xmin} {ymin}, and {xmax} {ymax} or "
            "{width} {height}; and {label} if it is among them",
        )
    if bool(truth.mask) == bool(truth.columns):
        raise KitError(
            "nothing tells where the boxes are" if not truth.mask else "mask and columns are both given",
            fix="name mask, the column with all numbers of a box, or columns, one for each word of box",
        )
    if truth.columns and len(truth.columns) != len(words):
        raise KitError(
            f"columns has {len(truth.columns)} names, box has {len(words)} words",
            fix="name one for each word",
        )


def check_submission(form: Submission) -> None:
    """Raise an error for keys of `[submission]`; messages name the key."""
    _check_first(form)
    require_below("sample", form.sample)
    if not form.id:
        raise KitError(f"id is {form.id!r}", fix="name the column of the ids")
    if bool(form.height) != bool(form.width):
        raise KitError("only one of height and width is given", fix="name both columns, or neither")
    if not re.fullmatch(r"\S+", form.label):
        raise KitError(f"label is {form.label!r}", fix="write one word, such as '0'")


def check_metric(metric: Metric) -> None:
    """Raise an error for keys of `[metric]`; messages name the key."""
    if metric.name is None and not metric.file:
        raise KitError("name is missing", fix="write the name of a metric, or `file` for one of your own")
    if metric.name is not None and metric.file:
        raise KitError(f"file is {metric.file!r}, but name is {metric.name!r}", fix="remove one of the two")
    needed = metric.name in ("AP", "mean precision")
    if needed > bool(metric.iou) or (
        metric.iou and metric.name not in (None, "AP", "mean precision", "F-beta")
    ):
        raise KitError(
            f"iou does not fit the metric {metric.name!r}", fix="AP needs one number or more, Dice none"
        )
    if not all(0 < threshold <= 1 for threshold in metric.iou):
        raise KitError(f"iou is {list(metric.iou)}", fix="write numbers above 0 and up to 1")
    if list(metric.iou) != sorted(set(metric.iou)):
        raise KitError(f"iou is {list(metric.iou)}", fix="write each threshold once, in ascending order")
    if (metric.higher_is_better is None) == bool(metric.file):
        raise KitError(
            "higher_is_better is for a metric in a file, and needed there",
            fix="write higher_is_better = true, or false for an error or loss",
        )


def check_metadata(metadata: Metadata) -> None:
    """Raise an error for keys of `[metadata]`; messages name the key."""
    require_below("train", metadata.train)
    require_below("test", metadata.test)
    given = {
        **metadata.pixel_sizes,
        **({} if metadata.pixel_size is None else {"pixel_size": metadata.pixel_size}),
    }
    for key, value in given.items():
        if not 0 < value < math.inf:
            raise KitError(f"{key} is {value}", fix="write the side of a pixel in micrometres, above 0")
    if metadata.columns.group and not metadata.train:
        raise KitError(
            "columns.group needs a table of the training images",
            fix="name the table: train = 'train.csv'",
        )
    columns = [key for key, column in vars(metadata.columns).items() if column]
    if columns and not (metadata.train or metadata.test):
        raise KitError(f"columns.{columns[0]} needs a table", fix="name one: train = 'train.csv', or test")


def _check_first(form: Cells) -> None:
    """Raise an error for a number of the first pixel other than 0 and 1."""
    if form.first not in (0, 1):
        raise KitError(f"first is {form.first}", fix="write 0 or 1: the number of the first pixel")
