"""What a downloaded folder holds: its image files by place, and its tables."""

from __future__ import annotations

import csv
import io
import os
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kit.artefacts import open_to_read
from kit.competitions.images_format import IMAGE_SUFFIXES
from kit.errors import KitError

_MOST_FILES = 2_000_000
_MOST_ROWS = 20_000
"""Rows of a table that are looked at."""
_CELL = 1 << 31
_DEEPEST_TABLE = 2
_PART = re.compile(r"(train|test)(ing)?([_-]?(images?|set|data))?", re.IGNORECASE)
_MASKS = ("mask", "label", "annotation", "segmentation", "ground_truth", "groundtruth")


@dataclass(frozen=True)
class Table:
    """The first rows of a table.

    Attributes:
        path: below the folder, with "/".
        columns: in the order of the file.
        rows: column -> cells, of at most some thousand rows.
    """

    path: str
    columns: tuple[str, ...]
    rows: dict[str, list[str]]

    def cells(self, column: str) -> list[str]:
        """Return the cells of a column that are not empty."""
        return [cell for cell in self.rows[column] if cell.strip()]


@dataclass(frozen=True)
class Files:
    """Image files that lie alike: of one depth, with one suffix, below one folder.

    Attributes:
        paths: below the competition's folder.
        suffix: as most of them spell it, e.g. ".png"; empty for names without one.
    """

    paths: tuple[str, ...]
    suffix: str

    @property
    def folders(self) -> set[str]:
        """Return the names of the folders on their paths, in small letters."""
        return {part.lower() for path in self.paths[:50] for part in path.split("/")[:-1]}

    def about(self, word: str) -> bool:
        """Return whether a folder's name has a word in it."""
        return any(word in folder for folder in self.folders)

    @property
    def masks(self) -> bool:
        """Return whether the folders are called like masks."""
        return _is_mask(self.paths[0].split("/")[:-1])


@dataclass(frozen=True)
class Survey:
    """What a folder holds.

    Attributes:
        folder: the competition's.
        files: groups of image files, the largest first.
        tables: CSV and Parquet files near the top, by path.
        others: other files near the top, below the folder.
        suffixes: suffix -> number of files that are neither images nor tables.
        unread: why tables could not be read; they may have nothing to do with the truth.
    """

    folder: Path
    files: list[Files]
    tables: dict[str, Table]
    others: list[str] = field(default_factory=list)
    suffixes: Counter[str] = field(default_factory=Counter)
    unread: list[KitError] = field(default_factory=list)


def survey(folder: Path) -> Survey:
    """Look through a folder.

    Raises:
        KitError: it is no folder, or holds far too many files.
    """
    if not folder.is_dir():
        raise KitError("this is no folder", where=folder, fix="name the folder of the unpacked competition")
    groups: dict[tuple[str, int, str, bool, str], list[str]] = defaultdict(list)
    tables: dict[str, Table] = {}
    others: list[str] = []
    suffixes: Counter[str] = Counter()
    unread: list[KitError] = []
    _require_whole(folder)
    count = 0
    for place, names, files in os.walk(folder):
        names[:] = sorted(name for name in names if not name.startswith((".", "__MACOSX")))
        for name in sorted(files):
            count += 1
            if count > _MOST_FILES:
                raise KitError(
                    f"the folder has more than {_MOST_FILES:,} files",
                    where=folder,
                    fix="name a folder deeper",
                )
            path = Path(place, name).relative_to(folder).as_posix()
            parts = path.split("/")
            suffix = Path(name).suffix.lower()
            if name.startswith("."):
                continue
            if suffix in IMAGE_SUFFIXES or (not suffix and len(parts) > 1 and _is_dicom(folder / path)):
                top = parts[0] if len(parts) > 1 else ""
                groups[top, len(parts), suffix, _is_mask(parts[:-1]), _split(parts[:-1])].append(path)
            elif suffix in (".csv", ".parquet") and len(parts) <= _DEEPEST_TABLE:
                try:
                    tables[path] = read(folder, path)
                except KitError as error:
                    unread.append(error)
            else:
                suffixes[suffix] += 1
                if len(parts) <= _DEEPEST_TABLE:
                    others.append(path)
    found = [Files(tuple(paths), _suffix_of(paths)) for paths in groups.values()]
    found.sort(key=lambda files: (-len(files.paths), files.paths[0]))
    return Survey(folder, found, tables, others, suffixes, unread)


def _require_whole(folder: Path) -> None:
    """Refuse a folder whose whole content lies in one below it: on Kaggle, paths begin there."""
    try:
        inside = [path for path in folder.iterdir() if not path.name.startswith((".", "__MACOSX"))]
    except OSError as error:
        raise KitError(f"folder cannot be read: {error}", where=folder, fix="check its rights") from error
    if len(inside) == 1 and inside[0].is_dir():
        raise KitError(
            f"all that is here lies in {inside[0].name}/", where=folder, fix=f"name that folder: {inside[0]}"
        )


def read(folder: Path, path: str) -> Table:
    """Read the first rows of a table.

    Raises:
        KitError: it cannot be read.
    """
    try:
        if path.endswith(".parquet"):
            return _parquet(folder, path)
        csv.field_size_limit(max(csv.field_size_limit(), _CELL - 1))
        with io.TextIOWrapper(open_to_read(folder / path), encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream)
            columns = tuple(next(reader, []))
            rows = [
                row for _, row in zip(range(_MOST_ROWS), reader, strict=False) if len(row) == len(columns)
            ]
    except (OSError, ValueError, csv.Error) as error:
        raise KitError(
            f"table cannot be read: {error}", where=folder / path, fix="save it as UTF-8 CSV"
        ) from error
    if len(columns) == 1 and (mark := next((mark for mark in ";\t|" if mark in columns[0]), "")):
        raise KitError(
            f"columns of the table are not divided by commas, but by {mark!r}",
            where=folder / path,
            fix="save it with commas",
        )
    return Table(path, columns, {name: [row[place] for row in rows] for place, name in enumerate(columns)})


def _parquet(folder: Path, path: str) -> Table:
    from pyarrow import parquet  # only some competitions have such tables

    batch = next(parquet.ParquetFile(folder / path).iter_batches(batch_size=_MOST_ROWS))
    cells = {
        name: ["" if value is None else str(value) for value in values]
        for name, values in batch.to_pydict().items()
    }
    return Table(path, tuple(batch.schema.names), cells)


def _is_mask(folders: Sequence[str]) -> bool:
    """Whether folders are called like masks."""
    return any(word in folder.lower() for folder in folders for word in _MASKS)


def _split(folders: Sequence[str]) -> str:
    """Return the folder that tells the part, such as the "train" of jpeg/train/a.jpg; empty if none does."""
    return next((name for name in folders if _PART.fullmatch(name)), "")


def _suffix_of(paths: Sequence[str]) -> str:
    return Counter(Path(path).suffix for path in paths).most_common(1)[0][0]


def _is_dicom(path: Path) -> bool:
    try:
        with open_to_read(path) as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False
