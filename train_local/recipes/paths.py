"""Values in nested JSON by their path: "data.split.fold", "augment[1].choices[0][0].p"."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

MISSING = "(no such value)"


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield path and value of every leaf; a list of plain values is one leaf.

    >>> list(leaves({"a": {"b": [1, 2]}, "c": [{"d": 3}]}))
    [('a.b', [1, 2]), ('c[0].d', 3)]
    """
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and any(isinstance(item, Mapping | list) for item in value):
        for index, item in enumerate(value):
            yield from leaves(item, f"{path}[{index}]")
    else:
        yield path, value


def parts(path: str) -> list[str]:
    """Return the keys and indices of a path.

    >>> parts("augment[1].args.p")
    ['augment', '1', 'args', 'p']
    """
    return re.findall(r"[^.\[\]]+", path)


def at(value: Any, path: str) -> Any:
    """Return what stands at a path, or `MISSING`; below None there is None."""
    for part in parts(path):
        if value is None:
            return None
        try:
            value = value[int(part)] if isinstance(value, list) else value[part]
        except (KeyError, IndexError, TypeError, ValueError):
            return MISSING
    return value


def inside(path: str, outer: str) -> bool:
    """Whether a path is another one or leads through it."""
    return path == outer or (path.startswith(outer) and path[len(outer)] in ".[")


def equal(one: Any, other: Any) -> bool:
    """Whether two values are the same: numbers up to rounding, lists item by item."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-5, abs_tol=1e-15)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(equal(value, other[key]) for key, value in one.items())
    return bool(one == other)
