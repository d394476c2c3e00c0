"""A source tree on this machine: which of its files count, their hash, and a copy of exactly these."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from bundle.foreign.source import Origin, project_in
from kit.artefacts import sha256_file
from kit.errors import KitError

_LEFT_OUT = frozenset(
    {
        *(".git", ".hg", ".svn", ".DS_Store"),
        *("__pycache__", ".eggs", ".nox", ".tox", ".venv", ".ipynb_checkpoints"),
        *(".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache"),
    }
)
"""History, caches and environments; they change without the source."""
_BUILT = frozenset({"build", "dist"})
"""What builds leave beside pyproject.toml."""
_LARGEST = 1 << 30
"""Bytes of a whole tree. More is no package but a folder with data in it."""


@dataclass(frozen=True)
class Folder:
    """A source tree.

    Attributes:
        path: its top.
        subdirectory: of the project in it; "" for the top.
        where: file and line that name it.
    """

    path: Path
    subdirectory: str
    where: str

    def content(self) -> str:
        """As `Source`: the hash of names, bytes and the right to be run of all files that count."""
        project_in(self.path, self.subdirectory, self.where)
        return f"sha256:{self._digest(self.path)}"

    def origin(self, content: str) -> Origin:
        """As `Source`."""
        return Origin(title=f"folder {self.path.name}", content=content)

    def unpack(self, to: Path) -> Path:
        """As `Source`: the builder works in a copy, so that it leaves nothing in the user's folder."""
        before = self._digest(self.path)
        for name, path in self._files(self.path):
            target = to / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if path.is_symlink():
                target.symlink_to(path.readlink())
            else:
                shutil.copyfile(path, target)
                target.chmod(0o755 if _runs(path) else 0o644)
        if self._digest(to) != before:
            raise KitError(
                "the folder changed while it was copied",
                where=self.path,
                fix="run the command again when nothing writes into it",
            )
        return project_in(to, self.subdirectory, self.where)

    def _digest(self, root: Path) -> str:
        digest = hashlib.sha256()
        for name, path in self._files(root):
            if path.is_symlink():
                kind, content = "link", str(path.readlink())
            else:
                try:
                    kind, content = ("program" if _runs(path) else "file"), sha256_file(path)
                except OSError as error:
                    self._unreadable(error)
            digest.update(b"%s %s\0%s\n" % (kind.encode(), os.fsencode(name), os.fsencode(content)))
        return digest.hexdigest()

    def _files(self, root: Path) -> Iterator[tuple[str, Path]]:
        """Yield the files that count in a fixed order: path below the top, and path here."""
        tops = {root, root / self.subdirectory}
        size = 0
        for base, folders, files in os.walk(root, onerror=self._unreadable):
            here = Path(base)
            # A link to a folder is listed among the folders, and `walk` does not follow it.
            links = [name for name in folders if (here / name).is_symlink()]
            folders[:] = sorted(name for name in folders if name not in links and _counts(here, name, tops))
            for name in sorted([*files, *links]):
                if name in _LEFT_OUT or name.endswith((".pyc", ".pyo")):
                    continue
                path = here / name
                size += self._checked(path, root)
                if size > _LARGEST:
                    raise KitError(
                        f"the folder holds more than {_LARGEST >> 30} GiB: that is no package",
                        where=self.path,
                        fix="move data and weights out of it, or name the folder of the package alone",
                    )
                yield path.relative_to(root).as_posix(), path

    def _checked(self, path: Path, root: Path) -> int:
        """Return a file's size; refuse what a copy could not hold."""
        state = path.lstat()
        if stat.S_ISLNK(state.st_mode):
            try:
                inside = path.resolve().is_relative_to(root.resolve()) and not path.readlink().is_absolute()
            except RuntimeError as error:  # what Python says of a link in a circle, until 3.12
                raise KitError(f"{path.name} is a link to itself", where=path, fix="remove it") from error
            if not inside:
                raise KitError(
                    f"{path.name} is a link to {path.readlink()}, out of the source",
                    where=path,
                    fix="put the file itself there: what lies elsewhere would not count as content",
                )
        elif not stat.S_ISREG(state.st_mode):
            raise KitError(f"{path.name} is neither a file nor a folder", where=path, fix="remove it")
        return state.st_size

    def _unreadable(self, error: OSError) -> NoReturn:
        raise KitError(
            f"a file or folder of the source cannot be read: {error.strerror}",
            where=error.filename or self.path,
            fix="make it readable, or move it out of the source",
        ) from error


def _counts(parent: Path, name: str, tops: set[Path]) -> bool:
    """Return whether a folder is part of the source."""
    if name in _LEFT_OUT or name.endswith(".egg-info") or (parent / name / "pyvenv.cfg").exists():
        return False
    return not (name in _BUILT and parent in tops)


def _runs(path: Path) -> bool:
    return bool(path.stat().st_mode & stat.S_IXUSR)
