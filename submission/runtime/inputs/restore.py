"""Finds the bundle's files by content, because Kaggle changes names and places and may unpack archives.

First the files that lie in the open and have the right size are hashed. If none fits, the files of that size
inside archives are copied to scratch and hashed on the way. A file that cannot be found this way is lost; the
error names it, what was expected and what was found instead.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kit.artefacts import open_to_read, read_at
from kit.errors import KitError
from kit.manifest import Entry
from submission.runtime.inputs.archives import (
    UNREADABLE,
    PackedFile,
    list_archive,
    may_be_archive,
    named_as_archive,
    take_out,
)
from submission.runtime.inputs.mounts import File

THREADS = 16
"""Cold mounts read 120-240 MB/s with one thread and 770-950 with 16."""

_BLOCK = 4 << 20
_AHEAD = 8
_MOST_ARCHIVES = 500
"""Files opened in the search for archives, those with an archive's ending first, then the largest."""

How = Literal["as is", "renamed", "from an archive"]


@dataclass(frozen=True)
class Found:
    """Where an entry's content lies.

    Attributes:
        entry: of the manifest.
        path: a file with exactly that content.
        how: what Kaggle had done to it; "from an archive": `path` is a copy in scratch.
    """

    entry: Entry
    path: Path
    how: How


def plain_name(name: str) -> str:
    """Return what two renamings of a file name have in common: lower case letters and digits only."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


class Restorer:
    """Looks entries up in an index of files.

    Args:
        files: all files of the datasets.
        scratch: a folder for files out of archives that are still packed.
        threads: how many files are read at the same time.
    """

    def __init__(self, files: Sequence[File], scratch: Path, *, threads: int = THREADS) -> None:
        self.files = files
        self.scratch = scratch
        self._by_size: dict[int, list[Path]] = defaultdict(list)
        for file in files:
            self._by_size[file.size].append(file.path)
        self._packed: dict[int, list[PackedFile]] | None = None
        self._listing = threading.Lock()
        self._searches = ThreadPoolExecutor(threads, thread_name_prefix="restore")
        self._readers = ThreadPoolExecutor(threads, thread_name_prefix="read")

    def restore(
        self, entries: Iterable[Entry], on_found: Callable[[Found], None] | None = None
    ) -> tuple[list[Found], dict[str, KitError]]:
        """Find entries, several at a time.

        Args:
            entries: what is needed.
            on_found: called with each as soon as its content is verified, in the order of `entries`.

        Returns:
            What was found, and path in the dataset -> what is wrong, in the order of `entries`.
        """
        searches = [(entry, self._searches.submit(self.find, entry)) for entry in entries]
        found: list[Found] = []
        errors: dict[str, KitError] = {}
        for entry, search in searches:
            try:
                found.append(search.result())
            except KitError as error:
                errors[entry.file] = error
            else:
                if on_found is not None:
                    on_found(found[-1])
        return found, errors

    def find(self, entry: Entry) -> Found:
        """Find one entry.

        Raises:
            KitError: no file has its content, neither in the open nor in an archive.
        """
        # Where a wheel can be that was uploaded as tool-1.0+cu1-py3-none-any.whl in wheels-common.zip:
        #     archive unpacked    wheels-common/tool-1.0cu1-py3-none-any.whl
        #     at another depth    wheels-common/wheels-common/tool-1.0cu1-py3-none-any.whl
        #     still packed        wheels-common.zip, and in it tool-1.0+cu1-py3-none-any.whl
        name, plain = entry.name, plain_name(entry.name)
        # Likely files first: the same name, then a name that Kaggle may have made of it, then all others.
        in_the_open = sorted(
            self._by_size.get(entry.size, []),
            key=lambda path: (path.name != name, plain_name(path.name) != plain, str(path)),
        )
        others: dict[Path, str] = {}
        for path in in_the_open:
            try:
                sha256 = self._sha256(path)
            except OSError as error:
                others[path] = f"unreadable ({error.strerror})"
                continue
            if sha256 == entry.sha256:
                return Found(entry, path, "as is" if path.name == name else "renamed")
            others[path] = f"sha256 {sha256}"
        packed = self._packed_files().get(entry.size, [])
        for item in sorted(packed, key=lambda item: plain_name(item.name) != plain):
            target = self.scratch / "from-archives" / f"{entry.sha256[:16]}-{name}"
            try:
                sha256 = take_out(item, target)
            except UNREADABLE as error:
                others[item.archive / item.inside] = f"unreadable ({error})"
                continue
            if sha256 == entry.sha256:
                return Found(entry, target, "from an archive")
            target.unlink()
            others[item.archive / item.inside] = f"sha256 {sha256}"
        raise self._complaint(entry, others)

    def _sha256(self, path: Path) -> str:
        """Hash a file and read its next blocks ahead: one thread alone reads a cold mount too slowly."""
        # Eight blocks of 4 MiB are read at a time by as many threads; this thread hashes them in order:
        #     hashed | 0 1 2 |   being read | 3 4 5 6 7 8 9 10 |   not yet asked for | 11 ...
        digest = hashlib.sha256()
        with open_to_read(path) as stream:
            handle, size = stream.fileno(), path.stat().st_size
            ahead: deque[Future[bytes]] = deque()
            for start in range(0, size, _BLOCK):
                ahead.append(self._readers.submit(read_at, handle, _BLOCK, start))
                if len(ahead) >= _AHEAD:
                    digest.update(ahead.popleft().result())
            while ahead:
                digest.update(ahead.popleft().result())
        return digest.hexdigest()

    def _packed_files(self) -> dict[int, list[PackedFile]]:
        """Return the files inside archives by their size. The first call lists the archives."""
        with self._listing:
            if self._packed is None:
                self._packed = defaultdict(list)
                candidates = [file for file in self.files if may_be_archive(file.path)]
                candidates.sort(key=lambda file: (not named_as_archive(file.path), -file.size))
                for file in candidates[:_MOST_ARCHIVES]:
                    for item in list_archive(file.path):
                        self._packed[item.size].append(item)
            return self._packed

    def _complaint(self, entry: Entry, others: dict[Path, str]) -> KitError:
        """The error for an entry that was not found: damaged, truncated, or missing.

        Args:
            entry: what was looked for.
            others: files of the same size -> what they are instead.
        """
        expected = f"expected {entry.size} bytes, sha256 {entry.sha256}"
        for path, found in others.items():
            if plain_name(path.name) == plain_name(entry.name):
                return KitError(
                    f"{entry.name} is damaged: {expected}; found the same size, {found}",
                    where=path,
                    fix="upload the dataset again; its content changed on the way",
                )
        if (other := self._named_as(entry.name)) is not None:
            what = "truncated" if other.size < entry.size else "not the file that was bundled"
            return KitError(
                f"{entry.name} is {what}: {expected}; found {other.size} bytes",
                where=other.path,
                fix="upload the dataset again, or attach the version that belongs to this predict.py",
            )
        if entry.archive is not None and (other := self._named_as(entry.archive)) is not None:
            return KitError(
                f"{entry.name} is missing: {expected}; {entry.archive}, which carried it, is damaged or "
                f"another one ({other.size} bytes)",
                where=other.path,
                fix="upload the dataset again, or attach the version that belongs to this predict.py",
            )
        return KitError(
            f"{entry.name} is missing: {expected}; no file among the {len(self.files)} attached has this "
            "content",
            fix="attach the dataset that predict.py names in its header, at the version it was rendered for",
        )

    def _named_as(self, name: str) -> File | None:
        """Return a file in the open that seems to have been uploaded under this name."""
        plain = plain_name(name)
        return next((file for file in self.files if plain_name(file.path.name) == plain), None)
