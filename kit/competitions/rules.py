"""Rules across the keys of a definition, for whoever writes one; predict.py carries one that passed."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from functools import partial
from pathlib import Path

from kit.competitions.below import require_below
from kit.competitions.cells_format import CLASS, Cells
from kit.competitions.definition import Definition
from kit.competitions.folder_paths import ID
from kit.competitions.images_check import check_images
from kit.competitions.scoring_format import Metric
from kit.competitions.submission_format import INSTANCE
from kit.competitions.table_rules import (
    check_metadata,
    check_metric,
    check_submission,
    check_truth,
)
from kit.errors import KitError

METRICS = {
    "mean Dice": ("semantic",),
    "global Dice": ("semantic",),
    "AP": ("instance",),
    "mean precision": ("instance",),
    "F-beta": ("instance", "values"),
    "log loss": ("values",),
    "multi-class log loss": ("values",),
    "accuracy": ("values",),
    "AUC": ("values",),
    "quadratic kappa": ("values",),
    "RMSE": ("values",),
    "MAE": ("values",),
}
"""Metric -> the kinds whose predictions it compares."""
_LOWER_IS_BETTER = {"log loss", "multi-class log loss", "RMSE", "MAE"}
_OF_WORDS = ("accuracy", "F-beta", "quadratic kappa")
BOX = {"xmin", "ymin", "xmax", "ymax", "width", "height"}
_INSTANCE = {"label", "score", "mask", *BOX}


def check(definition: Definition, *, where: str | Path) -> None:
    """Raise an error for values that cannot be, or do not fit each other.

    Args:
        definition: made of plain values of the right types.
        where: the file, for messages.

    Raises:
        KitError: names the key with its table: "submission.mask", or "mask" in "FILE [submission]".
    """
    _check_names(definition)
    for table, rule in (
        ("images", partial(check_images, definition.images)),
        ("truth", partial(check_truth, definition.truth)),
        ("submission", partial(check_submission, definition.submission)),
        ("metric", partial(check_metric, definition.metric)),
        ("metadata", partial(check_metadata, definition.metadata)),
    ):
        try:
            rule()
        except KitError as error:
            raise KitError(error.problem, where=f"{where} [{table}]", fix=error.fix) from error
    _check_slices(definition)
    _check_classes(definition)
    for table, form in (("truth", definition.truth), ("submission", definition.submission)):
        _check_rows(definition, table, form)
    _check_truth(definition)
    _check_cells(definition)
    _check_metric(definition)


def sign(metric: Metric) -> int:
    """Return 1 where a higher score of a metric is better, -1 where a lower one is."""
    higher = (
        metric.name not in _LOWER_IS_BETTER if metric.higher_is_better is None else metric.higher_is_better
    )
    return 1 if higher else -1


def text(metric: Metric) -> str:
    """Return a metric's name with its thresholds: "mean Dice", "AP@0.6", "mean AP@0.5:0.95"."""
    name = metric.name or metric.file
    if name == "F-beta":
        name = f"F{metric.beta:g}"
    if not metric.iou:
        return name
    first, last = metric.iou[0], metric.iou[-1]
    mean = "" if name.startswith("mean ") else "mean "
    return f"{name}@{first:g}" if len(metric.iou) == 1 else f"{mean}{name}@{first:g}:{last:g}"


def _check_slices(definition: Definition) -> None:
    if definition.kind != "values" and "*" in definition.images.test:
        raise KitError(
            f"images.test is {definition.images.test!r}, a folder of slices, but kind is {definition.kind!r}",
            fix="masks are of one slice: name its file, such as 'test/{volume}/{slice}.png' with "
            "id = '{volume}_{slice}'; only a model of values gets all slices together",
        )


def _check_names(definition: Definition) -> None:
    for key, value in (("name", definition.name), ("slug", definition.slug)):
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", value):
            raise KitError(
                f"{key} is {value!r}, which cannot name a folder",
                fix="use letters, digits, '-', '_' and '.'",
            )
    for mark in definition.marks:
        require_below("marks", mark)
    if len(set(definition.columns)) != len(definition.columns):
        raise KitError(
            f"a column is named twice: {', '.join(definition.columns)}", fix="give each column another name"
        )


def placeholders(pattern: str) -> list[str]:
    """Return the names in braces: ["label", "score"] of "{label} {score}"."""
    return re.findall(r"\{(\w+)\}", pattern)


def _check_classes(definition: Definition) -> None:
    kind = definition.kind
    for key, names in (("classes", definition.classes), ("targets", definition.targets)):
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            raise KitError(f"{key} names {twice[0]!r} twice", fix="name each once")
        if any(not name.strip() or name != name.strip() for name in names):
            raise KitError(f"{key} is {list(names)}", fix="write names without blanks around them")
    if kind == "values" and not definition.targets:
        raise KitError(
            "targets is missing",
            fix="name what is predicted of an image: targets = ['age'], or classes = ['cat', 'dog']",
        )
    if kind != "values" and definition.targets:
        raise KitError(f"targets is {list(definition.targets)}", fix="it is for kind = 'values'; remove it")
    if kind != "values" and len(definition.classes) == 1:
        raise KitError(f"classes is {list(definition.classes)}", fix="remove it: there is one class only")


def _check_rows(definition: Definition, table: str, form: Cells) -> None:
    """Check how the rows of a table tell ids and classes."""
    if ID not in form.row_id or set(placeholders(form.row_id)) - {"id", "class"}:
        raise KitError(
            f"{table}.row_id is {form.row_id!r}",
            fix='write what the column of the ids holds: "{id}", or "{id}_{class}" for a row for each class',
        )
    if form.class_column and CLASS in form.row_id:
        raise KitError(
            f"{table}.class_column is {form.class_column!r}, but the ids tell the class, too",
            fix="remove one of the two",
        )
    names = definition.targets if definition.kind == "values" else definition.classes
    key = "targets" if definition.kind == "values" else "classes"
    if (form.class_in_row or CLASS in form.mask) and not names:
        raise KitError(f"{key} is missing, but {table} has rows or columns for each class", fix="name them")
    if form.labels and len(form.labels) != len(names):
        raise KitError(
            f"{table}.labels has {len(form.labels)} names, {key} {len(names)}",
            fix=f"write one for each of {', '.join(names) or 'them'}, in their order",
        )
    if twice := [name for name, count in Counter(form.labels).items() if count > 1]:
        raise KitError(f"{table}.labels names {twice[0]!r} twice", fix="name each once")


def _check_truth(definition: Definition) -> None:
    truth, kind = definition.truth, definition.kind
    if (truth.form == "table") != (kind == "values"):
        raise KitError(
            f"truth.form is {truth.form!r}, but kind is {kind!r}",
            fix="'table' is for values, and values are in a table",
        )
    if truth.rows and (truth.form != "text" or (kind, truth.rows) == ("instance", "image")):
        raise KitError("truth.rows is for masks of whole images in a table", fix="remove it")
    if kind == "semantic" and truth.ignored:
        raise KitError("truth.ignored works for instances only", fix="remove it")
    if truth.unlisted == "empty" and truth.form not in ("text", "boxes"):
        raise KitError("truth.unlisted is for masks and boxes in a table", fix="remove it")
    if truth.form == "boxes" and kind != "instance":
        raise KitError(
            f"truth.form is 'boxes', but kind is {kind!r}",
            fix="boxes are instances: kind = 'instance', with boxes in submission.instance",
        )
    _check_truth_classes(definition)


def _check_truth_classes(definition: Definition) -> None:
    """Raise an error where nothing tells the classes of the truth."""
    truth, kind = definition.truth, definition.kind
    if truth.form == "images" and kind == "instance" and definition.classes:
        raise KitError(
            "truth.form is 'images', whose values number the instances and tell no classes",
            fix="give the truth as a table, as polygons or as a COCO file",
        )
    if truth.form == "text" and kind == "semantic" and definition.classes:
        if not truth.class_in_row and CLASS not in truth.mask:
            raise KitError(
                "truth.class_column is missing: nothing tells the class of a mask",
                fix="name the column of the class, or write {class} in truth.row_id or truth.mask",
            )
        if truth.rows == "image":
            raise KitError("truth.rows is 'image', but a row holds one class", fix="remove it")
    labelled = truth.class_in_row or "{label}" in truth.box
    if kind == "instance" and definition.classes and truth.form in ("text", "boxes") and not labelled:
        raise KitError(
            "truth.class_column is missing: nothing tells the class of an instance",
            fix="name the column of the class, or write {class} in truth.row_id, or {label} in truth.box",
        )


def _check_cells(definition: Definition) -> None:
    form, kind = definition.submission, definition.kind
    if kind == "values":
        _require_places(definition, form.value, "value")
        return
    if not form.mask:
        raise KitError("submission.mask is missing", fix="name the column of the masks")
    if kind == "semantic":
        if not form.overlap or form.instance != INSTANCE:
            key = "instance" if form.overlap else "overlap"
            raise KitError(f"submission.{key} is for instances", fix="remove it")
        if form.rows == "object" or form.score:
            key = "rows" if form.rows == "object" else "score"
            raise KitError(f"submission.{key} is for instances", fix="remove it")
        if definition.classes:
            _require_places(definition, form.mask, "mask")
        return
    if form.rows == "image" and form.score:
        raise KitError("submission.score is for rows = 'object'", fix="write {score} in submission.instance")
    if CLASS in form.mask:
        raise KitError("submission.mask has {class} in it, which works for masks only", fix="remove it")
    if form.rows == "image":
        _check_instance(definition)


def _require_places(definition: Definition, column: str, key: str) -> None:
    """Raise an error unless each class or target has a cell of its own."""
    names = definition.targets if definition.kind == "values" else definition.classes
    form = definition.submission
    if form.class_in_row and CLASS in column:
        if key == "value" and column == CLASS:
            raise KitError("submission.value is missing", fix="name the column of the values")
        raise KitError(
            f"submission.{key} is {column!r}, but a row is of one class",
            fix="remove {class} from one of the two",
        )
    if not form.class_in_row and CLASS not in column and len(names) > 1:
        raise KitError(
            f"submission.{key} is {column!r}, one column for {len(names)} classes",
            fix="write {class} in it, or in submission.row_id, or name submission.class_column",
        )


def _check_instance(definition: Definition) -> None:
    """Check the words of an instance in a cell."""
    form = definition.submission
    words = placeholders(form.instance)
    if unknown := set(words) - _INSTANCE:
        near = difflib.get_close_matches(min(unknown), _INSTANCE, 1)
        guess = f"did you mean {{{near[0]}}}? " if near else ""
        raise KitError(
            f"submission.instance has {{{min(unknown)}}} in it",
            fix=f"{guess}use {', '.join(f'{{{word}}}' for word in sorted(_INSTANCE))}",
        )
    if any(not re.fullmatch(r"\{\w+\}", word) for word in form.instance.split()):
        raise KitError(
            f"submission.instance is {form.instance!r}", fix="write words in braces with blanks between them"
        )
    box = {"xmin", "ymin"} <= set(words) and (
        {"xmax", "ymax"} <= set(words) or {"width", "height"} <= set(words)
    )
    if box == ("mask" in words) or len(set(words)) != len(words):
        raise KitError(
            f"submission.instance is {form.instance!r}",
            fix="write {mask} once, or a box: {xmin} {ymin}, and {xmax} {ymax} or {width} {height}",
        )
    if definition.classes and not form.class_in_row and "label" not in words:
        raise KitError("submission.instance has no {label}, so nothing tells the class", fix="add it")
    if "mask" in words and form.encoding != "coco":
        raise KitError(
            f"submission.encoding is {form.encoding!r}, whose text has blanks inside",
            fix="blanks separate 'label score mask', so the mask may have none: encoding = 'coco'",
        )


def _check_columns(definition: Definition) -> None:
    """Raise an error for columns of the truth that no metric can get."""
    columns = definition.metric.columns
    if columns and (not definition.metric.file or definition.kind != "values"):
        raise KitError(
            "metric.columns is for metrics in a file, of values",
            fix="remove it, or name the file with the metric",
        )
    if both := set(columns) & set(definition.columns):
        raise KitError(
            f"metric.columns names {min(both)!r}, which is a column of the submission",
            fix="remove it: the metric gets it in any case",
        )


def _check_metric(definition: Definition) -> None:
    metric, kind = definition.metric, definition.kind
    _check_columns(definition)
    if metric.name is None:
        return
    if metric.name not in METRICS:
        near = difflib.get_close_matches(metric.name, METRICS, 1)
        guess = f"did you mean {near[0]!r}? " if near else ""
        raise KitError(
            f"metric.name is {metric.name!r}", fix=f"{guess}use one of: {', '.join(map(repr, METRICS))}"
        )
    if kind not in METRICS[metric.name]:
        fitting = [repr(name) for name, kinds in METRICS.items() if kind in kinds]
        raise KitError(
            f"metric.name is {metric.name!r}, but kind is {kind!r}",
            fix=f"use one of: {', '.join(fitting)}; or a metric of your own: file = 'metric.py'",
        )
    if metric.name == "F-beta" and bool(metric.iou) != (kind == "instance"):
        raise KitError(
            "metric.iou does not fit the kind", fix="F-beta of instances needs it, F-beta of values has none"
        )
    if definition.words and metric.name not in _OF_WORDS:
        raise KitError(
            f"metric.name is {metric.name!r}, but the targets hold words",
            fix=f"use one of: {', '.join(_OF_WORDS)}; for probabilities name no targets",
        )
    if metric.weights and metric.name != "log loss":
        raise KitError("metric.weights is for 'log loss'", fix="remove it")
    if unknown := set(metric.weights) - set(definition.targets):
        raise KitError(
            f"metric.weights names {min(unknown)!r}, which is no target",
            fix=f"the targets are {', '.join(definition.targets)}",
        )
    if metric.name == "quadratic kappa" and len(definition.targets) != 1:
        raise KitError("metric.name is 'quadratic kappa', which has one target", fix="name one target")
    if metric.name == "multi-class log loss" and len(definition.targets) < 2:
        raise KitError(
            "metric.name is 'multi-class log loss', which has a target for each class", fix="name the classes"
        )
