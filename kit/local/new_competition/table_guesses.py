"""Guess `[truth]`, `[submission]`, the kind and the classes from tables and mask images."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import PurePosixPath

from kit.competitions.path_pattern import plain_id
from kit.local.new_competition.guesses import Draft, Guess, Question, listed
from kit.local.new_competition.mask_order import Writing, is_mask
from kit.local.new_competition.survey import Survey, Table

_MASK_NAMES = re.compile(r"rle|encod|mask|segment|annotation|pixels|predict", re.IGNORECASE)
_CLASS_NAMES = re.compile(r"class|label|type|category|target|organ_?name", re.IGNORECASE)
_MOST_CLASSES = 200
_HEIGHTS, _WIDTHS = ("height", "img_height", "rows"), ("width", "img_width", "columns")


@dataclass(frozen=True)
class Tables:
    """The two tables that matter.

    Attributes:
        sample: the sample submission; None if there is none.
        sample_id: its column of ids.
        truth: the table with the truth; None if the truth is no table.
        truth_id: its column of ids.
    """

    sample: Table | None
    sample_id: str
    truth: Table | None
    truth_id: str

    def ids(self, which: str) -> list[str]:
        """Return the ids of the "sample" or of the "truth", each once."""
        table, column = (self.sample, self.sample_id) if which == "sample" else (self.truth, self.truth_id)
        return list(dict.fromkeys(table.cells(column))) if table and column else []


def find(seen: Survey) -> Tables:
    """Find the sample submission and the table with the truth."""
    names = sorted(seen.tables, key=lambda path: (path.count("/"), "sample" not in path.lower(), path))
    sample = next((seen.tables[path] for path in names if "submission" in path.lower()), None)
    stems = {plain_id(PurePosixPath(path).name) for files in seen.files for path in files.paths}
    folders = {part for files in seen.files for path in files.paths for part in path.split("/")[:-1]}
    best, best_id, most = None, "", 0.0
    for path in names:
        table = seen.tables[path]
        if table is sample or re.search(r"test|submission", PurePosixPath(path).name, re.IGNORECASE):
            continue
        column = _id_column(table, stems | folders)
        named = 0.5 * ("train" in path.lower()) + 0.25 * (path.count("/") == 0)
        masks = any(_masks_in(table, name) for name in table.columns)
        value = named + (1.0 if column else 0.0) + (2.0 if masks else 0.0)
        if column and value > most:
            best, best_id, most = table, column, value
    sample_id = (_id_column(sample, stems | folders) or sample.columns[0]) if sample and sample.columns else ""
    return Tables(sample, sample_id, best, best_id)


def truth_and_submission(draft: Draft, tables: Tables, masks: str | None, writing: Writing | None) -> None:
    """Fill in kind, classes, `[truth]` and `[submission]`.

    Args:
        draft: gets the keys.
        tables: of the folder.
        masks: pattern of the mask images, if there are any.
        writing: how masks are written in cells; None if no cell holds one.
    """
    truth, sample = tables.truth, tables.sample
    mask = _mask_column(truth) if truth else ""
    kind = _kind(draft, tables, masks, mask)
    row_class = _class_column(truth, tables.truth_id, mask) if truth and mask else ""
    if row_class and truth:
        classes = sorted(set(truth.cells(row_class)), key=lambda text: (len(text), text))
        draft.put("classes", classes, f"the words in column {row_class!r} of {truth.path}")
    elif kind == "values":
        _values(draft, tables)
    if masks and not mask:
        draft.put("truth.form", "images", "mask images lie beside the images")
        draft.put("truth.file", masks, "so they lie")
    elif truth is None:
        draft.question(
            Question("truth.form", 'How is the truth written: "text", "images", "polygons", "coco", "table"?')
        )
        draft.question(Question("truth.file", "Which file holds the truth, below the folder?"))
    else:
        form = "text" if mask else "table"
        draft.put("truth.form", form, f"{truth.path} has {'masks' if mask else 'values'} in its cells")
        draft.put("truth.file", truth.path, "its ids name the training images")
        draft.put("truth.id", tables.truth_id, "its cells name images")
        if mask:
            draft.put("truth.mask", mask, "its cells hold masks")
            if row_class:
                draft.put("truth.class_column", row_class, "one row for each class of an image")
                draft.put("truth.unlisted", "empty", "an image without a row of a class has no mask of it")
    if writing is not None and mask:
        _write(draft, "truth", writing)
    if sample is not None:
        _submission(draft, tables, kind, writing)
    else:
        draft.question(Question("submission.mask", "Which column of the submission holds masks or values?"))


def _kind(draft: Draft, tables: Tables, masks: str | None, mask: str) -> str:
    choices = ("semantic", "instance", "values")
    if not masks and not mask:
        guess = Guess("values", "no mask is in a table or an image")
        if tables.truth is None:
            return str(draft.question(Question("kind", "What is predicted?", None, choices)))
    else:
        counts = Counter(tables.truth.rows[tables.truth_id]) if tables.truth and mask else Counter()
        repeated = any(count > 1 for count in counts.values())
        classes = bool(mask and tables.truth and _class_column(tables.truth, tables.truth_id, mask))
        if repeated and not classes:
            guess = Guess("instance", "an image has several rows, and no column tells a class", sure=False)
        else:
            guess = Guess("semantic", "an image has one mask, or one for each class", sure=not masks)
    text = "One mask for an image or class (semantic), scored instances (instance), or values?"
    return str(draft.question(Question("kind", text, guess, choices)))


def _values(draft: Draft, tables: Tables) -> None:
    """Fill in the targets of values: the columns of the sample submission beside its ids."""
    if tables.sample is None:
        return
    targets = [name for name in tables.sample.columns if name != tables.sample_id]
    truth = tables.truth
    if len(targets) == 1 and truth and targets[0] in truth.columns:
        words = sorted(set(truth.cells(targets[0])))
        if len(words) <= _MOST_CLASSES and not all(_is_number(word) for word in words):
            draft.put("classes", words, f"the words in column {targets[0]!r} of {truth.path}")
            draft.put("targets", targets, "the column of the sample submission")
            return
    draft.put("targets", targets, "the columns of the sample submission beside its ids")


def _submission(draft: Draft, tables: Tables, kind: str, writing: Writing | None) -> None:
    sample, column = tables.sample, tables.sample_id
    assert sample is not None
    if sample.path != "sample_submission.csv":
        draft.put("submission.sample", sample.path, "the only table that is called so")
    if sample.path.endswith(".parquet"):
        draft.put("submission.file", "submission.parquet", "so is the sample")
    draft.put("submission.id", column, "first column whose cells name images")
    small = {name.lower(): name for name in sample.columns}
    rest = [name for name in sample.columns if name != column]
    for key, names in (("height", _HEIGHTS), ("width", _WIDTHS)):
        if found := next((small[name] for name in names if name in small), None):
            draft.put(f"submission.{key}", found, "so is the column called")
            rest.remove(found)
    if kind == "values":
        return
    classes = [str(name) for name in draft.value("classes", [])]
    ids = sample.cells(column)
    if classes and rest and ids and (between := _class_in_id(ids, classes)):
        draft.put("submission.row_id", f"{{id}}{between}{{class}}", "so the ids of the sample submission end")
    for name in rest:
        if classes and set(sample.cells(name)) and set(sample.cells(name)) <= set(classes):
            draft.put("submission.class_column", name, "its cells are names of classes")
            rest = [other for other in rest if other != name]
            break
    named = [name for name in rest if _MASK_NAMES.search(name)] or rest
    if len(named) == 1:
        draft.put("submission.mask", named[0], "the column beside the ids")
    else:
        text = f"Which column of {sample.path} holds masks: {listed(named)}?"
        draft.question(Question("submission.mask", text, choices=tuple(named)))
    if kind == "instance":
        draft.put("submission.encoding", "coco", "text of instances needs masks without blanks")
        label = _label(sample, str(draft.value("submission.mask", "")))
        if label:
            draft.put("submission.label", label, "first word of the sample's cells")
    elif writing is not None:
        _write(draft, "submission", writing)


def _write(draft: Draft, table: str, writing: Writing) -> None:
    if writing.encoding == "coco":
        draft.put(f"{table}.encoding", "coco", writing.why)
        return
    guess = Guess(writing.order, writing.why, sure=writing.sure)
    if table == "truth":
        text = "Do masks count pixels down the columns or along the rows?"
        draft.question(Question(f"{table}.order", text, guess, ("columns", "rows")))
    else:
        draft.put(f"{table}.order", draft.value("truth.order", writing.order), "as the truth")
    draft.put(f"{table}.first", writing.first, writing.why.rpartition("; ")[2] if table == "truth" else "as the truth")


def _id_column(table: Table, names: set[str]) -> str:
    """Return the column whose cells name images best; empty if none does."""
    shares = {}
    for column in table.columns:
        cells = table.cells(column)[:2000]
        hits = sum(plain_id(PurePosixPath(cell).name) in names or _begins(cell, names) for cell in cells)
        shares[column] = hits / max(1, len(cells))
    best = max(shares, key=lambda name: shares[name], default="")
    if best and shares[best] > 0.2:
        return best
    return next((name for name in table.columns if name.lower() in ("id", "image_id", "imageid")), "")


def _begins(cell: str, names: set[str]) -> bool:
    """Whether a cell is an image's name and something behind it: "a_1"."""
    parts = re.split(r"[_\-/]", cell)
    joined = (cell[: sum(map(len, parts[:count])) + count - 1] for count in range(len(parts) - 1, 0, -1))
    return any(text in names for text in joined)


def _masks_in(table: Table, column: str) -> bool:
    cells = table.cells(column)[:40]
    return bool(cells) and sum(map(is_mask, cells)) >= 0.8 * len(cells)


def _mask_column(table: Table) -> str:
    found = [name for name in table.columns if _masks_in(table, name)]
    return next((name for name in found if _MASK_NAMES.search(name)), found[0] if found else "")


def _class_column(table: Table, key: str, mask: str) -> str:
    """Return the column of the class, where an image has several rows that differ in it."""
    if len(set(table.rows[key])) == len(table.rows[key]):
        return ""
    for name in table.columns:
        words = set(table.cells(name))
        if name in (key, mask) or not _CLASS_NAMES.search(name) or not 1 < len(words) <= _MOST_CLASSES:
            continue
        pairs = list(zip(table.rows[key], table.rows[name], strict=True))
        if len(set(pairs)) == len(pairs):
            return name
    return ""


def _class_in_id(ids: list[str], classes: list[str]) -> str:
    """Return what stands between image and class in an id: "_" of "a_1"; empty if they do not end with one."""
    for between in ("_", "-", "/"):
        if all(any(cell.endswith(f"{between}{name}") for name in classes) for cell in ids[:500]):
            return between
    return ""


def _label(sample: Table, column: str) -> str:
    words = {cell.split()[0] for cell in (sample.cells(column) if column in sample.columns else [])}
    return words.pop() if len(words) == 1 else ""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
