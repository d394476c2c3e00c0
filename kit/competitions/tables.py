"""Read the tables of competitions, CSV or Parquet; every error names the line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kit.competitions.listing import open_table
from kit.competitions.path_pattern import is_file
from kit.errors import KitError

_FIELD_LIMIT = 2**31 - 1
"""Bytes of one cell. A slide's run lengths take many MB, csv allows 128 KiB by default."""


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        path: the file.
        line: number of the line on which the row ends, from 1.
        cells: column -> text.
        key: column of the ids.
    """

    path: Path
    line: int
    cells: dict[str, str]
    key: str = "id"

    @property
    def id(self) -> str:
        """Return the id, without blanks around it."""
        return self.cells[self.key].strip()

    @property
    def where(self) -> str:
        """Return file, line and id, for messages."""
        return f"{self.path}:{self.line}" + (f" (id {self.id})" if self.key in self.cells else "")


def read_table(path: Path, columns: Sequence[str], *, more: bool = False, key: str = "id") -> list[Row]:
    """Return all rows of a table.

    Args:
        path: the file: Parquet, or CSV in UTF-8 with or without a byte order mark.
        columns: the columns it must have, in any order.
        more: whether it may have other columns too.
        key: column of the ids.

    Raises:
        KitError: the file is missing, empty or no CSV; its columns are others; it has no rows; or a row has
            another number of fields than the header (names the line).
    """
    rows = list(_rows(path, columns, more=more, key=key))
    if not rows:
        raise KitError("table has a header but no rows", where=path, fix="write one row for every image")
    return rows


def header_of(path: Path) -> list[str]:
    """Return the columns in a table's first line; empty if the file is missing or not readable."""
    if not is_file(path):  # opening a pipe would wait for its writer
        return []
    try:
        with io.TextIOWrapper(open_table(path), encoding="utf-8-sig", newline="") as stream:
            # Only the first 64 KiB: the file may be anything, even gigabytes without a line end.
            return next(csv.reader([stream.readline(1 << 16)]), [])
    except (OSError, ValueError, csv.Error, KitError):
        return []


def _rows(path: Path, columns: Sequence[str], *, more: bool, key: str) -> Iterator[Row]:
    expected = f"the first line has to {'name' if more else 'be'}: {','.join(columns)}"
    # This limit holds for the whole process, so it is only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), _FIELD_LIMIT))
    try:
        with io.TextIOWrapper(open_table(path), encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            header = next(reader, None)
            if not header:
                raise KitError("file is empty", where=path, fix=expected)
            fits = set(columns) <= set(header) if more else sorted(columns) == sorted(header)
            if twice := [column for column in header if header.count(column) > 1]:
                raise KitError(f"column {twice[0]!r} is there twice", where=path, fix=expected)
            if not fits:
                raise KitError(f"columns are {','.join(header)[:120]!r}", where=path, fix=expected)
            for fields in reader:
                if not fields:
                    continue
                if len(fields) != len(header):
                    raise KitError(
                        f"the header has {len(header)} fields, this row {len(fields)}",
                        where=f"{path}:{reader.line_num}",
                        fix="the file may be cut short, or a field with a comma is not quoted",
                    )
                if any("\0" in field for field in fields):
                    raise KitError(
                        "row holds a zero byte",
                        where=f"{path}:{reader.line_num}",
                        fix="the file is damaged or no text; copy it again",
                    )
                yield Row(path, reader.line_num, dict(zip(header, fields, strict=True)), key)
    except FileNotFoundError as error:
        raise KitError("file is missing", where=path, fix="check the folder and the file's name") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise KitError(
            f"not a readable CSV file: {error}", where=path, fix="write it again as UTF-8 CSV"
        ) from error
