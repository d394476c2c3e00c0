"""Parquet files: tables that a competition gives, and submission.parquet.

pyarrow reads and writes them, or polars where pyarrow cannot be imported: Kaggle's images have both. pyarrow
imports numpy. So where the submission is such a file, its fallback is written a second later than a CSV's.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from kit.artefacts import open_to_read
from kit.competitions.definition import Definition
from kit.errors import KitError


def as_csv(path: Path) -> bytes:
    """Return a file as a CSV in UTF-8, with the names of its columns first, and nothing where no value is.

    Raises:
        KitError: it is missing or no Parquet file, or nothing here can read one.
    """
    try:
        with open_to_read(path) as stream:
            table = _read(io.BytesIO(stream.read()))
    except FileNotFoundError as error:
        raise KitError("file is missing", where=path, fix="check the folder and the file's name") from error
    except (OSError, ValueError, RuntimeError) as error:
        raise KitError(f"not a readable Parquet file: {error}", where=path, fix="write it again") from error
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    writer.writerows([_text(value) for value in row] for row in zip(*table.values(), strict=True))
    return text.getvalue().encode()


def encoded(text: str, definition: Definition) -> bytes:
    """Return a submission as the content of a Parquet file.

    Args:
        text: the submission as a CSV.
        definition: of the competition; tells which columns hold numbers.

    Raises:
        KitError: nothing here can write such a file.
    """
    rows = list(csv.reader(io.StringIO(text)))
    form = definition.submission
    kinds: dict[str, type] = {form.height: int, form.width: int}
    kinds |= dict.fromkeys(definition.numbers, float)
    columns = {
        name: [kinds.get(name, str)(row[place]) for row in rows[1:]] for place, name in enumerate(rows[0])
    }
    types = {name: kinds.get(name, str).__name__ for name in columns}
    target = io.BytesIO()
    _write(columns, types, target)
    return target.getvalue()


def _read(stream: io.BytesIO) -> dict[str, list[Any]]:
    arrow, polars = _libraries()
    if arrow is not None:
        read: dict[str, list[Any]] = arrow.read_table(stream).to_pydict()
        return read
    found: dict[str, list[Any]] = polars.read_parquet(stream).to_dict(as_series=False)
    return found


def _write(columns: Mapping[str, list[Any]], types: Mapping[str, str], target: io.BytesIO) -> None:
    arrow, polars = _libraries()
    if arrow is not None:
        library = import_module("pyarrow")
        known = {"int": library.int64(), "float": library.float64(), "str": library.string()}
        schema = library.schema([(name, known[types[name]]) for name in columns])
        arrow.write_table(library.table(dict(columns), schema=schema), target)
        return
    names = {"int": polars.Int64, "float": polars.Float64, "str": polars.String}
    polars.DataFrame(dict(columns), schema={name: names[types[name]] for name in columns}).write_parquet(
        target
    )


def _libraries() -> tuple[Any, Any]:
    """Return pyarrow's module for Parquet, or polars if that cannot be imported."""
    problems = []
    for number, name in enumerate(("pyarrow.parquet", "polars")):
        try:
            module = import_module(name)
        except Exception as error:  # noqa: BLE001 - a library that is broken on import is no library
            problems.append(f"{name}: {type(error).__name__}: {error}")
        else:
            return (None, module) if number else (module, None)
    raise KitError(
        f"Parquet needs pyarrow or polars, but neither can be imported ({'; '.join(problems)})",
        fix="install pyarrow",
    )


def _text(value: Any) -> str:
    if value is None or value != value:  # noqa: PLR0124 - NaN
        return ""
    return json.dumps(value) if isinstance(value, list | dict) else str(value)
