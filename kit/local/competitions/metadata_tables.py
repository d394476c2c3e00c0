"""The metadata tables as training needs them: groups for the folds, and a check of every row."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from kit.competitions.definition import Split
from kit.competitions.metadata import MetadataReader, Table, micrometres, table_key
from kit.competitions.report import Report
from kit.errors import KitError

_LISTED = 3
"""Ids named in one message."""
Size = tuple[int, int]


def group_of(reader: MetadataReader, data: Path, image_id: str) -> str:
    """Return the group of a training image; its id where the definition names no column.

    Raises:
        KitError: the table is missing or has no row or group for it.
    """
    column = reader.metadata.columns.group
    if not column:
        return image_id
    path, table = reader.path(data, "train"), reader.table(data, "train")
    if table_key(image_id) not in table:
        raise KitError(f"image {image_id} has no row", where=path, fix="download the table again")
    if not (group := table[table_key(image_id)][column].strip()):
        raise KitError(f"image {image_id} has no {column}", where=path, fix="fill it in for every image")
    return group


def check(
    report: Report, reader: MetadataReader, data: Path, split: Split, sizes: Mapping[str, Size]
) -> None:
    """Check the rows of some images.

    Args:
        report: gets an error for what makes folds impossible, an alarm for what stays unknown without it.
        reader: of the competition.
        data: the competition's folder.
        split: whose table.
        sizes: id -> height and width in the image's header.
    """
    names, path = reader.metadata.columns, reader.path(data, split)
    grouped = split == "train" and bool(names.group)
    needed = grouped or any((names.organ, names.source, names.pixel_size))
    # Without groups the tiles of one slide might be on both sides of a fold, and every score of the training
    # would be too good: an error. Without an organ or pixel size the networks still run: an alarm.
    level: Literal["error", "alarm"] = "error" if grouped else "alarm"
    fix = (
        "folds need it"
        if grouped
        else "without it, networks run with their default settings for pixel size and organ"
    )
    try:
        table = reader.table(data, split)
    except KitError as error:
        if needed or path.is_file():
            report.add(level, error.problem, error.where or str(path), error.fix or fix)
        return
    if not table:
        return
    missing = [image_id for image_id in sizes if table_key(image_id) not in table]
    if missing and needed:
        report.add(level, f"{_have(missing)} no row", str(path), fix)
    rows = {key: table[table_key(key)] for key in sizes if table_key(key) in table}
    if grouped and (ungrouped := [key for key, cells in rows.items() if not cells[names.group].strip()]):
        report.error(f"{_have(ungrouped)} no {names.group}", str(path), fix)
    if names.pixel_size:
        _check_pixel_sizes(report, reader, path, rows)
    if names.height and names.width:
        _check_sizes(report, path, rows, (names.height, names.width), sizes)


def _check_pixel_sizes(report: Report, reader: MetadataReader, path: Path, rows: Table) -> None:
    column = reader.metadata.columns.pixel_size
    unclear = [image_id for image_id, cells in rows.items() if micrometres(cells[column]) is None]
    if unclear:
        known = reader.info_of(rows[unclear[0]]).pixel_size
        shown = rows[unclear[0]][column][:20]
        text = f"{_have(unclear)} no {column} (the first says {shown!r})"
        used = f"{known:g} um is taken for the first" if known else "their pixel size is not known"
        report.alarm(text, str(path), used)


def _check_sizes(
    report: Report, path: Path, rows: Table, columns: tuple[str, str], sizes: Mapping[str, Size]
) -> None:
    told = {key: tuple(cells[column].strip() for column in columns) for key, cells in rows.items()}
    other = [key for key, size in told.items() if not _is_size(size, sizes[key])]
    if other:
        (height, width), header = told[other[0]], sizes[other[0]]
        text = f"{_have(other)} another size in the table ({other[0]}: {height} x {width})"
        report.alarm(text, str(path), f"that of the image's header is taken: {header[0]} x {header[1]}")


def _is_size(cells: tuple[str, ...], size: Size) -> bool:
    """Return whether two cells say this size; "512.0", as spreadsheets write it, means 512."""
    try:
        return tuple(float(text) for text in cells) == size
    except ValueError:
        return False


def _have(ids: list[str]) -> str:
    """Return "image a has", or "5 images have (a, b, c and 2 more)"."""
    if len(ids) == 1:
        return f"image {ids[0]} has"
    more = f" and {len(ids) - _LISTED} more" if len(ids) > _LISTED else ""
    return f"{len(ids)} images have ({', '.join(ids[:_LISTED])}{more})"
