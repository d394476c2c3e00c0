"""Guess `[truth]`, `[submission]`, the kind and the classes from tables and mask images."""

from __future__ import annotations

from collections import Counter

from kit.local.new_competition.guesses import Draft, Guess, Question, listed
from kit.local.new_competition.mask_order import Writing, is_mask
from kit.local.new_competition.survey import Table
from kit.local.new_competition.table_roles import (
    MOST_CLASSES,
    Role,
    Roles,
    class_column,
    is_number,
    likely_mask,
    mask_column,
)

_SIDES = {"height": ("height", "img_height", "rows"), "width": ("width", "img_width", "columns")}
_FORMS = ("text", "images", "polygons", "coco", "table")


def fill(draft: Draft, roles: Roles, masks: str | None, writing: Writing | None) -> None:
    """Fill in kind, classes, `[truth]`, `[submission]` and `[metadata]`.

    Args:
        draft: gets the keys.
        roles: the tables.
        masks: pattern of the mask images, if there are any.
        writing: how masks are written in cells; None if no cell holds one.
    """
    mask = mask_column(roles.truth.table) if roles.truth else ""
    kind = _kind(draft, roles, masks, mask)
    _classes(draft, roles, kind, mask)
    if masks and not mask:
        draft.put("truth.form", "images", "mask images lie beside the images")
        draft.put("truth.file", masks, "so they lie")
    elif roles.truth is None:
        draft.question(Question("truth.form", "How is the truth written?", None, _FORMS))
        draft.question(Question("truth.file", "Which file holds the truth, below the folder?"))
    else:
        _truth(draft, roles.truth, mask, writing)
    if roles.sample is None:
        draft.question(Question("submission.mask", "Which column of the submission holds masks or values?"))
    else:
        _submission(draft, roles.sample, kind, writing)
    if roles.truth and mask:
        _sizes(draft, roles.truth)


def _kind(draft: Draft, roles: Roles, masks: str | None, mask: str) -> str:
    truth = roles.truth
    guess: Guess | None
    if not masks and not mask:
        guess = Guess("values", "no mask is in a table or an image") if truth else None
    else:
        counts = Counter(truth.table.rows[truth.id]) if truth and mask else Counter()
        repeated = any(count > 1 for count in counts.values())
        if repeated and truth and not class_column(truth, mask):
            guess = Guess("instance", "an image has several rows, and no column tells a class", sure=False)
        else:
            guess = Guess("semantic", "an image has one mask, or one for each class", sure=not masks)
    text = "One mask for an image or class (semantic), scored instances (instance), or values?"
    return str(draft.question(Question("kind", text, guess, ("semantic", "instance", "values"))))


def _classes(draft: Draft, roles: Roles, kind: str, mask: str) -> None:
    truth, sample = roles.truth, roles.sample
    if sample and sample.rows:
        words = list(sample.rows.classes)
        draft.put("classes", words, f"what the ids of {sample.table.path} end with")
    elif truth and mask and (column := class_column(truth, mask)):
        words = sorted(set(truth.table.cells(column)), key=lambda text: (len(text), text))
        draft.put("classes", words, f"the words in column {column!r} of {truth.table.path}")
    elif kind == "values" and sample:
        targets = [name for name in sample.table.columns if name != sample.id]
        word_column = _word_column(truth, targets) if truth else ""
        if word_column and truth and word_column in targets:
            draft.put("classes", sorted(set(truth.table.cells(word_column))), f"the words in {word_column!r}")
            draft.put("targets", targets, f"the columns of {sample.table.path} beside its ids")
        elif word_column:
            draft.put("classes", targets, f"the columns of {sample.table.path}; the truth names one of them")
        else:
            draft.put("targets", targets, f"the columns of {sample.table.path} beside its ids")


def _word_column(truth: Role, targets: list[str]) -> str:
    """Return the column of the truth with words: the target itself, or one whose words are the targets."""
    for name in truth.table.columns:
        words = set(truth.table.cells(name))
        if name == truth.id or not 0 < len(words) <= MOST_CLASSES or all(map(is_number, words)):
            continue
        if name in targets or words <= set(targets):
            return name
    return ""


def _truth(draft: Draft, truth: Role, mask: str, writing: Writing | None) -> None:
    path = truth.table.path
    held = "masks" if mask else "values"
    draft.put("truth.form", "text" if mask else "table", f"{path} has {held} in its cells")
    draft.put("truth.file", path, "its ids name the training images")
    draft.put("truth.id", truth.id, "its cells name images")
    if truth.rows:
        draft.put("truth.row_id", f"{{id}}{truth.rows.between}{{class}}", "so its ids are made")
    if not mask:
        _truth_values(draft, truth)
        return
    draft.put("truth.mask", mask, "its cells hold masks")
    known = [str(name) for name in draft.value("classes") or ()]
    if column := class_column(truth, mask, known):
        draft.put("truth.class_column", column, "one row for each class of an image")
        draft.put("truth.unlisted", "empty", "an image without a row is taken as one without masks")
    if writing is not None:
        _write(draft, "truth", writing)


def _truth_values(draft: Draft, truth: Role) -> None:
    """Fill in which column of the truth holds values, where it is not called like the target."""
    rest = [name for name in truth.table.columns if name != truth.id]
    targets = [str(name) for name in draft.value("targets") or draft.value("classes") or []]
    word = _word_column(truth, targets)
    if word and word not in targets:
        draft.put("truth.value", word, "its cells name one of the classes")
    elif truth.rows and len(rest) == 1:
        draft.put("truth.value", rest[0], "the column beside the ids")
    elif missing := [name for name in targets if name not in truth.table.columns]:
        text = f"{truth.table.path} has no column {listed(missing)}. Which column holds the values?"
        draft.question(Question("truth.value", text, choices=tuple(rest)))


def _submission(draft: Draft, sample: Role, kind: str, writing: Writing | None) -> None:
    table = sample.table
    if table.path != "sample_submission.csv":
        draft.put("submission.sample", table.path, "the table that is called so")
    if table.path.endswith(".parquet"):
        draft.put("submission.file", "submission.parquet", "so is the sample")
    draft.put("submission.id", sample.id, "its cells name images")
    if sample.rows:
        draft.put("submission.row_id", f"{{id}}{sample.rows.between}{{class}}", "so its ids are made")
    rest = [name for name in table.columns if name != sample.id]
    if kind == "values":
        if sample.rows and len(rest) == 1:
            draft.put("submission.value", rest[0], "the column beside the ids")
        return
    small = {name.lower(): name for name in rest}
    for key, names in _SIDES.items():
        if found := next((small[name] for name in names if name in small), None):
            draft.put(f"submission.{key}", found, "so is the column called")
            rest.remove(found)
    classes = {str(name) for name in draft.value("classes") or ()}
    of_class = [
        name for name in rest if classes and set(table.cells(name)) and set(table.cells(name)) <= classes
    ]
    if of_class and not sample.rows:
        draft.put("submission.class_column", of_class[0], "its cells are names of classes")
        rest.remove(of_class[0])
    named = likely_mask(rest)
    if len(named) == 1:
        draft.put("submission.mask", named[0], "the column beside the ids")
    else:
        text = f"Which column of {table.path} holds masks?"
        draft.question(Question("submission.mask", text, choices=tuple(named)))
    _written(draft, table, kind, writing)


def _written(draft: Draft, table: Table, kind: str, writing: Writing | None) -> None:
    """Fill in how the submission's masks are written."""
    column = str(draft.value("submission.mask", ""))
    cells = table.cells(column) if column in table.columns else []
    if kind == "instance" and not (cells and all(map(is_mask, cells[:50]))):
        draft.put("submission.encoding", "coco", "the text of an instance has no blanks inside")
        words = {cell.split()[0] for cell in cells}
        if len(words) == 1:
            draft.put("submission.label", words.pop(), "first word of the sample's cells")
        return
    if kind == "instance":
        draft.put("submission.rows", "object", "the sample's cells hold one mask each, without a score")
        text = "May the instances of an image overlap in the submission (true or false)?"
        draft.question(Question("submission.overlap", text, Guess(True, "nobody said otherwise", sure=False)))
    if writing is not None:
        _write(draft, "submission", writing)


def _write(draft: Draft, table: str, writing: Writing) -> None:
    if writing.encoding == "coco":
        draft.put(f"{table}.encoding", "coco", writing.why)
        return
    if table == "truth":
        text = "Do masks count pixels down the columns or along the rows?"
        guess = Guess(writing.order, writing.why, sure=writing.sure)
        draft.question(Question("truth.order", text, guess, ("columns", "rows")))
        draft.put("truth.first", writing.first, writing.why_first)
    else:
        draft.put("submission.order", draft.value("truth.order", writing.order), "as in the truth")
        draft.put("submission.first", draft.value("truth.first", writing.first), "as in the truth")


def _sizes(draft: Draft, truth: Role) -> None:
    """Name the columns that tell the images' sizes, which are compared with the files."""
    small = {name.lower(): name for name in truth.table.columns}
    found = {key: next((small[name] for name in names if name in small), "") for key, names in _SIDES.items()}
    if all(found.values()):
        draft.put("metadata.train", truth.table.path, "it tells the sizes of the images")
        draft.put("metadata.id", truth.id, "as in the truth")
        for key, name in found.items():
            draft.put(f"metadata.columns.{key}", name, "so is the column called")
