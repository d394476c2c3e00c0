"""Read and write masks as text in a table's cell, in the encodings of `MaskText`."""

from __future__ import annotations

from pathlib import Path

from kit.competitions.cells_format import MaskText
from kit.masks import coco, rle


def is_empty(text: str, form: MaskText) -> bool:
    """Return whether a cell means that there is no mask."""
    return text.strip() in {"", form.empty.strip()}


def read(text: str, form: MaskText, height: int, width: int, *, where: str | Path) -> rle.Runs:
    """Return the runs of a cell.

    Args:
        text: the cell.
        form: how masks are written.
        height: rows of the image.
        width: columns of the image.
        where: file and row, for the error message.

    Raises:
        KitError: the text is written in another way, or does not fit an image of this size.
    """
    if is_empty(text, form):
        return rle.empty()
    if form.encoding == "coco":
        return coco.runs_of(coco.unpack(text.strip(), where=where), height, width, where=where)
    by_rows = form.order == "rows"
    return rle.from_kaggle(text, height, width, where=where, first=form.first, by_rows=by_rows)


def write(runs: rle.Runs, form: MaskText, height: int, width: int) -> str:
    """Return the text of some runs, which `read` turns into the same runs again."""
    if len(runs) == 0:
        return form.empty
    if form.encoding == "coco":
        return coco.pack(coco.from_runs(runs, height, width))
    # Runs go down the columns; a text along the rows numbers the same pixels as in the transposed image.
    counted = rle.transposed(runs, height, width) if form.order == "rows" else runs
    return rle.to_kaggle(counted, first=form.first)
