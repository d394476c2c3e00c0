"""Read a competition's TOML file; every error names the file, the line and the key."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kit.artefacts import read_text
from kit.competitions import rules
from kit.competitions.parsing import DOCUMENTATION, parse
from kit.competitions.presets import PRESETS
from kit.errors import KitError
from kit.typed_json import shown

_LIKE = "like"


def read(path: Path) -> dict[str, Any]:
    """Return the plain values of a competition's TOML file, completed by the competition that `like` names.

    A metric's Python file is read, too: its text becomes the value `metric.source`.

    Raises:
        KitError: the file is missing or no TOML, `like` names no known competition, or a key is missing,
            unknown or not possible.
    """
    try:
        text = read_text(path, "utf-8-sig")
        value = tomllib.loads(text)
    except FileNotFoundError as error:
        raise KitError("there is no such file", where=path, fix="check the path of the TOML file") from error
    except (OSError, ValueError, RecursionError) as error:  # ValueError: no UTF-8, no TOML, or endless digits
        found = re.search(r"at line (\d+)", str(error))
        where = f"{path}:{found[1]}" if found else path
        raise KitError(f"not a readable TOML file: {error}", where=where, fix=DOCUMENTATION) from error
    try:
        value = _completed(value, path)
        rules.check(parse(value, where=path), where=path)
    except KitError as error:
        raise _located(error, path, text) from error
    return value


def line_of(text: str, keys: Sequence[str]) -> int | None:
    """Return the line, from 1, on which a TOML text gives a key its value; None if it does not.

    Args:
        text: a whole TOML file.
        keys: names of tables and at last the key: ["metric", "iou"].
    """
    # tomllib tells no lines, but it reads the first lines of a file as well as all. In
    #
    #     1  [metric]            lines 1      {"metric": {}}
    #     2  name = "AP"         lines 1-2    {"metric": {"name": "AP"}}
    #     3  iou = [             lines 1-3    no TOML: the list has no end
    #     4    0.5]              lines 1-4    {"metric": {"name": "AP", "iou": [0.5]}}
    #
    # "iou" is there from line 4 on, and what ends there begins after line 2, the last that ends a value.
    lines = text.splitlines()
    before = 0
    for count in range(1, len(lines) + 1):
        try:
            value: Any = tomllib.loads("\n".join(lines[:count]))
        except (ValueError, RecursionError):
            continue
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is not None:
            blank = re.compile(r"\s*(#.*)?")
            return next(
                number for number in range(before + 1, count + 1) if not blank.fullmatch(lines[number - 1])
            )
        before = count
    return None


def _completed(value: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return values with those of the competition that `like` names, and with the text of a metric's file."""
    if _LIKE in value:
        like = value.pop(_LIKE)
        if not isinstance(like, str) or like not in PRESETS:
            raise KitError(
                f"{_LIKE} is {shown(like)}, which is no competition the kit knows",
                where=path,
                fix=f"use one of: {', '.join(sorted(PRESETS))}",
            )
        if "name" not in value:
            raise KitError("name is missing", where=path, fix=f"give it a name of its own, not {like!r}")
        value = _merged(PRESETS[like], value)
    metric = value.get("metric")
    if isinstance(metric, Mapping) and isinstance(file := metric.get("file"), str) and file:
        place = path.parent / file
        try:
            source = read_text(place, "utf-8-sig")
        except (OSError, ValueError) as error:
            why = "is not there" if isinstance(error, FileNotFoundError) else f"cannot be read: {error}"
            raise KitError(
                f"metric.file is {file!r}, but {place} {why}",
                where=path,
                fix="name a Python file, by its path from the TOML file's folder",
            ) from error
        value = {**value, "metric": {**metric, "source": source}}
    return value


def _located(error: KitError, path: Path, text: str) -> KitError:
    """Return an error with the line that it is about."""
    # Messages begin with the key: "truth.file is 7 ...", or with its name in the table that `where` tells:
    # "file is 7 ..." in "my.toml [truth]". A key that is missing, or stands in the competition that `like`
    # names, has no line: then the table's counts.
    table = re.search(r" \[([^\]]+)\]$", error.where or "")
    found = re.match(r"(?:unknown key )?([\w-]+(?:\.[^\s\[]+)?)", error.problem)
    inside, key = table[1].split(".") if table else [], found[1].split(".") if found else []
    for keys in ([*inside, *key], key, inside, key[:-1]):
        if keys and (line := line_of(text, keys)) is not None:
            where = f"{path}:{line}{f' [{table[1]}]' if table else ''}"
            return KitError(error.problem, where=where, fix=error.fix)
    return KitError(error.problem, where=error.where or path, fix=error.fix)


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with the values of `changes`, table by table."""
    # truth = {form = "text", file = "train.csv"} and the changes truth = {file = "own.csv"} give
    # {form = "text", file = "own.csv"}. Only tables are merged. A list is replaced: `marks = []` removes all
    # marks of the competition that `like` names.
    result = {**base}
    for key, value in changes.items():
        inner = base.get(key)
        both = isinstance(inner, Mapping) and isinstance(value, Mapping)
        result[key] = _merged(inner, value) if both else value  # type: ignore[arg-type]  # checked by `both`
    return result
