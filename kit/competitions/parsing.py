"""Make a `Definition` from TOML or plain values; every error names the key."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from kit.competitions.definition import Definition
from kit.competitions.presets import PRESETS
from kit.errors import KitError
from kit.typed_json import from_plain, shown

DOCUMENTATION = "docs/competitions.md shows complete files"
_LIKE = "like"


def read_toml(path: Path) -> dict[str, Any]:
    """Return the plain values of a competition's TOML file, completed by the competition that `like` names.

    Raises:
        KitError: the file is missing or no TOML, or `like` names no known competition.
    """
    try:
        value = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise KitError("there is no such file", where=path, fix="check the path of the TOML file") from error
    except (OSError, ValueError, RecursionError) as error:  # ValueError: no UTF-8, no TOML, or endless digits
        raise KitError(f"not a readable TOML file: {error}", where=path, fix=DOCUMENTATION) from error
    if _LIKE not in value:
        return value
    like = value.pop(_LIKE)
    if not isinstance(like, str) or like not in PRESETS:
        raise KitError(
            f"{_LIKE} is {shown(like)}, which is no competition the kit knows",
            where=path,
            fix=f"use one of: {', '.join(sorted(PRESETS))}",
        )
    if "name" not in value:
        raise KitError("name is missing", where=path, fix=f"give it a name of its own, not {like!r}")
    return _merged(PRESETS[like], value)


def parse(value: Mapping[str, Any], *, where: str | Path | None = None) -> Definition:
    """Return the definition of plain values, from `read_toml` or from an ensemble.

    Args:
        value: tables by name.
        where: the file, for error messages.

    Raises:
        KitError: a key is missing or unknown, or its value has the wrong type or is not possible.
    """
    made = from_plain(Definition, value, where=where or "competition", fix=DOCUMENTATION)
    if made.server is not None:  # named in parts: only scripts that answer a gateway carry this module
        import_module(f"{__package__}.server").server_of(made, where=where, fix=DOCUMENTATION)
    return made


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
