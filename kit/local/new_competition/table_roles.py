"""Which table is the sample submission, which one holds the truth, and what their columns hold."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from kit.competitions.path_pattern import plain_id
from kit.local.new_competition.mask_order import is_mask
from kit.local.new_competition.survey import Survey, Table

_MASK_NAMES = re.compile(r"rle|encod|mask|segment|annotation|pixels|predict", re.IGNORECASE)
_CLASS_NAMES = re.compile(r"class|label|type|category|target|organ", re.IGNORECASE)
MOST_CLASSES = 200
_LOOKED_AT = 5_000


@dataclass(frozen=True)
class RowIds:
    """Ids of rows that hold an image's id and a class.

    Attributes:
        between: what stands between them, such as "_".
        classes: in their order.
    """

    between: str
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Role:
    """A table and its ids.

    Attributes:
        table: the table.
        id: column of the ids.
        rows: where ids hold a class, too.
        images: the images that the ids name, each once, as the table spells them.
    """

    table: Table
    id: str
    rows: RowIds | None
    images: tuple[str, ...]


@dataclass(frozen=True)
class Roles:
    """The two tables that matter; None where there is none."""

    sample: Role | None
    truth: Role | None


def find(seen: Survey) -> Roles:
    """Find the sample submission and the table with the truth."""
    names = _names(seen)
    paths = sorted(seen.tables, key=lambda path: (path.count("/"), "sample" not in path.lower(), path))
    sample = next((path for path in paths if "submission" in path.lower()), None)
    best, most = None, 0.0
    for path in paths:
        table = seen.tables[path]
        if re.search(r"test|submission|solution", PurePosixPath(path).name, re.IGNORECASE):
            continue
        column = _id_column(table, names)
        masks = bool(mask_column(table))
        value = 0.5 * ("train" in path.lower()) + 0.25 * ("/" not in path) + bool(column) + 2 * masks
        if column and value > most:
            best, most = path, value
    return Roles(_role(seen, sample, names), _role(seen, best, names))


def mask_column(table: Table) -> str:
    """Return the column whose cells hold masks; empty if none does."""
    found = []
    for name in table.columns:
        cells = table.cells(name)[:40]
        if cells and sum(map(is_mask, cells)) >= 0.8 * len(cells):
            found.append(name)
    return next((name for name in found if _MASK_NAMES.search(name)), found[0] if found else "")


def likely_mask(names: list[str]) -> list[str]:
    """Return those of some columns that are called like masks; all if none is."""
    return [name for name in names if _MASK_NAMES.search(name)] or names


def class_column(role: Role, mask: str, classes: Collection[str] = ()) -> str:
    """Return the column of the class; empty if there is none.

    Args:
        role: the table.
        mask: its column of masks.
        classes: as far as they are known. If not, an image has to have several rows that differ in it.
    """
    keys = role.table.rows[role.id]
    for name in role.table.columns:
        words = set(role.table.cells(name))
        if classes and name not in (role.id, mask) and words and words <= set(classes):
            return name
        if name in (role.id, mask) or not _CLASS_NAMES.search(name) or not 1 < len(words) <= MOST_CLASSES:
            continue
        pairs = list(zip(keys, role.table.rows[name], strict=True))
        if len(set(pairs)) == len(pairs) > len(set(keys)):
            return name
    return ""


def is_number(text: str) -> bool:
    """Return whether a cell is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _names(seen: Survey) -> Mapping[str, None]:
    """Return what images may be called: names with and without suffix, and folders."""
    found: dict[str, None] = {}
    for files in seen.files:
        if files.masks:
            continue
        for path in files.paths:
            *folders, name = path.split("/")
            for text in (name, plain_id(name), *folders[1:]):
                found[text] = None
            for folder in folders[1:]:
                for between in "_-/":
                    found[f"{folder}{between}{plain_id(name)}"] = None
    return found


def _role(seen: Survey, path: str | None, names: Mapping[str, None]) -> Role | None:
    if path is None or not seen.tables[path].columns:
        return None
    table = seen.tables[path]
    column = _id_column(table, names) or table.columns[0]
    cells = list(dict.fromkeys(table.cells(column)))
    rows = None if any(cell in names for cell in cells[:_LOOKED_AT]) else _row_ids(cells, names)
    images = cells if rows is None else list(dict.fromkeys(_begin(cell, names) for cell in cells))
    return Role(table, column, rows, tuple(images))


def _id_column(table: Table, names: Mapping[str, None]) -> str:
    """Return the column whose cells name images best; empty if none does."""
    shares = {}
    for column in table.columns:
        cells = table.cells(column)[:_LOOKED_AT]
        shares[column] = sum(bool(_begin(cell, names)) for cell in cells) / max(1, len(cells))
    best = max(shares, key=lambda name: shares[name], default="")
    if best and shares[best] > 0.2:
        return best
    return next((name for name in table.columns if name.lower() in ("id", "image_id", "imageid")), "")


def _begin(cell: str, names: Mapping[str, None]) -> str:
    """Return the image that a cell names, with or without a class behind it; empty if it names none."""
    if cell in names or plain_id(cell) in names:
        return cell
    for place in range(len(cell) - 1, 0, -1):
        if cell[place] in "_-/" and (cell[:place] in names or plain_id(cell[:place]) in names):
            return cell[:place]
    return ""


def _row_ids(cells: list[str], names: Mapping[str, None]) -> RowIds | None:
    """Return how ids of rows are made, None if they are no image and class."""
    ends = [(cell, begin) for cell in cells[:_LOOKED_AT] if (begin := _begin(cell, names)) and begin != cell]
    betweens = {cell[len(begin)] for cell, begin in ends}
    classes = dict.fromkeys(cell[len(begin) + 1 :] for cell, begin in ends)
    if len(betweens) != 1 or not 1 < len(classes) <= MOST_CLASSES:
        return None
    return RowIds(betweens.pop(), tuple(classes))
