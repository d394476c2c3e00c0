"""Read the ids and sizes in sample_submission.csv, however it was saved; standard library only.

predict.py must not stop at a file that a spreadsheet wrote: UTF-16, semicolons, other cases of column names.
`tables` reads submissions, and is as strict as Kaggle.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from kit.artefacts import open_to_read
from kit.competitions.path_pattern import is_file
from kit.competitions.submission_format import Submission
from kit.errors import KitError
from kit.optional import optional_module

Size = tuple[int, int]
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_DELIMITERS = ",;\t|"
_LARGEST = 999_999_999
"""Pixels of a side: as many as a row of a submission can tell."""


@dataclass
class Listing:
    """The images to predict, as far as tables tell.

    Attributes:
        ids: in the order of the file, each once.
        sizes: id -> (height, width), for ids whose size a table tells.
        repeated: ids that are listed more than once.
        notes: one sentence for each thing that is not as it should be.
        rows: all rows with the columns of the definition, where an image has several rows, or values.
    """

    ids: list[str] = field(default_factory=list)
    sizes: dict[str, Size] = field(default_factory=dict)
    repeated: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    rows: list[dict[str, str]] = field(default_factory=list)


def read_listing(path: Path, form: Submission, columns: Sequence[str], *, rows: bool = False) -> Listing:
    """Return what a sample submission lists; it may have no rows.

    Args:
        path: the file.
        form: names the columns of ids and sizes.
        columns: the header it should have.
        rows: keep all rows.

    Raises:
        KitError: it cannot be read, or no column holds ids.
    """
    try:
        with open_table(path) as stream:
            text, coding = _decoded(stream.read())
        table = _rows(text, form.id)
        header = [_plain(cell) for cell in next(table, [])]
        if _plain(form.id) not in header:
            raise KitError(
                f"no column {form.id!r} in {','.join(header)[:120]!r}",
                where=path,
                fix="download it again, or correct submission.id in the definition",
            )
        found = Listing()
        seen: dict[str, int] = {}
        for cells in table:
            row = dict(zip(header, cells, strict=False))
            if (image := row.get(_plain(form.id), "").strip()) and "\0" not in image:
                seen[image] = seen.get(image, 0) + 1
                if rows:
                    found.rows.append({column: row.get(_plain(column), "") for column in columns})
                size = size_of(row.get(_plain(form.height)), row.get(_plain(form.width)))
                if form.height and size is not None:
                    found.sizes.setdefault(image, size)
    except (OSError, UnicodeError, csv.Error, MemoryError) as error:
        raise KitError(f"not a readable CSV file: {error}", where=path, fix="download it again") from error
    found.ids = list(seen)
    found.repeated = [image for image, count in seen.items() if count > 1]
    if coding not in ("utf-8", "utf-8-sig"):
        found.notes.append(f"{path.name} is not written as UTF-8; it was read as {coding}")
    if sorted(header) != sorted(map(_plain, columns)):
        found.notes.append(
            f"{path.name} has the columns {','.join(header)[:120]}, but {','.join(columns)} are written"
        )
    return found


def has_columns(path: Path, columns: Sequence[str]) -> bool:
    """Whether a table's first line names exactly these columns, in any order."""
    if not is_file(path):  # opening a pipe would wait for its writer
        return False
    try:
        with open_table(path) as stream:
            # Only the first 64 KiB: the file may be anything, even gigabytes without a line end.
            first, _ = _decoded(stream.readline(1 << 16), "ignore")
        wanted = sorted(map(_plain, columns))
        return any(sorted(_plain(cell) for cell in header) == wanted for header in _headers(first)[1])
    except (OSError, csv.Error, KitError):
        return False


def open_table(path: Path) -> BinaryIO:
    """Open a table as a CSV; a Parquet file becomes one.

    Raises:
        OSError: the file cannot be read.
        KitError: it is no Parquet file, or nothing here can read one.
    """
    if path.suffix == ".parquet":
        return io.BytesIO(optional_module(__package__, "parquet_tables").as_csv(path))
    return open_to_read(path)


def size_of(height: str | None, width: str | None) -> Size | None:
    """Return the size that two cells tell, None if they tell none: "256" and "320.0" are (256, 320)."""
    try:
        sides = float(height or ""), float(width or "")
    except ValueError:
        return None
    if not all(1 <= side <= _LARGEST and side.is_integer() for side in sides):
        return None
    return int(sides[0]), int(sides[1])


def _decoded(data: bytes, errors: str = "strict") -> tuple[str, str]:
    """Return a file's text and its encoding."""
    coding = next((name for mark, name in _MARKS if data.startswith(mark)), "")
    # Latin letters in UTF-16 without a mark: "id" is i 0 d 0, or 0 i 0 d.
    if not coding and 0 in data[:2]:
        coding = "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
    if coding:
        return data.decode(coding, errors), coding
    try:
        return data.decode(), "utf-8"
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace"), "cp1252"


def _headers(text: str) -> tuple[list[Iterator[list[str]]], list[list[str]]]:
    """Return a reader and the first row for each delimiter that there may be."""
    csv.field_size_limit(max(csv.field_size_limit(), 2**31 - 1))
    tables = [csv.reader(io.StringIO(text, newline=""), delimiter=mark) for mark in _DELIMITERS]
    return list(tables), [next(table, []) for table in tables]


def _rows(text: str, key: str) -> Iterator[list[str]]:
    """Yield the rows of a table, whose delimiter is the one with which the first line has the key."""
    tables, headers = _headers(text)
    fitting = [n for n, header in enumerate(headers) if _plain(key) in map(_plain, header)]
    best = fitting[0] if fitting else 0
    yield headers[best]
    yield from tables[best]


def _plain(name: str) -> str:
    return name.strip().casefold()
