"""Read truth of several classes, and values, from tables and mask images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kit.competitions import mask_text
from kit.competitions.cells_format import CLASS
from kit.competitions.definition import Definition
from kit.competitions.path_pattern import plain_id
from kit.competitions.row_forms import RowIds
from kit.competitions.tables import Row
from kit.errors import KitError
from kit.local.competitions import mask_images, mask_values
from kit.local.competitions.true_values import TrueValues
from kit.local.competitions.truth_readers import (
    ImageTruth,
    Region,
    TruthEntry,
    TruthReader,
    file_at,
    rows_of,
)
from kit.masks import rle
from kit.predictions import Values


class TableReader(TruthReader):
    """A table whose rows are of an image, of a class of an image, or of an object.

    Args:
        definition: of the competition.
    """

    twice = "keep one of the two rows; they say different things"

    def __init__(self, definition: Definition) -> None:
        super().__init__(definition.truth, definition.kind)
        self.definition = definition
        names = definition.targets if definition.kind == "values" else definition.classes
        self.labels = definition.truth.labels or names
        self.ids = RowIds(definition.truth, self.labels)

    def columns(self, pattern: str) -> list[str]:
        """Return the columns that a pattern with {class} means, or the one that it names."""
        return list(dict.fromkeys(pattern.replace(CLASS, label) for label in self.labels or ("",)))

    def together(self, path: Path, cells: list[str]) -> Iterator[TruthEntry]:
        """Yield an entry for each image, with number of class and row of each of its rows as the value."""
        truth = self.truth
        wanted = [*([truth.class_column] if truth.class_column else []), *cells]
        found: dict[str, TruthEntry] = {}
        seen: dict[tuple[str, int | None], list[str]] = {}
        for row in rows_of(path, truth, wanted):
            try:
                image, number = self.ids.split(row.cells)
            except KitError as error:
                raise KitError(error.problem, where=row.where, fix=error.fix) from error
            if not self.united:
                texts = [row.cells[name] for name in cells]
                if (before := seen.setdefault((plain_id(image), number), texts)) is not texts:
                    name = self.ids.name(image, number)
                    if before != texts:
                        raise KitError(f"{name} is there twice", where=row.where, fix=self.twice)
                    self.remarks.note("rows repeat another one and are taken once", f"{row.where}")
                    continue
            entry = found.setdefault(plain_id(image), TruthEntry(image, row.where, []))
            entry.value.append((number, row))
        yield from found.values()


class ClassTextTruth(TableReader):
    """Masks in a table: in a row or a column for each class, or in a row for each object."""

    def entries(self, data: Path, place: str) -> Iterator[TruthEntry]:
        """Yield an entry for each image that has a row."""
        yield from self.together(file_at(data, place), self.columns(self.truth.mask))

    def regions(self, entry: TruthEntry, height: int, width: int) -> list[Region]:
        """Return one region per cell; an empty cell has none."""
        found = []
        for number, row in entry.value:
            for place, column in enumerate(self.columns(self.truth.mask)):
                runs = mask_text.read(row.cells[column], self.truth, height, width, where=row.where)
                if len(runs):
                    found.append(Region(runs, label=place if number is None else number))
        return found


class ClassImageTruth(ImageTruth):
    """One mask image per image, whose values are classes: 1 the first, 2 the second, or as `labels` says.

    Args:
        definition: of the competition.
    """

    def __init__(self, definition: Definition) -> None:
        super().__init__(definition.truth, definition.kind)
        self.classes = definition.classes
        numbers = definition.truth.labels or [str(number + 1) for number in range(len(self.classes))]
        try:
            self.numbers = {int(text): place for place, text in enumerate(numbers)}
        except ValueError as error:
            raise KitError(
                f"truth.labels is {list(numbers)}, but the values of mask images are numbers",
                fix="write the value of each class, such as labels = ['1', '2']",
            ) from error

    def regions(self, entry: TruthEntry, height: int, width: int) -> list[Region]:
        """Return a region for each class that has pixels."""
        image = mask_images.read(entry.value, height, width, self.remarks)
        # As numbers of instances: greys and colours are no values of classes either.
        label_HW = mask_values.labels(image, "instance", self.remarks)
        found = []
        for value in np.unique(label_HW).tolist():
            if value in self.numbers:
                found.append(Region(rle.encode(label_HW == value), label=self.numbers[value]))
            elif value:
                known = ", ".join(
                    f"{number}: {self.classes[place]}" for number, place in self.numbers.items()
                )
                raise KitError(
                    f"mask image holds the value {value}, which is no class",
                    where=entry.where,
                    fix=f"the values are {known}, and 0 where there is none; truth.labels can name others",
                )
        return found


class TableTruth(TableReader):
    """Values in a table: in a row or a column for each target, or words in one column."""

    def entries(self, data: Path, place: str) -> Iterator[TruthEntry]:
        """Yield an entry for each image."""
        cells = [*self.columns(self.truth.value), *self.definition.metric.columns]
        yield from self.together(file_at(data, place), list(dict.fromkeys(cells)))

    def regions(self, entry: TruthEntry, height: int, width: int) -> list[Region]:
        """Return nothing: values have no pixels."""
        del entry, height, width
        return []

    def values(self, entry: TruthEntry) -> Values:
        """Return the values of an image.

        Raises:
            KitError: one is missing, or is no number or no class.
        """
        found = self._found(entry)
        if not (columns := self.definition.metric.columns):
            return Values(found)
        more: dict[str, dict[str, str]] = {}
        for number, row in entry.value:
            told = {column: row.cells[column] for column in columns}
            for name in self.definition.targets if number is None else [self.definition.targets[number]]:
                more[name] = told
        return TrueValues(found, more)

    def _found(self, entry: TruthEntry) -> dict[str, float | str]:
        targets = self.definition.targets
        found: dict[str, float | str] = {}
        for number, row in entry.value:
            if number is None and CLASS not in self.truth.value and len(targets) > 1:
                return self._marked(row)
            for place, column in enumerate(self.columns(self.truth.value)):
                name = targets[place if number is None else number]
                found[name] = self._value(row, column)
        if missing := [name for name in targets if name not in found]:
            raise KitError(
                f"no row tells {missing[0]}", where=entry.where, fix="write it, or remove the image"
            )
        return {name: found[name] for name in targets}

    def _value(self, row: Row, column: str) -> float | str:
        text = row.cells[column].strip()
        if self.definition.words:
            return " ".join(self._named(row, column, self.definition.classes))
        try:
            number = float(text)
        except ValueError:
            number = np.nan
        if not np.isfinite(number):
            fix = "correct it; if the target holds words, name them: targets = ['...'] and classes = ['...']"
            raise KitError(f"{column} is {text[:40]!r}, no number", where=row.where, fix=fix)
        return float(number)

    def _marked(self, row: Row) -> dict[str, float | str]:
        """Return 1 for each target that a cell names, and 0 for the others."""
        # With the targets "cat", "dog" and "hen", the cell "dog" is {"cat": 0, "dog": 1, "hen": 0}.
        named = self._named(row, self.truth.value, self.labels)
        targets = self.definition.targets
        return {name: float(label in named) for name, label in zip(targets, self.labels, strict=True)}

    def _named(self, row: Row, column: str, known: tuple[str, ...]) -> list[str]:
        text = row.cells[column].strip()
        words = [text] if text in known else text.split()
        for word in words:
            if word not in known:
                named = ", ".join(known[:20])
                raise KitError(
                    f"{column} is {word[:40]!r}, no class", where=row.where, fix=f"classes are: {named}"
                )
        return words
