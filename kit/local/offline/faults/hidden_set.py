"""Changes a mounted competition's test part, as a hidden test set may differ from what everybody sees."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from kit.artefacts import write_text
from kit.local.place_file import place_file

if TYPE_CHECKING:
    from kit.competitions.competition import Competition  # needs numpy, which `--help` does without


def change_hidden_set(folder: Path, competition: Competition, change: str) -> None:
    """Change the test part of a mounted folder; its files may be hard links, and are replaced, not rewritten.

    Args:
        folder: the mounted competition.
        competition: which one.
        change: "three times" (each image twice more, under new ids), "empty" (no image, no row) or "unlisted"
            (the first image once more without a row, the last one gone).
    """
    ids, sample = competition.test_ids(folder), folder / competition.format.submission.sample
    paths = {image: competition.image_path(folder, image, "test") for image in ids}
    if change == "empty":
        _write_rows(sample, _rows(sample)[:1])
        for path in paths.values():
            _remove(path)
        return
    if not ids:
        return
    if change == "unlisted":
        _copy(paths[ids[0]], _place(folder, competition, paths[ids[0]], ids[0], f"{ids[0]}9"))
        if len(ids) > 1:
            _remove(paths[ids[-1]])
        return
    for copy in ("1", "2"):
        new = {image: f"{image}{copy}" for image in ids}
        for image, path in paths.items():
            _copy(path, _place(folder, competition, path, image, new[image]))
        for table in sorted({sample, *folder.glob("*.csv")}):
            rows = _rows(table)
            if more := [[renamed, *row[1:]] for row in rows if row and (renamed := _renamed(row[0], new))]:
                _write_rows(table, rows + more)


def _renamed(cell: str, new: Mapping[str, str]) -> str | None:
    """Return the cell of a copy: for the new ids {"1015": "10151"}, "10151.tiff" of "1015.tiff"."""
    # A cell may be the id, the id with a suffix, or a longer id of a row: "1015_epidural".
    for image in sorted(new, key=len, reverse=True):
        if cell == image or (cell.startswith(image) and cell[len(image)] in "._-"):
            return new[image] + cell[len(image) :]
    return None


def _place(folder: Path, competition: Competition, path: Path, image: str, new: str) -> Path:
    """Return where the copy of an image lies."""
    if competition.format.images.special:  # an id may be made of several parts of the path
        place = competition.image_path(folder, new, "test")
        if "*" not in place.parts:  # every part is told by the id
            return place
    return path.with_name(path.name.replace(image, new))


def _copy(path: Path, target: Path) -> None:
    """Copy an image, or a folder of slices."""
    files = [path] if path.is_file() else sorted(path.rglob("*")) if path.is_dir() else []
    for file in files:
        if file.is_file():
            place = target / file.relative_to(path) if path.is_dir() else target
            place.parent.mkdir(parents=True, exist_ok=True)
            place_file(file, place)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _rows(table: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(table.read_text(encoding="utf-8-sig"))))


def _write_rows(table: Path, rows: list[list[str]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_text(table, text.getvalue())
