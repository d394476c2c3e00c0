"""Somebody's list of packages, as pip and uv print it: name -> version."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import Version

from kit.artefacts import read_text
from kit.errors import KitError

_PINNED = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*===?\s*([^\s;#]+)")
# "torch @ https://host/torch-2.11.0%2Bcu128-cp313-cp313-linux_x86_64.whl": the wheel's name has the version.
_WHEEL = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*@.*/[A-Za-z0-9_.]+-([^-/]+)-[^/]*\.whl")
_UNPINNED = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*@|\s*-e\s.*[#&]egg=([A-Za-z0-9._-]+)")
_IGNORED = re.compile(r"\s*(#|$|--|-i\s|-f\s|Package\s+Version|-+\s+-+\s*$|-e\s)")


def read_freeze(path: Path) -> tuple[dict[str, str], list[str]]:
    """Read `pip freeze`, `pip list --format=freeze`, `pip list --format=json` or `pip list`.

    Args:
        path: the file.

    Returns:
        normalised name -> version, and the names whose version the list doesn't tell (installed from a folder
        or a repository).

    Raises:
        KitError: the file cannot be read or is no such list, or it has two versions of one name.
    """
    try:
        text = read_text(path, "utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise KitError(
            f"the list cannot be read: {error}", where=path, fix="give the output of pip freeze"
        ) from error
    unknown: list[str] = []
    if text.lstrip().startswith("["):
        pairs = _json_pairs(text, path)
    else:
        pairs, unknown = _line_pairs(text, path)
    found: dict[str, str] = {}
    for name, version in pairs:
        key = canonicalize_name(name)
        try:
            Version(version)
        except ValueError as error:  # InvalidVersion, or a number of thousands of digits
            raise KitError(
                f"{version[:80]!r} of {name} is no version", where=path, fix="correct that line"
            ) from error
        if found.setdefault(key, version) != version:
            raise KitError(
                f"{key} is listed twice, as {found[key]} and {version}",
                where=path,
                fix="remove one of the two",
            )
    if not found:
        raise KitError("no package is listed here", where=path, fix="give the output of pip freeze")
    return found, sorted({canonicalize_name(name) for name in unknown} - found.keys())


def _json_pairs(text: str, path: Path) -> list[tuple[str, str]]:
    try:
        rows: Any = json.loads(text)
        return [(str(row["name"]), str(row["version"])) for row in rows]
    except (ValueError, TypeError, KeyError) as error:
        raise KitError(
            f"this is no list of `pip list --format=json`: {error}",
            where=path,
            fix="give its output as it is",
        ) from error


def _line_pairs(text: str, path: Path) -> tuple[list[tuple[str, str]], list[str]]:
    pairs: list[tuple[str, str]] = []
    unknown: list[str] = []
    # `pip list` prints "torch   2.11.0+cu128" under two lines of headings, the other forms "torch==2.11.0".
    columns = re.match(r"\s*Package\s+Version", text) is not None
    for number, line in enumerate(text.splitlines(), 1):
        if match := _PINNED.match(line) or _WHEEL.match(line):
            pairs.append((match.group(1), match.group(2).replace("%2B", "+")))
        elif match := _UNPINNED.match(line):
            unknown.append(match.group(1) or match.group(2))
        elif _IGNORED.match(line):
            continue
        elif columns and len(words := line.split()) >= 2:
            pairs.append((words[0], words[1]))
        else:
            raise KitError(
                f"line {number} is no line of pip freeze: {line.strip()[:80]!r}",
                where=path,
                fix="give the output of pip freeze as it is",
            )
    return pairs, unknown
