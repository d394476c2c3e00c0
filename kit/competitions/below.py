"""Check that a path of a definition stays below the competition's folder."""

from __future__ import annotations

from pathlib import PurePosixPath

from kit.errors import KitError


def require_below(key: str, path: str) -> None:
    """Raise a `KitError` if a path leaves the competition's folder."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\\" in path or "\0" in path:
        raise KitError(
            f"{key} is {path!r}, which is no path below the competition's folder",
            fix="write a relative path with '/' and without '..'",
        )
