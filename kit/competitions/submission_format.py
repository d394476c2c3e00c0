"""The table `[submission]` of a definition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kit.competitions.cells_format import CLASS, Cells

INSTANCE = "{label} {score} {mask}"
"""How an instance is written in a cell, by default."""


@dataclass(frozen=True, kw_only=True)
class Submission(Cells):
    """Columns of the submission.

    Attributes:
        rows: whether a row holds an "image" (or one of its classes), or an "object": one instance.
        height: column of the image's height; empty if there is none.
        width: column of the image's width; empty if there is none.
        label: the class label in front of every instance, where there is one class.
        score: column of an instance's score, with a row for each object; empty if there is none.
        instance: the words of an instance in a cell that holds all instances of an image: "{label}",
            "{score}" and "{mask}", or a box instead of the mask: "{xmin}", "{ymin}", and "{xmax}" and
            "{ymax}" or "{width}" and "{height}".
        overlap: whether instances of an image may share pixels; where not, the better one keeps them.
        file: name of the file.
        sample: table with the ids to predict, below the competition's folder.
    """

    rows: Literal["image", "object"] = "image"
    height: str = ""
    width: str = ""
    label: str = "0"
    score: str = ""
    instance: str = INSTANCE
    overlap: bool = True
    file: Literal["submission.csv", "submission.parquet"] = "submission.csv"
    sample: str = "sample_submission.csv"

    @property
    def plain(self) -> bool:
        """Whether each image has one row, with its mask or its instances written as usual."""
        unusual = self.class_in_row or CLASS in self.mask or self.rows != "image" or not self.overlap
        return not unusual and self.instance == INSTANCE

    def row(self, image_id: str, size: tuple[int, int], text: str) -> dict[str, str]:
        """Return a row by columns: id, mask as text, and the size if the competition asks for it.

        Args:
            image_id: of the image.
            size: its height and width.
            text: the mask; `empty` for an image without one.
        """
        cells = {self.id: image_id, self.height: str(size[0]), self.width: str(size[1]), self.mask: text}
        return {column: cell for column, cell in cells.items() if column}
