"""Which table is the sample submission, which one holds the truth, and what their columns hold."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from kit.competitions.path_pattern import plain_id
from kit.local.new_competition.mask_order import is_mask
from kit.local.new_competition.survey import Survey, Table

_MASK_NAMES = re.compile(r"rle|encod|mask|segment|annotation|pixels|predict", re.IGNORECASE)
_CLASS_NAMES = re.compile(r"class|label|type|category|target|organ", re.IGNORECASE)
MOST_CLASSES = 200
_LOOKED_AT = 5_000


_FILE, _JOINED, _FOLDER = 1, 2, 4
"""What a name is of: a file, folder and file together, a folder below the top; a deeper one doubles it."""
_LONGEST_EMPTY = 8


@dataclass(frozen=True)
class RowIds:
    """Ids of rows that hold an image's id and a class.

    Attributes:
        between: what stands between them, such as "_" or "__".
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

    def image_of(self, cell: str) -> str:
        """Return the image that a cell of the ids names."""
        ends = [f"{self.rows.between}{name}" for name in self.rows.classes] if self.rows else []
        return next((cell[: -len(end)] for end in ends if cell.endswith(end)), cell)


@dataclass(frozen=True)
class Roles:
    """The tables that matter; None, or an empty path, where there is none.

    Attributes:
        sample: the sample submission.
        truth: of the training images.
        solution: path of the same table of images that somebody holds out.
    """

    sample: Role | None
    truth: Role | None
    solution: str = ""


def find(seen: Survey) -> Roles:
    """Find the sample submission and the table with the truth."""
    names = _names(seen)
    paths = sorted(seen.tables, key=lambda path: (path.count("/"), "sample" not in path.lower(), path))
    sample = next((path for path in paths if "submission" in path.lower()), None)
    found = _role(seen, sample, names)
    # Where the submission's rows are of patients, the truth's column of patients counts, not that of files.
    level = _level(found.images, names) if found else 0
    best, most = None, 0.0
    for path in paths:
        table = seen.tables[path]
        if re.search(r"test|submission|solution", PurePosixPath(path).name, re.IGNORECASE):
            continue
        column = _id_column(table, names, level)
        masks = bool(mask_column(table))
        value = 0.5 * ("train" in path.lower()) + 0.25 * ("/" not in path) + bool(column) + 2 * masks
        if column and value > most:
            best, most = path, value
    truth = _role(seen, best, names, level)
    columns = set(truth.table.columns) if truth else set()
    held_out = [path for path in paths if "solution" in PurePosixPath(path).name.lower()]
    solution = next((path for path in held_out if set(seen.tables[path].columns) == columns), "")
    return Roles(found, truth, solution)


def mask_column(table: Table) -> str:
    """Return the column whose cells hold masks; empty if none does."""
    found = []
    for name in table.columns:
        cells = list(dict.fromkeys(table.cells(name)))[:40]
        masks = sum(map(is_mask, cells))
        # Most rows may hold the same word for "no mask", such as -1.
        if masks and (masks >= 0.8 * len(cells) or empty_word(cells)):
            found.append(name)
    return next((name for name in found if _MASK_NAMES.search(name)), found[0] if found else "")


def empty_word(cells: Sequence[str]) -> str:
    """Return the word that stands for "no mask" in some cells, such as "-1"; empty if there is none."""
    words = {cell.strip() for cell in dict.fromkeys(cells) if cell.strip() and not is_mask(cell)}
    return words.pop() if len(words) == 1 and all(len(word) <= _LONGEST_EMPTY for word in words) else ""


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


def _names(seen: Survey) -> Mapping[str, int]:
    """Return what images may be called: names with and without suffix, and folders; and what each is of."""
    found: dict[str, int] = {}
    for files in seen.files:
        if files.masks:
            continue
        for path in files.paths:
            *folders, name = path.split("/")
            for text in (name, plain_id(name)):
                found[text] = found.get(text, 0) | _FILE
            for depth, folder in enumerate(folders[1:]):
                found[folder] = found.get(folder, 0) | _FOLDER << depth
                # "0-9114" may mean video_0/9114.jpg.
                for front in dict.fromkeys((folder, re.split(r"[_\-]", folder)[-1])):
                    for between in "_-/":
                        for part in _begins(plain_id(name)):
                            text = f"{front}{between}{part}"
                            found[text] = found.get(text, 0) | _JOINED
    return found


def _begins(name: str) -> list[str]:
    """Return a name, and what it begins with: ids may leave out the size in "slice_0001_266_266"."""
    parts = name.split("_")
    return [name, *("_".join(parts[:count]) for count in (1, 2) if count < len(parts))]


def _level(images: Sequence[str], names: Mapping[str, int]) -> int:
    """Return what all of some names are of; 0 if they have nothing in common."""
    level = -1
    for image in images[:_LOOKED_AT]:
        level &= names.get(image, 0) | names.get(plain_id(image), 0)
    return level if images else 0


def _role(seen: Survey, path: str | None, names: Mapping[str, int], level: int = 0) -> Role | None:
    if path is None or not seen.tables[path].columns:
        return None
    table = seen.tables[path]
    column = _id_column(table, names, level) or table.columns[0]
    cells = list(dict.fromkeys(table.cells(column)))
    rows = None if any(cell in names for cell in cells[:_LOOKED_AT]) else _row_ids(cells, names)
    images = cells if rows is None else list(dict.fromkeys(_begin(cell, names) for cell in cells))
    return Role(table, column, rows, tuple(images))


def _id_column(table: Table, names: Mapping[str, int], level: int = 0) -> str:
    """Return the column whose cells name images best; empty if none does.

    Args:
        table: whose column is looked for.
        names: of images, and what they are of.
        level: what the names should be of, if that is known: columns with such names come first.
    """
    shares: dict[str, tuple[float, float]] = {}
    for column in table.columns:
        cells = table.cells(column)[:_LOOKED_AT]
        begins = [begin for cell in cells if (begin := _begin(cell, names))]
        fitting = sum(bool((names.get(name, 0) | names.get(plain_id(name), 0)) & level) for name in begins)
        shares[column] = (fitting / max(1, len(cells)), len(begins) / max(1, len(cells)))
    best = max(shares, key=lambda name: shares[name], default="")
    if best and shares[best][1] > 0.2:
        return best
    return next((name for name in table.columns if name.lower() in ("id", "image_id", "imageid")), "")


def _begin(cell: str, names: Mapping[str, int]) -> str:
    """Return the image that a cell names, with or without a class behind it; empty if it names none."""
    if cell in names or plain_id(cell) in names:
        return cell
    for place in range(len(cell) - 1, 0, -1):
        if cell[place] in "_-/" and (cell[:place] in names or plain_id(cell[:place]) in names):
            return cell[:place]
    return ""


def _row_ids(cells: list[str], names: Mapping[str, int]) -> RowIds | None:
    """Return how ids of rows are made, None if they are no image and class."""
    ends = dict.fromkeys(
        cell[len(begin) :] for cell in cells[:_LOOKED_AT] if (begin := _begin(cell, names)) and begin != cell
    )
    # "__Dry_Total_g" and "__GDM_g" have "__" in front of the classes.
    begins = [re.match(r"[_\-/]+", end) for end in ends]
    between = min((begin[0] for begin in begins if begin), key=len, default="")
    if not all(end.startswith(between) for end in ends):
        return None
    if not between or len(ends) > MOST_CLASSES or len(ends) < 2:
        return None
    return RowIds(between, tuple(end[len(between) :] for end in ends))
