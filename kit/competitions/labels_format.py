"""The table `[truth]` of a definition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kit.competitions.cells_format import Cells


@dataclass(frozen=True, kw_only=True)
class Truth(Cells):
    """Where the truth is, and which parts of it are scored.

    Attributes:
        form: "text": a CSV with masks in its cells (`encoding`, `order` ... say how they are written);
            "images": one mask image per image, its values are labels;
            "polygons": JSON lines, or one JSON file per image;
            "coco": one COCO instances file; the paths in `Images` tell the ids from its file names;
            "table": a table with values in its cells, for the kind "values";
            "boxes": a table with boxes in its cells.
        file: path below the competition's folder; with `{id}` where each image has its own file.
        solution: the same for the held-out images, if you have their truth; Kaggle does not publish it.
        rows: for "text": whether a row holds an "image" (the default for masks of whole images) or an
            "object" (the default for instances); the objects of an image are united to its mask.
        unlisted: what an image without any row is, for "text" and "boxes": "unused", or "empty", an image
            without masks.
        box: for "boxes": the words of a box, as in `Submission.instance`, in the column `mask`.
        columns: those of the words of `box`, where each has one of its own.
        scored: types of polygons, or COCO categories, that count; empty means all.
        ignored: types inside which detections are neither right nor wrong; for instances only.
    """

    form: Literal["text", "images", "polygons", "coco", "table", "boxes"]
    file: str
    solution: str = ""
    rows: Literal["", "image", "object"] = ""
    unlisted: Literal["unused", "empty"] = "unused"
    box: str = ""
    columns: tuple[str, ...] = ()
    scored: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
