"""What all foreign sources have in common: what they are, and where in them the project is."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from kit.errors import KitError

_USER = re.compile(r"//[^/@\s]*@")


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a wheel of ours comes from, for messages and the bill of materials: no path of this machine.

    Attributes:
        title: "folder my_models", "foo-1.2.tar.gz", "git+https://host/repo.git@<commit>".
        content: "sha256:<hex>" or "commit:<hex>".
        vcs_url: the title, if it is an address from which others can fetch the same; else None.
    """

    title: str
    content: str
    vcs_url: str | None = None

    @property
    def text(self) -> str:
        """Both in one line; an address holds the commit already."""
        return self.title if self.vcs_url else f"{self.title} {self.content}"


class Source(Protocol):
    """One line of `foreign.in`."""

    @property
    def where(self) -> str:
        """File and line: "foreign.in:3"."""

    def content(self) -> str:
        """Return the identity of what is built: "sha256:<hex>" or "commit:<hex>".

        Raises:
            KitError: the source is missing or unusable.
        """

    @property
    def subdirectory(self) -> str:
        """Folder of the project in the source; "" for its top."""

    def origin(self, content: str) -> Origin:
        """Return what is told of it; `content` is what `content()` returned."""

    def unpack(self, to: Path) -> Path:
        """Put a private copy of the whole source into a new folder; return the project's folder in it.

        Raises:
            KitError: it cannot be fetched or unpacked, or holds no project.
        """


def without_user(address: str) -> str:
    """Return an address without user name and password, which messages do not show."""
    return _USER.sub("//", address)


def subdirectory_of(text: str, where: str) -> str:
    """Check the folder that `#subdirectory=` names.

    Raises:
        KitError: it is no path below the source.
    """
    path = PurePosixPath(text)
    if not text or path.is_absolute() or ".." in path.parts:
        raise KitError(
            f"{text!r} is not a folder inside the source",
            where=where,
            fix="write the path from the source's top, for example #subdirectory=python/package",
        )
    return "" if path == PurePosixPath() else path.as_posix()


def project_in(root: Path, subdirectory: str, where: str) -> Path:
    """Return the folder of the project, after a look whether it is one.

    Raises:
        KitError: the folder is missing, or holds nothing that can be built.
    """
    folder = root / subdirectory
    if not folder.is_dir():
        raise KitError(f"the source has no folder {subdirectory}", where=where, fix="correct #subdirectory=")
    if not (folder / "setup.py").is_file() and not _is_project(folder / "pyproject.toml", where):
        inside = sorted(
            path.parent.relative_to(folder).as_posix()
            for name in ("pyproject.toml", "setup.py")
            for path in folder.glob(f"*/{name}")
        )
        found = (
            f"; {', '.join(dict.fromkeys(inside))} in it has one: name it with #subdirectory="
            if inside
            else ""
        )
        raise KitError(
            "there is nothing to build: no setup.py, and no pyproject.toml with [build-system] or [project]",
            where=where,
            fix=f"add a pyproject.toml to {subdirectory or 'its top folder'}{found}",
        )
    return folder


def _is_project(path: Path, where: str) -> bool:
    """Return whether a file says how to build. Many a pyproject.toml only holds settings of tools."""
    try:
        keys = tomllib.loads(path.read_text(encoding="utf-8")).keys()
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:
        raise KitError(
            f"its pyproject.toml cannot be read: {error}", where=where, fix="correct it"
        ) from error
    return bool({"build-system", "project"} & keys)
