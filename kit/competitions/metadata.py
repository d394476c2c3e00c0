"""Pixel size, organ and source of images, from the tables of the competition."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath

from kit.artefacts import read_text
from kit.competitions.definition import Split
from kit.competitions.metadata_format import Metadata
from kit.competitions.path_pattern import plain_id
from kit.competitions.tables import read_table
from kit.errors import KitError
from kit.images.info import ImageInfo

_JSON = 'write [{"id": ..., ...}, ...] or {"<id>": {...}, ...}'
Table = Mapping[str, Mapping[str, str]]


class MetadataReader:
    """Reads the metadata tables of a competition; a table that has changed is read again.

    Args:
        metadata: which tables and columns there are, from the definition.
    """

    def __init__(self, metadata: Metadata) -> None:
        self.metadata = metadata
        names = metadata.columns
        # Two keys may name one column, as `source` and `group` do where a slide is both.
        given = (names.organ, names.source, names.pixel_size, names.group, names.height, names.width)
        self.columns = tuple(dict.fromkeys(name for name in given if name))

    def info(self, data: Path, image_id: str, split: Split) -> ImageInfo:
        """Return what is known of an image; values that cannot be read are left out."""
        try:
            cells = self.table(data, split).get(table_key(image_id), {})
        except KitError:
            cells = {}  # the check of the folder reports this; a run goes on without
        return self.info_of(cells)

    def table(self, data: Path, split: Split) -> Table:
        """Return the rows of a part's table by `table_key`; empty if the definition names no table.

        Raises:
            KitError: the file is missing or not readable, or has no such column.
        """
        path = self.path(data, split)
        if path == data or not self.columns:
            return {}
        stamp = path.stat().st_mtime_ns if path.is_file() else 0
        return _read(path, self.metadata.id, self.columns, stamp)

    def info_of(self, cells: Mapping[str, str]) -> ImageInfo:
        """Return what a row of a table tells of its image; the definition's values fill the gaps."""
        meta, names = self.metadata, self.metadata.columns
        organ = cells.get(names.organ, "").strip() or meta.organ
        source = cells.get(names.source, "").strip() or meta.source
        # The first that is known counts: the cell, "HPA/lung", "lung", the value for all images.
        sizes = (
            micrometres(cells.get(names.pixel_size, "")),
            meta.pixel_sizes.get(f"{source}/{organ}"),
            meta.pixel_sizes.get(organ),
            meta.pixel_size,
        )
        return ImageInfo(next((size for size in sizes if size is not None), None), organ, source)

    def path(self, data: Path, split: Split) -> Path:
        """Return where a part's table lies; the folder itself where the definition names none."""
        return data / (self.metadata.train if split == "train" else self.metadata.test)


@lru_cache(maxsize=8)
def _read(path: Path, key: str, columns: tuple[str, ...], stamp: int) -> Table:
    """Return rows by id with the given columns; a new `stamp` (time of change) misses the cache."""
    # `info` asks once per image: without the cache 1633 tiles would read their table 1633 times.
    del stamp
    if path.suffix == ".json":
        rows = list(_json_rows(path, key, columns))
    else:
        rows = [(row.id, row.cells) for row in read_table(path, (key, *columns), more=True, key=key)]
    table: dict[str, Mapping[str, str]] = {}
    for image_id, cells in rows:
        if not image_id:
            continue  # a row that a spreadsheet left below the table
        image = table_key(image_id)
        row = {column: cells[column] for column in columns}
        # A table with a row for each object says the same of an image several times.
        if table.setdefault(image, row) != row:
            differs = next(column for column in columns if table[image][column] != row[column])
            raise KitError(
                f"id {image} is there twice, with {differs} {table[image][differs]!r} and {row[differs]!r}",
                where=path,
                fix="make the rows of an image equal in this column",
            )
    return table


def table_key(image_id: str) -> str:
    """Return the id under which a table holds an image: "aa" of "aa.tiff" and "test/aa.tiff"."""
    plain = plain_id(image_id)
    return image_id if plain == image_id else PurePosixPath(plain).name


def _json_rows(path: Path, key: str, columns: tuple[str, ...]) -> Iterable[tuple[str, dict[str, str]]]:
    try:
        value = json.loads(read_text(path, "utf-8-sig"))
        # {"7": {"stain": "HE"}} becomes [{"stain": "HE", "id": "7"}]; a list of rows stays as it is.
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


def micrometres(text: str) -> float | None:
    """Return a pixel size written in a table, None if the text is no number above 0."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < math.inf else None  # False for NaN, too
