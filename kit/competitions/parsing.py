"""TOML or plain values -> `Definition`, with every fault named by its key."""

from __future__ import annotations

import difflib
import reprlib
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from kit.competitions.definition import Definition
from kit.competitions.presets import PRESETS
from kit.errors import KitError

DOCUMENTATION = "docs/competitions.md shows complete files"
_LIKE = "like"
_NAMES = {str: "a text", int: "an integer", float: "a number", tuple: "a list", Mapping: "a table"}

T = TypeVar("T")


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
            f"{_LIKE} is {_shown(like)}, no competition the kit knows",
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
    return _table(Definition, value, str(where or "competition"), "")


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `changes`, table by table."""
    result = {**base}
    for key, value in changes.items():
        inner = base.get(key)
        both = isinstance(inner, Mapping) and isinstance(value, Mapping)
        result[key] = _merged(inner, value) if both else value  # type: ignore[arg-type]  # checked by `both`
    return result


def _table(kind: type[T], value: Mapping[str, Any], file: str, name: str) -> T:
    """A dataclass of a table's values; `name` is the table's, with dots."""
    assert is_dataclass(kind)
    hints = get_type_hints(kind)
    known = {item.name: item for item in fields(kind)}
    prefix, where = (f"{name}.", f"{file} [{name}]") if name else ("", file)
    for key in value:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            guess = f"did you mean {near[0]!r}? " if near else ""
            raise KitError(
                f"unknown key {prefix}{key}", where=where, fix=f"{guess}keys are: {', '.join(known)}"
            )
    taken = {key: _value(hints[key], value[key], file, prefix + key) for key in value}
    for key, item in known.items():
        if key not in value and item.default is MISSING and item.default_factory is MISSING:
            raise KitError(f"{prefix}{key} is missing", where=where, fix=f"add it; {DOCUMENTATION}")
    try:
        return kind(**taken)
    except KitError as error:
        raise KitError(error.problem, where=error.where or where, fix=error.fix) from error


def _value(hint: Any, value: Any, file: str, key: str) -> Any:
    """A value of a dataclass's field, checked against the field's type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if is_dataclass(hint):
        if isinstance(value, Mapping):
            return _table(hint, value, file, key)  # type: ignore[arg-type]  # a class, as hints are
        raise _wrong(value, "a table", file, key)
    if origin is Literal:
        if value in arguments:
            return value
        raise KitError(
            f"{key} is {_shown(value)}", where=file, fix=f"use one of: {', '.join(map(repr, arguments))}"
        )
    if origin is UnionType:
        return None if value is None else _value(arguments[0], value, file, key)
    if origin is tuple:
        items = value if isinstance(value, list | tuple) else [value]
        return tuple(_value(arguments[0], item, file, key) for item in items)
    if origin is not None:  # a mapping
        if isinstance(value, Mapping):
            return {name: _value(arguments[1], item, file, f"{key}.{name}") for name, item in value.items()}
        raise _wrong(value, "a table", file, key)
    return _plain(hint, value, file, key)


def _plain(hint: Any, value: Any, file: str, key: str) -> str | int | float:
    """A text or a number; integers may stand for numbers."""
    allowed = int | float if hint is float else hint
    if not isinstance(value, allowed) or isinstance(value, bool):
        raise _wrong(value, _NAMES[hint], file, key)
    try:
        plain: str | int | float = hint(value)
    except OverflowError as error:
        raise KitError(f"{key} is too large", where=file, fix=f"write {_NAMES[hint]}") from error
    return plain


def _wrong(value: Any, wanted: str, file: str, key: str) -> KitError:
    return KitError(
        f"{key} is {_shown(value)}, not {wanted}", where=file, fix=f"write {wanted}; {DOCUMENTATION}"
    )


def _shown(value: Any) -> str:
    """A value for a message, cut if long or deep: dotted keys make tables too deep for `repr`."""
    short = reprlib.Repr()
    short.maxstring = short.maxlong = short.maxother = 80
    return short.repr(value)
