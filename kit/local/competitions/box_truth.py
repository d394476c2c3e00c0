"""Read boxes from a table: each an instance, whose pixels are those inside."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kit.competitions.definition import Definition
from kit.competitions.path_pattern import plain_id
from kit.competitions.row_forms import RowIds
from kit.competitions.rules import placeholders
from kit.competitions.tables import Row
from kit.errors import KitError
from kit.local.competitions.class_truth import TableReader
from kit.local.competitions.truth_readers import Region, TruthEntry, file_at, rows_of
from kit.local.wording import counted
from kit.masks import rle

_KEYS = re.compile(r"""['"]\w+['"]\s*:""")
_BETWEEN = re.compile(r"[\s,;\[\](){}]+")


@dataclass(frozen=True)
class _Box:
    """A box as a table has it: edges in pixels, far ones exclusive."""

    x0: float
    y0: float
    x1: float
    y1: float
    label: int
    where: str


class BoxTruth(TableReader):
    """A table with a row for each box, or with all boxes of an image in a cell.

    With `box = "{xmin} {ymin} {width} {height}"` and `mask = "bbox"` the row

        b6ab77fd7,1024,1024,"[834.0, 222.0, 56.0, 36.0]"

    is an instance in the columns 834 to 889 and the rows 222 to 257.

    Args:
        definition: of the competition.
    """

    def __init__(self, definition: Definition) -> None:
        super().__init__(definition)
        truth = definition.truth
        self.words = placeholders(truth.box)
        self.cells = list(truth.columns or (truth.mask,))
        # A row without a box says that its image has none; its class may be one that nobody predicts.
        self.plain = RowIds(replace(truth, class_column=""), self.labels)

    def entries(self, data: Path, place: str) -> Iterator[TruthEntry]:
        """Yield an entry for each image that has a row, with its boxes as the value."""
        truth = self.truth
        wanted = [*([truth.class_column] if truth.class_column else []), *self.cells]
        found: dict[str, TruthEntry] = {}
        for row in rows_of(file_at(data, place), truth, wanted):
            groups = self._groups(row)
            try:
                image, number = (self.ids if groups else self.plain).split(row.cells)
            except KitError as error:
                raise KitError(error.problem, where=row.where, fix=error.fix) from error
            entry = found.setdefault(plain_id(image), TruthEntry(image, row.where, []))
            entry.value.extend(self._box(dict(group), number or 0, row) for group in groups)
        yield from found.values()

    def regions(self, entry: TruthEntry, height: int, width: int) -> list[Region]:
        """Return the pixels inside each box; edges are rounded to whole pixels and cut at the image's border.

        Raises:
            KitError: a box lies outside of the image.
        """
        found = []
        for box in entry.value:
            edges = [box.x0, box.y0, box.x1, box.y1]
            x0, y0, x1, y1 = (math.floor(edge + 0.5) for edge in edges)
            if any(edge != round(edge) for edge in edges):
                self.remarks.note("boxes end between two pixels and are rounded", box.where)
            if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height:
                raise KitError(
                    f"a box from {box.x0:g}, {box.y0:g} to {box.x1:g}, {box.y1:g} lies outside of its image, "
                    f"which has {height} x {width} pixels",
                    where=box.where,
                    fix="compare truth.box with the table: which numbers are a size, which the far corner",
                )
            if x0 < 0 or y0 < 0 or x1 > width or y1 > height:
                self.remarks.note("boxes leave their image and are cut off at its border", box.where)
            x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
            if x1 <= x0 or y1 <= y0:
                self.remarks.note("boxes cover no pixel of their image and are left out", box.where)
                continue
            starts = np.arange(x0, x1, dtype=np.int64) * height + y0
            runs = np.stack([starts, np.full_like(starts, y1 - y0)], axis=1)
            if y1 - y0 == height:  # neighbouring columns are one run
                runs = np.array([[x0 * height, (x1 - x0) * height]], np.int64)
            found.append(Region(runs.astype(rle.empty().dtype), label=box.label))
        return found

    def _groups(self, row: Row) -> list[list[tuple[str, str]]]:
        """Return word and text of each number of each box of a row."""
        texts = [row.cells[name].strip() for name in self.cells]
        if all(text in ("", self.truth.empty) for text in texts):
            return []
        # Cells may be lists, or dictionaries: "[{'x': 5, 'y': 7, 'width': 9, 'height': 4}]".
        plain = [_BETWEEN.split(_KEYS.sub(" ", text).strip(" \t[](){},;")) for text in texts]
        parts = [part for item in plain for part in item if part]
        count = len(self.words)
        if len(parts) % count or (self.truth.columns and len(parts) != count):
            raise KitError(
                f"{', '.join(self.cells)} holds {' '.join(texts)[:60]!r}, {counted(len(parts), 'word')}",
                where=row.where,
                fix=f"truth.box has {count} for each box: {self.truth.box}",
            )
        return [
            list(zip(self.words, parts[first : first + count], strict=True))
            for first in range(0, len(parts), count)
        ]

    def _box(self, words: dict[str, str], number: int, row: Row) -> _Box:
        edges = {word: self._number(word, text, row) for word, text in words.items() if word != "label"}
        x1 = edges["xmax"] if "xmax" in edges else edges["xmin"] + edges["width"]
        y1 = edges["ymax"] if "ymax" in edges else edges["ymin"] + edges["height"]
        if x1 < edges["xmin"] or y1 < edges["ymin"]:
            raise KitError(
                f"a box ends before it begins: {' '.join(words.values())}",
                where=row.where,
                fix=f"truth.box is {self.truth.box!r}; compare it with the table",
            )
        label = self.labels.index(self._known(words["label"], row)) if "label" in words else number
        return _Box(edges["xmin"], edges["ymin"], x1, y1, label, row.where)

    def _known(self, label: str, row: Row) -> str:
        if label not in self.labels:
            raise KitError(
                f"a box has the label {label[:40]!r}",
                where=row.where,
                fix=f"use one of: {', '.join(self.labels[:20])}",
            )
        return label

    def _number(self, word: str, text: str, row: Row) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise KitError(f"{word} of a box is {text[:40]!r}, no number", where=row.where, fix="correct it")
        return number
