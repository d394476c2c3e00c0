"""Rows where an image has several, or values: ids in cells, fallback rows, the order of the sample.

Standard library only: the fallback is written from this before numpy is imported.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from kit.competitions.cells_format import CLASS, Cells
from kit.competitions.definition import Definition
from kit.competitions.folder_paths import ID
from kit.competitions.listing import Listing
from kit.errors import KitError

Key = tuple[str, str]
"""The cells that tell what a row is of: id and class. The class is "" where it has no column of its own."""


class RowIds:
    """Tells the image and the class of a row from its cells, and the other way round.

    Args:
        form: of the table.
        labels: how the classes are called in it.
    """

    # With row_id = "{id}_{class}" and the labels "any" and "epidural":
    #     the cell "ID_63eb_epidural"     is of the image "ID_63eb" and of class number 1
    def __init__(self, form: Cells, labels: Sequence[str]) -> None:
        self.form, self.labels = form, tuple(labels)
        self._numbers = {label: number for number, label in enumerate(self.labels)}
        # The shortest id that fits: with the classes "a" and "b_a", "x_b_a" is the image "x".
        words = "|".join(map(re.escape, self.labels))
        places = {"{id}": "(?P<id>.+?)", CLASS: f"(?P<class>{words})"}
        parts = re.split(r"(\{id\}|\{class\})", form.row_id)
        self._pattern = re.compile("".join(places.get(part) or re.escape(part) for part in parts), re.DOTALL)

    def split(self, cells: Mapping[str, str]) -> tuple[str, int | None]:
        """Return the image's id and the number of the class; None where a row is of all classes.

        Raises:
            KitError: the id is not as the definition says, or the class is unknown.
        """
        text = cells[self.form.id].strip()
        found = self._pattern.fullmatch(text)
        if not found:
            raise KitError(
                f"{self.form.id} is {text[:80]!r}, not {self.form.row_id}",
                fix=f"the classes are called {', '.join(self.labels[:20])}",
            )
        if self.form.class_column:
            label = cells[self.form.class_column].strip()
            if label not in self._numbers:
                raise KitError(
                    f"{self.form.class_column} is {label[:40]!r}",
                    fix=f"use one of: {', '.join(self.labels[:20])}",
                )
            return found["id"], self._numbers[label]
        return found["id"], self._numbers[found["class"]] if CLASS in self.form.row_id else None

    def cells(self, image_id: str, number: int) -> dict[str, str]:
        """Return the cells that tell an image and the class of this number."""
        text = self.form.row_id.replace(CLASS, self.labels[number]).replace(ID, image_id)
        told = {self.form.id: text}
        return {**told, self.form.class_column: self.labels[number]} if self.form.class_column else told

    def name(self, image_id: str, number: int | None) -> str:
        """Return what messages call the row of an image, or that of a class of an image."""
        if number is None or not self.form.class_in_row:
            return image_id
        return ", class ".join(self.cells(image_id, number).values())

    def key(self, cells: Mapping[str, str]) -> Key:
        """Return what tells a row from others."""
        column = self.form.class_column
        return cells[self.form.id].strip(), cells[column].strip() if column else ""


def row_ids(definition: Definition) -> RowIds:
    """Return how the rows of a competition's submission tell images and classes."""
    return RowIds(definition.submission, definition.labels)


def rows(
    definition: Definition, image_id: str, size: tuple[int, int], texts: Sequence[str]
) -> list[dict[str, str]]:
    """Return the rows of an image in which each class (or target) has a cell.

    Args:
        definition: of the competition.
        image_id: of the image.
        size: its height and width.
        texts: the cells, one for each class in the definition's order.
    """
    form, ids = definition.submission, row_ids(definition)
    sides = {form.height: str(size[0]), form.width: str(size[1])}
    if form.class_in_row:
        made = [
            {**ids.cells(image_id, n), **sides, definition.cells[0]: text} for n, text in enumerate(texts)
        ]
    else:
        made = [{**ids.cells(image_id, 0), **sides, **dict(zip(definition.cells, texts, strict=True))}]
    return [{column: row[column] for column in definition.columns} for row in made]


def nothing(
    definition: Definition, image_id: str, size: tuple[int, int], sample: Mapping[Key, Mapping[str, str]]
) -> list[dict[str, str]]:
    """Return the rows of an image of which nothing is known: without masks, or with the values of the sample.

    Args:
        definition: of the competition.
        image_id: of the image.
        size: its height and width.
        sample: the rows of the sample submission (`by_key`).
    """
    form = definition.submission
    ids = row_ids(definition)
    if (definition.kind == "instance" and not form.class_in_row) or form.rows == "object":
        row = {**ids.cells(image_id, 0), form.score: "0", form.mask: form.empty}
        row |= {form.height: str(size[0]), form.width: str(size[1])}
        return [{column: row[column] for column in definition.columns}]
    if definition.kind != "values":
        return rows(definition, image_id, size, [form.empty] * len(definition.labels))
    # A number or word that the organisers wrote is in the range of the others; 0 might not be.
    default = definition.classes[0] if definition.words else "0"
    made = rows(definition, image_id, size, [default] * len(definition.targets))
    for row in made:
        told = sample.get(ids.key(row), {})
        row |= {name: told[name] for name in definition.cells if _is_value(definition, told.get(name, ""))}
    return made


def _is_value(definition: Definition, text: str) -> bool:
    """Return whether a cell of the sample can stand in a submission."""
    if definition.words:
        return text.strip() in definition.classes
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def numbers(definition: Definition) -> set[str]:
    """Return the columns of the submission that hold numbers with a fraction."""
    values = definition.cells if definition.kind == "values" and not definition.words else ()
    return {definition.submission.score, *values} - {""}


def by_key(definition: Definition, listing: Listing) -> dict[Key, dict[str, str]]:
    """Return the rows of a sample submission by what they are of."""
    ids = row_ids(definition)
    return {ids.key(cells): cells for cells in listing.rows}


def take_images(definition: Definition, listing: Listing) -> None:
    """Replace the ids of rows in a listing by those of their images."""
    ids, strange = row_ids(definition), 0
    found: dict[str, None] = {}
    sizes: dict[str, tuple[int, int]] = {}
    for cells in listing.rows:
        try:
            image, _ = ids.split(cells)
        except KitError as error:
            strange += 1
            if strange == 1:
                listing.notes.append(f"a row of the sample submission is left out: {error.problem}")
            continue
        found[image] = None
        if (size := listing.sizes.get(cells[definition.submission.id].strip())) is not None:
            sizes[image] = size
    if strange > 1:
        listing.notes.append(f"{strange} rows of the sample submission are left out")
    listing.ids, listing.sizes = list(found), sizes
    if definition.submission.rows == "object" or definition.submission.class_column:
        listing.repeated = []  # an id has a row for each object or class


def ordered(
    definition: Definition, made: Sequence[dict[str, str]], sample: Mapping[Key, Mapping[str, str]]
) -> list[dict[str, str]]:
    """Return rows in the order of the sample submission; rows that it does not have come last."""
    if definition.submission.rows == "object":
        return list(made)
    ids = row_ids(definition)
    place = {key: number for number, key in enumerate(sample)}
    return sorted(made, key=lambda row: place.get(ids.key(row), len(place)))
