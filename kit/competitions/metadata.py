"""Pixel size, organ, source and group of images, from the tables competitions give."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Literal

from kit.competitions.base import Split
from kit.competitions.definition import SUFFIXES, Metadata
from kit.competitions.report import Report
from kit.competitions.tables import read_table
from kit.errors import KitError
from kit.images.info import ImageInfo

_LISTED = 3
"""Ids named in one message."""
_JSON = 'write [{"id": ..., ...}, ...] or {"<id>": {...}, ...}'
Table = Mapping[str, Mapping[str, str]]
Size = tuple[int, int]


class MetadataReader:
    """Reads what a definition says of metadata; tables are read again when they change.

    Args:
        metadata: of the definition.
    """

    def __init__(self, metadata: Metadata) -> None:
        self.metadata = metadata
        names = metadata.columns
        self.informs = any((names.organ, names.source, names.pixel_size))
        given = (names.organ, names.source, names.pixel_size, names.group, names.height, names.width)
        self.columns = tuple(dict.fromkeys(name for name in given if name))

    def info(self, data: Path, image_id: str, split: Split) -> ImageInfo:
        """What is known of an image; what cannot be read is left out."""
        try:
            cells = self.table(data, split).get(image_id, {})
        except KitError:
            cells = {}  # `check` has said so; a run goes on without
        return self._info(cells)

    def group(self, data: Path, image_id: str) -> str:
        """The group of a training image; its id where the definition names no column.

        Raises:
            KitError: the table is missing or has no row or group for it.
        """
        column = self.metadata.columns.group
        if not column:
            return image_id
        path, table = data / self.metadata.train, self.table(data, "train")
        if image_id not in table:
            raise KitError(f"image {image_id} has no row", where=path, fix="download the table again")
        if not (group := table[image_id][column].strip()):
            raise KitError(f"image {image_id} has no {column}", where=path, fix="fill it in for every image")
        return group

    def table(self, data: Path, split: Split) -> Table:
        """Rows by id, empty without a table.

        Raises:
            KitError: missing, not readable, or a column is missing.
        """
        name = self._name(split)
        if not name or not self.columns:
            return {}
        path = data / name
        stamp = path.stat().st_mtime_ns if path.is_file() else 0
        return _read(path, self.metadata.id, self.columns, stamp)

    def check(self, report: Report, data: Path, split: Split, sizes: Mapping[str, Size]) -> None:
        """Look at the rows of some images.

        Args:
            report: gets an error for what makes folds impossible, an alarm for what is not known then.
            data: the competition's folder.
            split: whose table.
            sizes: id -> height and width in the image's header.
        """
        names, path = self.metadata.columns, data / self._name(split)
        grouped = split == "train" and bool(names.group)
        needed = grouped or self.informs
        level: Literal["error", "alarm"] = "error" if grouped else "alarm"
        fix = (
            "folds need it" if grouped else "without it, settings for the usual pixel size and organ are used"
        )
        try:
            table = self.table(data, split)
        except KitError as error:
            if needed or path.is_file():
                report.add(level, error.problem, error.where or str(path), error.fix or fix)
            return
        if not table:
            return
        missing = [image_id for image_id in sizes if image_id not in table]
        if missing and needed:
            report.add(level, f"{_some(missing)} no row", str(path), fix)
        if grouped and (
            loose := [key for key in sizes if key in table and not table[key][names.group].strip()]
        ):
            report.error(f"{_some(loose)} no {names.group}", str(path), fix)
        rows = {image_id: table[image_id] for image_id in sizes if image_id in table}
        if names.pixel_size:
            self._check_pixel_sizes(report, path, rows)
        if names.height and names.width:
            _check_sizes(report, path, rows, (names.height, names.width), sizes)

    def _check_pixel_sizes(self, report: Report, path: Path, rows: Table) -> None:
        column = self.metadata.columns.pixel_size
        unclear = [image_id for image_id, cells in rows.items() if _micrometres(cells[column]) is None]
        if unclear:
            known = self._info(rows[unclear[0]]).pixel_size
            shown = rows[unclear[0]][column][:20]
            text = f"{_some(unclear)} no {column} (the first says {shown!r})"
            used = f"{known:g} um is taken for the first" if known else "their pixel size is not known"
            report.alarm(text, str(path), used)

    def _info(self, cells: Mapping[str, str]) -> ImageInfo:
        meta, names = self.metadata, self.metadata.columns
        organ = cells.get(names.organ, "").strip() or meta.organ
        source = cells.get(names.source, "").strip() or meta.source
        sizes = (
            _micrometres(cells.get(names.pixel_size, "")),
            meta.pixel_sizes.get(f"{source}/{organ}"),
            meta.pixel_sizes.get(organ),
            meta.pixel_size,
        )
        return ImageInfo(next((size for size in sizes if size is not None), None), organ, source)

    def _name(self, split: Split) -> str:
        return self.metadata.train if split == "train" else self.metadata.test


@lru_cache(maxsize=8)
def _read(path: Path, key: str, columns: tuple[str, ...], stamp: int) -> Table:
    """Rows by id, of each the given columns; `stamp`, the time of change, has a new file read anew."""
    del stamp
    if path.suffix == ".json":
        rows = list(_json_rows(path, key, columns))
    else:
        rows = [(row.id, row.cells) for row in read_table(path, (key, *columns), more=True, key=key)]
    table: dict[str, Mapping[str, str]] = {}
    for image_id, cells in rows:
        if not image_id:
            continue  # a row that a spreadsheet left below the table
        pure = PurePosixPath(image_id)
        image = pure.stem if pure.suffix.lower() in SUFFIXES else image_id
        if image in table:
            raise KitError(f"id {image} is there twice", where=path, fix="keep one of the two rows")
        table[image] = {column: cells[column] for column in columns}
    return table


def _json_rows(path: Path, key: str, columns: tuple[str, ...]) -> Iterable[tuple[str, dict[str, str]]]:
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
        items = [{**cells, key: name} for name, cells in value.items()] if isinstance(value, dict) else value
        for item in items:
            yield str(item[key]).strip(), {column: _cell(item[column]) for column in columns}
    except FileNotFoundError as error:
        raise KitError("file is missing", where=path, fix="check the folder and the file's name") from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise KitError(
            f"no table of images ({type(error).__name__}: {error})", where=path, fix=_JSON
        ) from error


def _cell(value: object) -> str:
    return "" if value is None else str(value)


def _micrometres(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < math.inf else None  # False for NaN, too


def _check_sizes(
    report: Report, path: Path, rows: Table, columns: tuple[str, str], sizes: Mapping[str, Size]
) -> None:
    told = {key: tuple(cells[column].strip() for column in columns) for key, cells in rows.items()}
    other = [key for key, size in told.items() if not _same(size, sizes[key])]
    if other:
        (height, width), header = told[other[0]], sizes[other[0]]
        text = f"{_some(other)} another size in the table ({other[0]}: {height} x {width})"
        report.alarm(text, str(path), f"that of the image's header is taken: {header[0]} x {header[1]}")


def _same(told: tuple[str, ...], size: Size) -> bool:
    try:
        return tuple(float(text) for text in told) == size
    except ValueError:
        return False


def _some(ids: list[str]) -> str:
    if len(ids) == 1:
        return f"image {ids[0]} has"
    more = f" and {len(ids) - _LISTED} more" if len(ids) > _LISTED else ""
    return f"{len(ids)} images have ({', '.join(ids[:_LISTED])}{more})"
