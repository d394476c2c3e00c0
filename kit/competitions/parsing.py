"""Make a `Definition` of plain values; every error names the key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kit.competitions.definition import Definition
from kit.optional import optional_module
from kit.typed_json import from_plain

DOCUMENTATION = "docs/competitions.md shows complete files"


def parse(value: Mapping[str, Any], *, where: str | Path | None = None) -> Definition:
    """Return the definition of plain values, of a TOML file or from an ensemble.

    Args:
        value: tables by name.
        where: the file, for error messages.

    Raises:
        KitError: a key is missing or unknown, or its value has the wrong type or is not possible.
    """
    made = from_plain(Definition, value, where=where or "competition", fix=DOCUMENTATION)
    if made.server is not None:
        optional_module(__package__, "server").server_of(made, where=where, fix=DOCUMENTATION)
    return made
