"""Guess how boxes are written: in four columns of a table, or as four numbers in each cell of one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from kit.local.new_competition.guesses import Draft, Guess, Question
from kit.local.new_competition.survey import Table
from kit.local.new_competition.table_roles import Role, is_number

_NAMES = (
    ("xmin", r"x_?min|x_?1|x_?0|x|left"),
    ("ymin", r"y_?min|y_?1|y_?0|y|top"),
    ("xmax", r"x_?max|x_?2|right"),
    ("ymax", r"y_?max|y_?2|bottom"),
    ("width", r"w|width|box_?width|bbox_?width"),
    ("height", r"h|height|box_?height|bbox_?height"),
)
_SIZED = "{xmin} {ymin} {width} {height}"
_FAR = "{xmin} {ymin} {xmax} {ymax}"
_CELL = re.compile(r"[\[({].*[\])}]", re.DOTALL)
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?(?!\w)")
_LOOKED_AT = 2_000


@dataclass(frozen=True)
class Boxes:
    """Where a table has boxes.

    Attributes:
        mask: the column whose cells hold all numbers of a box; empty where each has one of its own.
        columns: those columns.
        box: the words of a box, as far as the numbers and names tell them.
        sure: whether they do.
    """

    mask: str
    columns: tuple[str, ...]
    box: str
    sure: bool


def find(table: Table) -> Boxes | None:
    """Return where a table has boxes, None if it has none."""
    small = {name.lower().strip(): name for name in table.columns}
    found = {
        word: next((small[name] for name in small if re.fullmatch(form, name)), "") for word, form in _NAMES
    }
    for box, words in (
        (_FAR, ("xmin", "ymin", "xmax", "ymax")),
        (_SIZED, ("xmin", "ymin", "width", "height")),
    ):
        columns = tuple(found[word] for word in words)
        cells = [cell for name in columns if name for cell in table.cells(name)[:_LOOKED_AT]]
        if all(columns) and cells and all(map(is_number, cells)):
            return Boxes("", columns, box, sure=True)
    for name in table.columns:
        cells = [cell for cell in table.cells(name)[:_LOOKED_AT] if _CELL.fullmatch(cell.strip())]
        numbers = [list(map(float, _NUMBER.findall(cell))) for cell in cells]
        if any(numbers) and all(len(item) % 4 == 0 for item in numbers):
            boxes = [item[first : first + 4] for item in numbers for first in range(0, len(item), 4)]
            far = all(box[2] > box[0] and box[3] > box[1] for box in boxes)
            sure = not far or any("width" in cell for cell in cells)
            return Boxes(name, (), _SIZED if sure else _FAR, sure=sure)
    return None


def fill_truth(draft: Draft, truth: Role, boxes: Boxes) -> None:
    """Fill in `[truth]` for boxes."""
    path = truth.table.path
    draft.put("truth.form", "boxes", f"{path} has boxes in its cells")
    draft.put("truth.file", path, "its ids name the training images")
    draft.put("truth.id", truth.id, "its cells name images")
    why = "so are the columns called" if boxes.columns else "so its numbers look; compare a few pictures"
    if boxes.columns:
        draft.put("truth.columns", list(boxes.columns), why)
    else:
        draft.put("truth.mask", boxes.mask, "its cells hold four numbers")
    text = "What are the numbers of a box, in their order?"
    draft.question(Question("truth.box", text, Guess(boxes.box, why, sure=boxes.sure)))
    draft.put("truth.unlisted", "empty", "an image without a row is taken as one without boxes")


def fill_submission(draft: Draft, table: Table, column: str, boxes: Boxes) -> None:
    """Fill in how the submission writes boxes, from the sample's cells."""
    longest = max((len(item) for cell in table.cells(column)[:50] if (item := _words(cell))), default=0)
    front = "{label} {score} " if longest and longest % 6 == 0 else "{score} "
    why = f"cells of {table.path} have {longest or 'no'} words, and the truth is written so"
    text = "Which words does an instance have in the submission?"
    draft.question(Question("submission.instance", text, Guess(f"{front}{boxes.box}", why, sure=False)))


def classes(truth: Role, boxes: Boxes) -> Iterator[str]:
    """Yield the columns that may hold the class of a box: words or numbers that repeat."""
    used = {truth.id, boxes.mask, *boxes.columns}
    named = [name for name in truth.table.columns if re.search(r"class|label|category", name, re.IGNORECASE)]
    yield from (name for name in named if name not in used)


def words_with_boxes(truth: Role, column: str, boxes: Boxes) -> list[str]:
    """Return the words of a column in the rows that hold a box, the frequent first."""
    place = truth.table.rows[boxes.mask or boxes.columns[0]]
    found: dict[str, int] = {}
    for word, cell in zip(truth.table.rows[column], place, strict=True):
        if word.strip() and cell.strip():
            found[word.strip()] = found.get(word.strip(), 0) + 1
    return sorted(found, key=lambda word: (len(word), word) if word.isdecimal() else (0, word))


def _words(cell: str) -> list[str]:
    return cell.split() if all(map(is_number, cell.split())) else []
