"""Guess `[truth]`, `[submission]`, the kind and the classes from tables and mask images."""

from __future__ import annotations

from collections import Counter

from kit.errors import KitError
from kit.local.new_competition import box_guesses, drawn_guesses, metadata_guesses
from kit.local.new_competition.box_guesses import Boxes
from kit.local.new_competition.drawn_guesses import Drawn
from kit.local.new_competition.guesses import Draft, Guess, Question, listed
from kit.local.new_competition.mask_order import Writing, is_mask
from kit.local.new_competition.metadata_guesses import sides
from kit.local.new_competition.survey import Table
from kit.local.new_competition.table_roles import (
    MOST_CLASSES,
    Role,
    Roles,
    class_column,
    empty_word,
    is_number,
    likely_mask,
    mask_column,
)

_MANY = 1.5
"""Masks of an image in the mean from which on they are taken for instances."""
_FORMS = ("text", "images", "polygons", "coco", "table", "boxes")


def fill(
    draft: Draft, roles: Roles, masks: str | None, writing: Writing | None, drawn: Drawn | None = None
) -> None:
    """Fill in kind, classes, `[truth]`, `[submission]` and `[metadata]`.

    Args:
        draft: gets the keys.
        roles: the tables.
        masks: pattern of the mask images, if there are any.
        writing: how masks are written in cells; None if no cell holds one.
        drawn: annotations in a file, if there are any.
    """
    mask = mask_column(roles.truth.table) if roles.truth else ""
    boxes = None if mask or masks or roles.truth is None else box_guesses.find(roles.truth.table)
    if mask or masks or boxes or _has_values(roles):
        drawn = None
    kind = _kind(draft, roles, masks, mask, boxes or drawn)
    if kind == "values":
        drawn = None
    if boxes and kind == "instance":
        _box_classes(draft, roles, boxes)
    else:
        boxes = None
        _classes(draft, roles, kind, mask)
    if drawn:
        drawn_guesses.fill(draft, drawn)
    elif boxes and roles.truth:
        box_guesses.fill_truth(draft, roles.truth, boxes)
    else:
        _fill_truth(draft, roles, masks, mask, writing)
    if roles.solution and draft.value("truth.file") == (roles.truth.table.path if roles.truth else ""):
        draft.put("truth.solution", roles.solution, "it has the columns of the truth")
    if roles.sample is None and kind == "values":
        text = "What is predicted of an image? Name the columns of the submission beside its ids: ['age']"
        draft.question(Question("targets", text))
    elif roles.sample is None:
        draft.question(Question("submission.mask", "Which column of the submission holds masks?"))
    else:
        _submission(draft, roles.sample, kind, writing, boxes)
    if roles.truth and roles.truth.rows is None:
        used = () if boxes is None else boxes.columns
        metadata_guesses.fill(draft, roles.truth, used, whole=draft.value("truth.unlisted") is None)


def _has_values(roles: Roles) -> bool:
    """Return whether the table with the truth has the columns of the submission."""
    truth, sample = roles.truth, roles.sample
    if truth is None or sample is None:
        return False
    return {name for name in sample.table.columns if name != sample.id} <= set(truth.table.columns)


def _fill_truth(draft: Draft, roles: Roles, masks: str | None, mask: str, writing: Writing | None) -> None:
    """Fill in `[truth]` for tables of masks or values and for mask images."""
    if masks and not mask:
        draft.put("truth.form", "images", "mask images lie beside the images")
        draft.put("truth.file", masks, "so they lie")
    elif roles.truth is None:
        draft.question(Question("truth.form", "How is the truth written?", None, _FORMS))
        text = "Which file holds the truth, below the folder? Where folders tell the class, write a table"
        draft.question(Question("truth.file", text))
    else:
        _truth(draft, roles.truth, roles.sample, mask, writing)


def _kind(draft: Draft, roles: Roles, masks: str | None, mask: str, found: Boxes | Drawn | None) -> str:
    truth = roles.truth
    guess: Guess | None
    if isinstance(found, Drawn):
        guess = Guess("instance", f"{found.file} holds annotations", sure=False)
    elif found:
        where = found.mask or " ".join(found.columns)
        guess = Guess("instance", f"the truth has boxes: {where}", sure=False)
    elif not masks and not mask:
        guess = Guess("values", "no mask is in a table or an image") if truth else None
        if roles.sample and mask_column(roles.sample.table):
            guess = Guess("semantic", "the sample submission has masks", sure=False)
    else:
        several = _several(truth, mask) if truth and mask else 0.0
        if several >= _MANY:
            why = f"an image has {several:.1f} masks in the mean, and no column tells a class"
            guess = Guess("instance", why, sure=False)
        elif several:
            why = "few images have several masks, and no column tells a class: they are united"
            guess = Guess("semantic", why, sure=False)
        else:
            guess = Guess("semantic", "an image has one mask, or one for each class", sure=not masks)
    text = "One mask for an image or class (semantic), scored instances (instance), or values?"
    return str(draft.question(Question("kind", text, guess, ("semantic", "instance", "values"))))


def _several(truth: Role, mask: str) -> float:
    """Return how many masks an image has in the mean, where no class tells them apart; 0 if none has two."""
    rows = zip(truth.table.rows[truth.id], truth.table.rows[mask], strict=True)
    counts = Counter(image for image, text in rows if is_mask(text))
    if truth.rows or max(counts.values(), default=0) < 2 or class_column(truth, mask):
        return 0.0
    return counts.total() / len(counts)


def _box_classes(draft: Draft, roles: Roles, boxes: Boxes) -> None:
    """Fill in the classes of boxes: a column of the truth whose words the submission has, or several of."""
    truth, sample = roles.truth, roles.sample
    if truth is None:
        return
    for column in box_guesses.classes(truth, boxes):
        words = box_guesses.words_with_boxes(truth, column, boxes)
        if 1 < len(words) <= MOST_CLASSES and (sample is None or all(map(is_number, words))):
            draft.put("classes", words, f"the words in column {column!r} of {truth.table.path}")
            draft.put("truth.class_column", column, "it tells the class of a box")
            return


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
            draft.put("classes", sorted(_words(truth.table, word_column)), f"the words in {word_column!r}")
            draft.put("targets", targets, f"the columns of {sample.table.path} beside its ids")
        elif word_column:
            draft.put("classes", targets, f"the columns of {sample.table.path}; the truth names one of them")
        else:
            draft.put("targets", targets, f"the columns of {sample.table.path} beside its ids")


def _word_column(truth: Role, targets: list[str]) -> str:
    """Return the column of the truth with words: the target itself, or one whose words are the targets."""
    for name in truth.table.columns:
        words = _words(truth.table, name)
        if name == truth.id or not 0 < len(words) <= MOST_CLASSES or all(map(is_number, words)):
            continue
        if name in targets or words <= set(targets):
            return name
    return ""


def _words(table: Table, column: str) -> set[str]:
    """Return the words of a column: its cells, or what blanks separate where cells share words."""
    cells = set(table.cells(column))
    words = {word for cell in cells for word in cell.split()}
    # "haze primary" and "clear primary" are tags; "sugar beet" and "charlock" are names.
    return words if 0 < len(words) < sum(len(cell.split()) for cell in cells) else cells


def _truth(draft: Draft, truth: Role, sample: Role | None, mask: str, writing: Writing | None) -> None:
    path = truth.table.path
    held = "masks" if mask else "values"
    draft.put("truth.form", "text" if mask else "table", f"{path} has {held} in its cells")
    draft.put("truth.file", path, "its ids name the training images")
    draft.put("truth.id", truth.id, "its cells name images")
    if truth.rows:
        draft.put("truth.row_id", f"{{id}}{truth.rows.between}{{class}}", "so its ids are made")
    if not mask:
        _truth_values(draft, truth, sample)
        return
    draft.put("truth.mask", mask, "its cells hold masks")
    known = [str(name) for name in draft.value("classes") or ()]
    if column := class_column(truth, mask, known):
        draft.put("truth.class_column", column, "one row for each class of an image")
        draft.put("truth.unlisted", "empty", "an image without a row is taken as one without masks")
    elif draft.value("kind") == "semantic" and _several(truth, mask):
        draft.put("truth.rows", "object", "an image may have several rows, which are united")
    if word := empty_word(truth.table.cells(mask)):
        draft.put("truth.empty", word, "the only word in the cells that is no mask")
    if writing is not None:
        _write(draft, "truth", writing)


def _truth_values(draft: Draft, truth: Role, sample: Role | None) -> None:
    """Fill in which column of the truth holds values, where it is not called like the target."""
    rest = [name for name in truth.table.columns if name != truth.id]
    known = [str(name) for name in draft.value("classes") or ()]
    if sample and sample.rows and not truth.rows and (column := class_column(truth, "", known)):
        draft.put("truth.class_column", column, "its cells are what the submission's ids end with")
        rest.remove(column)
    long = truth.rows or "truth.class_column" in draft.known
    alike = [] if sample is None else [name for name in rest if name in sample.table.columns]
    targets = [str(name) for name in draft.value("targets") or draft.value("classes") or []]
    word = _word_column(truth, targets)
    if long and len(alike) == 1:
        draft.put("truth.value", alike[0], "so is the column of the submission called")
    elif word and word not in targets:
        draft.put("truth.value", word, "its cells name one of the classes")
    elif truth.rows and len(rest) == 1:
        draft.put("truth.value", rest[0], "the column beside the ids")
    elif missing := [name for name in targets if name not in truth.table.columns]:
        text = f"{truth.table.path} has no column {listed(missing)}. Which column holds the values?"
        draft.question(Question("truth.value", text, choices=tuple(rest)))


def _submission(draft: Draft, sample: Role, kind: str, writing: Writing | None, boxes: Boxes | None) -> None:
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
        _submission_values(draft, sample, rest)
        return
    for key, found in sides(rest).items():
        draft.put(f"submission.{key}", found, "so is the column called")
        rest.remove(found)
    if column := _class_of(draft, sample, rest):
        draft.put("submission.class_column", column, "its cells are names of classes")
        rest.remove(column)
    named = likely_mask(rest)
    if len(named) == 1:
        draft.put("submission.mask", named[0], "the column beside the ids")
    else:
        text = f"Which column of {table.path} holds masks?"
        draft.question(Question("submission.mask", text, choices=tuple(named)))
    if boxes:
        box_guesses.fill_submission(draft, table, str(draft.value("submission.mask", rest[0])), boxes)
    else:
        _written(draft, table, kind, writing)


def _submission_values(draft: Draft, sample: Role, rest: list[str]) -> None:
    """Fill in the column of the values, where a row is of one of them.

    Raises:
        KitError: a row of a class has several values.
    """
    if sample.rows and len(rest) > 1:
        raise KitError(
            f"rows of {sample.table.path} are of {listed(sample.rows.classes, 2)}, and each has {len(rest)} "
            f"values: {listed(rest)}",
            fix="not supported: a row of a class has one value. If the ids name images alone, say how they "
            "lie: --answer images.test=... --answer images.id=...; else this needs a program of your own",
        )
    if sample.rows:
        draft.put("submission.value", rest[0], "the column beside the ids")


def _class_of(draft: Draft, sample: Role, rest: list[str]) -> str:
    """Return the column of the sample submission with the class of a row; empty if there is none."""
    table, classes = sample.table, {str(name) for name in draft.value("classes") or ()}
    if sample.rows:
        return ""
    if not any(table.rows.values()):  # a sample without rows: the hidden one has them
        return next((name for name in rest if name == draft.value("truth.class_column")), "")
    cells = {name: set(table.cells(name)) for name in rest}
    return next((name for name in rest if cells[name] and cells[name] <= classes), "")


def _written(draft: Draft, table: Table, kind: str, writing: Writing | None) -> None:
    """Fill in how the submission's masks are written."""
    column = str(draft.value("submission.mask", ""))
    cells = table.cells(column) if column in table.columns else []
    # Words of an instance are "label score mask"; a single short word means "no mask".
    word = empty_word(cells)
    if word:
        draft.put("submission.empty", word, f"a word in {table.path} that is no mask")
    cells = [cell for cell in cells if cell.strip() != word]
    one = bool(cells) and all(map(is_mask, cells[:50]))
    if kind == "instance" and not cells and writing is not None and writing.encoding == "pairs":
        text = "Does a row hold one mask (object), or all of an image with labels and scores (image)?"
        why = f"{table.path} shows no mask, and those of the truth are numbers with blanks"
        guess = Guess("object", why, sure=False)
        one = draft.question(Question("submission.rows", text, guess, ("object", "image"))) == "object"
    if kind == "instance" and not one:
        draft.put("submission.encoding", "coco", "the text of an instance has no blanks inside")
        words = {cell.split()[0] for cell in cells}
        if len(words) == 1:
            draft.put("submission.label", words.pop(), "first word of the sample's cells")
        return
    if kind == "instance":
        if cells:
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
