"""TOML or plain values -> `Definition`, with every fault named by its key."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kit.competitions.definition import Definition
from kit.competitions.presets import PRESETS
from kit.errors import KitError
from kit.typed_json import from_plain, shown

DOCUMENTATION = "docs/competitions.md shows complete files"
_LIKE = "like"


def read_toml(path: Path) -> dict[str, Any]:
    """The plain values of a competition's TOML file; what `like` names is filled in.

    Raises:
        KitError: missing, no TOML, or like a competition that does not exist.
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
            f"{_LIKE} is {shown(like)}, no competition the kit knows",
            where=path,
            fix=f"use one of: {', '.join(sorted(PRESETS))}",
        )
    if "name" not in value:
        raise KitError("name is missing", where=path, fix=f"give it a name of its own, not {like!r}")
    return _merged(PRESETS[like], value)


def parse(value: Mapping[str, Any], *, where: str | Path | None = None) -> Definition:
    """The definition of plain values, as `read_toml` or an ensemble gives them.

    Args:
        value: tables by name.
        where: named in error messages, the file for example.

    Raises:
        KitError: a key is missing, unknown, of the wrong type or has a value that cannot be.
    """
    return from_plain(Definition, value, where=where or "competition", fix=DOCUMENTATION)


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `changes`, table by table."""
    result = {**base}
    for key, value in changes.items():
        inner = base.get(key)
        both = isinstance(inner, Mapping) and isinstance(value, Mapping)
        result[key] = _merged(inner, value) if both else value  # type: ignore[arg-type]  # checked by `both`
    return result
