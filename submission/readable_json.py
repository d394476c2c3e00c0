"""Write the JSON in predict.py: short, with lines that a person can read.

A value that fits into a line gets one line, so a member, a wheel or a pass takes one or two lines.
`json.dumps(indent=1)` would use one line per number, and `json.dumps` without indent one line for everything.

    {
     "competition": "kidney", "kind": "semantic",
     "members": [
      {"name": "unet-regnety16.fold0", "sha256": "...", "size": 29112344},
      ...
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

WIDTH = 120


def readable_json(value: Any) -> str:
    """Return a plain value as JSON text; a line is longer than `WIDTH` only if one text in it is.

    Args:
        value: dictionaries, lists, texts and finite numbers. Equal values give equal texts.

    Raises:
        ValueError: a number is not finite.
    """
    return _lines(value, 0, 0) + "\n"


def _lines(value: Any, depth: int, before: int) -> str:
    """Write a value into one line if it fits, otherwise begin a new line for its items.

    Args:
        value: a plain value.
        depth: number of brackets around it.
        before: characters in front of it in its line.
    """
    # At most `depth` closing brackets and a comma follow the value in its line. With WIDTH 20, "[1, 2, 3]" (9
    # characters) behind 8 others fits at depth 1: 8 + 9 + 1 + 1 = 19.
    text = _in_one_line(value)
    if before + len(text) + depth + 1 <= WIDTH or not value or not isinstance(value, Mapping | list):
        return text
    inner = depth + 1
    if isinstance(value, Mapping):
        keys = {key: _in_one_line(key) + ": " for key in sorted(value)}
        items = [name + _lines(value[key], inner, inner + len(name)) for key, name in keys.items()]
        opening, closing = "{}"
    else:
        items = [_lines(item, inner, inner) for item in value]
        opening, closing = "[]"
    if isinstance(value, Mapping) or not any(isinstance(item, Mapping | list) for item in value):
        items = _filled(items, WIDTH - 2 * inner - 1)
    start = "\n" + " " * inner
    return opening + start + f",{start}".join(items) + closing


def _in_one_line(value: Any) -> str:
    """Return a value as JSON in one line, with escapes where a character cannot be printed."""
    text = json.dumps(value, sort_keys=True, allow_nan=False, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(value, sort_keys=True, allow_nan=False)


def _filled(items: Sequence[str], width: int) -> list[str]:
    """Join short items into lines of at most `width` characters.

    ["0.5", "0.25", "1.0"] at a width of 10 becomes ["0.5, 0.25", "1.0"].
    """
    lines: list[str] = []
    for item in items:
        of_one_line = lines and "\n" not in lines[-1] + item
        if of_one_line and len(lines[-1]) + len(", ") + len(item) <= width:
            lines[-1] += f", {item}"
        else:
            lines.append(item)
    return lines
