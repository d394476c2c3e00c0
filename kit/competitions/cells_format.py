"""How the cells of a table are written: masks as text, and the ids, classes and values beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

CLASS = "{class}"
"""Stands for a class in a column's name or in the id of a row."""


@dataclass(frozen=True, kw_only=True)
class MaskText:
    """How a mask is written in a cell of a table.

    Attributes:
        encoding: "pairs" (start and length of each run, separated by blanks) or "coco" (base64 of zlib of
            COCO's compressed counts).
        order: how "pairs" number the pixels: down the "columns" or along the "rows".
        first: number of the first pixel, 0 or 1.
        empty: text for an image without masks; readers understand an empty cell in any case.
    """

    # With the defaults, the cell "2 3 9 1" (3 pixels from number 2 on, 1 from 9 on) in an image of 4 rows and
    # 3 columns is:
    #
    #     numbers   1 5  9      mask   . . x
    #               2 6 10             x . .
    #               3 7 11             x . .
    #               4 8 12             x . .
    encoding: Literal["pairs", "coco"] = "pairs"
    order: Literal["columns", "rows"] = "columns"
    first: int = 1
    empty: str = ""


@dataclass(frozen=True, kw_only=True)
class Cells(MaskText):
    """Columns of a table; it has a row for each image, for each class of an image, or for each object.

    Attributes:
        id: column of the ids.
        row_id: what that column holds: "{id}", or both id and class, as in "{id}_{class}".
        class_column: column of the class, where it has one of its own.
        mask: column of the masks; with "{class}" in it, there is one for each class.
        value: column of the values; with "{class}" in it, there is one for each target.
        labels: how the classes (or targets) are called in the table, in their order; empty: by their names.
    """

    # With the classes "gas" and "dust", and labels = ["1", "2"]:
    #
    #     row_id = "{id}_{class}"          class_column = "kind"           mask = "mask_{class}"
    #
    #     id,mask                          id,kind,mask                    id,mask_1,mask_2
    #     a_1,...                          a,1,...                         a,...,...
    #     a_2,...                          a,2,...
    id: str = "id"
    row_id: str = "{id}"
    class_column: str = ""
    mask: str = ""
    value: str = CLASS
    labels: tuple[str, ...] = ()

    @property
    def class_in_row(self) -> bool:
        """Whether a row is of one class."""
        return bool(self.class_column) or CLASS in self.row_id
