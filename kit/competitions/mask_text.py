"""Masks as text in a table's cell, in the spellings of `MaskText`."""

from __future__ import annotations

from pathlib import Path

from kit.competitions.definition import MaskText
from kit.masks import coco, rle


def is_empty(text: str, form: MaskText) -> bool:
    """Whether a cell says that there is no mask."""
    return text.strip() in {"", form.empty.strip()}


def read(text: str, form: MaskText, height: int, width: int, *, where: str | Path) -> rle.Runs:
    """The runs of a cell.

    Args:
        text: of the cell.
        form: how it is written.
        height: rows of the image.
        width: columns of the image.
        where: file and row, for the error message.

    Raises:
        KitError: it is written otherwise, or not for an image of this size.
    """
    if is_empty(text, form):
        return rle.empty()
    if form.encoding == "coco":
        return coco.runs_of(coco.unpack(text.strip(), where=where), height, width, where=where)
    by_rows = form.order == "rows"
    return rle.from_kaggle(text, height, width, where=where, first=form.first, by_rows=by_rows)


def write(runs: rle.Runs, form: MaskText, height: int, width: int) -> str:
    """The cell of some runs; the way back from `read`."""
    if len(runs) == 0:
        return form.empty
    if form.encoding == "coco":
        return coco.pack(coco.from_runs(runs, height, width))
    counted = rle.transposed(runs, height, width) if form.order == "rows" else runs
    return rle.to_kaggle(counted, first=form.first)
