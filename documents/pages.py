"""The files that are made from the code, by name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from documents import chain_picture, dependencies, errors_page, folders, licences_page, surface
from kit.artefacts import write_text
from kit.errors import KitError

PAGES: Mapping[str, tuple[str, Callable[[Path], str]]] = {
    "chain": ("docs/chain.svg", chain_picture.picture),
    "errors": ("docs/errors.md", errors_page.page),
    "licences": ("docs/licences.md", licences_page.page),
    "dependencies": ("docs/dependencies.md", dependencies.page),
    "folders": ("docs/folders.md", folders.page),
    "surface": ("tests/public_surface.txt", surface.page),
}
"""Name -> the file in the repository, and the function that makes its text of the repository's folder."""


def stale(root: Path, names: Collection[str] = ()) -> list[str]:
    """Return the files that are not what the code makes now.

    Args:
        root: the repository.
        names: of `PAGES`; all if empty.

    Raises:
        KitError: no file has a name, or one cannot be made.
    """
    return list(_changed(root, names))


def write(root: Path, names: Collection[str] = ()) -> list[str]:
    """Write the files again that are not what the code makes now, and return which they were.

    Args:
        root: the repository.
        names: of `PAGES`; all if empty.

    Raises:
        KitError: as for `stale`.
    """
    changed = _changed(root, names)
    for file, text in changed.items():
        write_text(root / file, text)
    return list(changed)


def _changed(root: Path, names: Collection[str]) -> dict[str, str]:
    if unknown := sorted(set(names) - PAGES.keys()):
        raise KitError(f"no page is called {', '.join(unknown)}", fix=f"the pages are: {', '.join(PAGES)}")
    made = {PAGES[name][0]: PAGES[name][1](root) for name in names or PAGES}
    return {file: text for file, text in made.items() if _now(root / file) != text}


def _now(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None
