"""What the site of docs/ is built with, and what the tests of pages look at them with."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from kit.local.doctor.finding import Finding
from kit.local.doctor.tools import tried
from kit.local.environment_stamps import is_of, lock_identity

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
_LOCK = "requirements-docs.txt"


def look(root: Path) -> list[Finding]:
    """Return findings on the parts of `nox -s docs`, and on a browser and a compiler for the tests.

    Args:
        root: of the repository.
    """
    return [*_site(root), _browser(), _compiler()]


def find_chromium() -> str | None:
    """Return the program of Chromium: what CHROMIUM names, else the first of its names on the path."""
    named = os.environ.get("CHROMIUM")
    return named or next((path for name in CHROMIUM_NAMES if (path := shutil.which(name))), None)


def _site(root: Path) -> Iterator[Finding]:
    about = "site of docs/"
    parts = ("documents/__main__.py", "docs/index.md", "mkdocs.yml", _LOCK)
    absent = [name for name in parts if not (root / name).is_file()]
    if absent:
        told = f"{', '.join(absent)} missing: `nox -s docs` cannot build it"
        yield Finding(about=about, level="note", told=told, fix=f"git checkout -- {' '.join(absent)}")
        return
    folder = root / ".nox" / f"docs-{sys.implementation.cache_tag}"
    if not folder.is_dir():
        told, fix = "its environment is not made yet", "`nox -s docs` makes it: a minute, 30 MB of downloads"
        yield Finding(about=about, level="note", told=told, fix=fix)
    elif not is_of(folder / "made-from", lock_identity(root, [_LOCK])):
        told = f"{folder} was made for another lock or Python, or not to its end"
        yield Finding(about=about, level="note", told=told, fix="the next `nox -s docs` makes it anew")
    else:
        yield Finding(about=about, level="ok", told=f"its environment is {folder}")


def _browser() -> Finding:
    fix = "install chromium, or let CHROMIUM name it: tests of pages and `nox -s screenshots` need it"
    program = find_chromium()
    if program is None:
        return Finding(about="Chromium", level="note", told="not installed", fix=fix)
    return tried("Chromium", [program], "note", fix)


def _compiler() -> Finding:
    fix = "install gcc: the tests of difficult mounts are left out without it"
    return tried("C compiler", [shutil.which("cc") or "gcc"], "note", fix)
