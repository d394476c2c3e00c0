"""The table `[truth]` of a definition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kit.competitions.cells_format import Cells
from kit.competitions.folder_paths import ID, require_below
from kit.errors import KitError


@dataclass(frozen=True, kw_only=True)
class Truth(Cells):
    """Where the truth is, and which parts of it are scored.

    Attributes:
        form: "text": a CSV with masks in its cells (`encoding`, `order` ... say how they are written);
            "images": one mask image per image, its values are labels;
            "polygons": JSON lines, or one JSON file per image;
            "coco": one COCO instances file; the paths in `Images` tell the ids from its file names;
            "table": a table with values in its cells, for the kind "values".
        file: path below the competition's folder; with `{id}` where each image has its own file.
        solution: the same for the held-out images, if you have their truth; Kaggle does not publish it.
        rows: for "text": whether a row holds an "image" (the default for masks of whole images) or an
            "object" (the default for instances); the objects of an image are united to its mask.
        unlisted: what an image without any row is, for "text": "unused", or "empty", an image without masks.
        scored: types of polygons, or COCO categories, that count; empty means all.
        ignored: types inside which detections are neither right nor wrong; for instances only.
    """

    form: Literal["text", "images", "polygons", "coco", "table"]
    file: str
    solution: str = ""
    rows: Literal["", "image", "object"] = ""
    unlisted: Literal["unused", "empty"] = "unused"
    scored: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.file:
            raise KitError("file is missing", fix="name the file with the truth, such as 'train.csv'")
        for key, path in (("file", self.file), ("solution", self.solution)):
            require_below(key, path)
            if self.form == "text" and ID in path:
                raise KitError(
                    f"{key} is {path!r}, but masks in text are in one table for all images",
                    fix="name the table without {id}, such as 'train.csv'",
                )
            if self.form == "coco" and ID in path:
                raise KitError(
                    f"{key} is {path!r}, but a COCO file holds all images",
                    fix="name the file without {id}, such as 'train/annotations.json'",
                )
            if path and self.form == "images" and "{" not in path:
                raise KitError(
                    f"{key} is {path!r}, but there is one mask image for each id",
                    fix="write a path with {id} for the image's id, such as 'train_masks/{id}.png'",
                )
        for key, column in (("id", self.id), ("mask", self.mask)):
            if self.form == "text" and not column:
                raise KitError(
                    f"{key} is missing", fix=f"name the column of {self.file} that holds the {key}s"
                )
        if (self.scored or self.ignored) and self.form not in ("polygons", "coco"):
            raise KitError(
                f"scored and ignored name types of polygons, but form is {self.form!r}",
                fix="remove both keys; if they come from `like`, write scored = [] and ignored = []",
            )
        if both := set(self.scored) & set(self.ignored):
            raise KitError(f"{min(both)!r} is both scored and ignored", fix="remove it from one of the two")
