"""Finds the bundle's files by content, because Kaggle changes names and places and may unpack archives.

First the files that lie in the open and have the right size are hashed. If none fits, the files of that size
inside archives are copied to scratch and hashed on the way. A file that cannot be found this way is lost; the
error names it, what was expected and what was found instead.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from kit.artefacts import open_to_read, read_at
from kit.errors import KitError
from kit.manifest import Entry, Manifest
from kit.streams import STREAMS
from submission.runtime.inputs.archives import (
    UNREADABLE,
    PackedFile,
    list_archive,
    may_be_archive,
    may_be_taken_out,
    named_as_archive,
    take_out,
)
from submission.runtime.inputs.mounts import File, plain_name

_BLOCK = 2 << 20
_AHEAD = STREAMS
_NAMED = 3
_AGAIN = "upload the dataset again, or attach the version that belongs to this script"
_SPARE = 256 << 20
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
        seconds: that it took to find and verify it.
    """

    entry: Entry
    path: Path
    how: How
    seconds: float = 0.0


class _Index:
    """Files by size, in the open and in archives; archives are listed when they are asked for.

    Args:
        files: what there is.
        scratch: for archives that lie in archives.
        archives: plain names of archives that are looked at first.
        room: bytes that archives in archives may take.
    """

    def __init__(self, files: Sequence[File], scratch: Path, archives: Collection[str], room: int) -> None:
        self.files, self.scratch, self.archives, self._room = files, scratch, archives, room
        self.by_size: dict[int, list[Path]] = defaultdict(list)
        for file in files:
            self.by_size[file.size].append(file.path)
        self.faults: dict[Path, str] = {}
        self._packed: dict[int, list[PackedFile]] | None = None
        self._listing = threading.Lock()

    def packed(self, size: int) -> list[PackedFile]:
        """Return the files of a size inside archives, and inside archives in these."""
        with self._listing:
            if self._packed is None:
                self._packed = defaultdict(list)
                candidates = [file for file in self.files if may_be_archive(file.path)]
                candidates.sort(key=self._unlikely)
                for file in candidates[:_MOST_ARCHIVES]:
                    self._list(file.path)
            return self._packed.get(size, [])

    def _unlikely(self, file: File) -> tuple[bool, bool, int]:
        known = plain_name(file.path.name) in self.archives
        return not known, not named_as_archive(file.path), -file.size

    def _list(self, path: Path, seen_as: Path | None = None) -> None:
        assert self._packed is not None
        listing = list_archive(path)
        if listing.fault is not None:
            self.faults[seen_as or path] = listing.fault
        for item in listing.files:
            self._packed[item.size].append(item)
            # Somebody zipped the folder of a bundle: all.zip holds wheels-common.zip. One level is enough.
            inner = seen_as is None and named_as_archive(Path(item.name)) and may_be_taken_out(item)
            if not inner or item.size > self._room:
                continue
            self._room -= item.size
            target = self.scratch / "archives" / f"{len(self._packed)}-{self._room}-{item.name[-80:]}"
            try:
                take_out(item, target)
            except (*UNREADABLE, KitError) as error:
                self.faults[path / item.inside] = str(error)
            else:
                self._list(target, path / item.inside)


class Restorer:
    """Looks entries up in an index of files.

    Args:
        files: of the datasets, those with known names.
        scratch: a folder for files out of archives that are still packed.
        manifests: of the datasets, to say which of them are attached.
        rest: returns all other files; called when one is not found among the first.
        threads: how many files are read at the same time.
    """

    def __init__(
        self,
        files: Sequence[File],
        scratch: Path,
        manifests: Sequence[Manifest] = (),
        rest: Callable[[], Sequence[File]] = tuple,
        *,
        threads: int = STREAMS,
    ) -> None:
        self.files, self.scratch, self.manifests = files, scratch, manifests
        entries = (entry for manifest in manifests for entry in manifest.files)
        self._archives = {plain_name(entry.archive) for entry in entries if entry.archive is not None}
        self._room = _SPARE + 2 * sum(entry.size for manifest in manifests for entry in manifest.files)
        self._known = _Index(files, scratch, self._archives, self._room)
        self._rest = rest
        self._others: _Index | None = None
        self._indexing = threading.Lock()
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
        others: dict[Path, str] = {}
        begin = time.monotonic()
        for index in self._indices():
            if (found := self._find_in(index, entry, others)) is not None:
                return replace(found, seconds=round(time.monotonic() - begin, 3))
        raise self._complaint(entry, others)

    def _indices(self) -> Iterator[_Index]:
        """Yield the files with known names, then, only if that was not enough, all others."""
        yield self._known
        with self._indexing:
            if self._others is None:
                self._others = _Index(self._rest(), self.scratch, self._archives, self._room)
        yield self._others

    def _find_in(self, index: _Index, entry: Entry, others: dict[Path, str]) -> Found | None:
        name, plain = entry.name, plain_name(entry.name)
        # Likely files first: the same name, then a name that Kaggle may have made of it, then all others.
        in_the_open = sorted(
            index.by_size.get(entry.size, []),
            key=lambda path: (path.name != name, plain_name(path.name) != plain, str(path)),
        )
        for path in in_the_open:
            try:
                sha256 = self._sha256(path)
            except OSError as error:
                others[path] = f"unreadable ({error.strerror})"
                continue
            if sha256 == entry.sha256:
                return Found(entry, path, "as is" if path.name == name else "renamed")
            others[path] = f"sha256 {sha256}"
        for item in sorted(index.packed(entry.size), key=lambda item: plain_name(item.name) != plain):
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
        return None

    def _sha256(self, path: Path) -> str:
        """Hash a file and read its next blocks ahead: one thread alone reads a cold mount too slowly."""
        # Sixteen blocks of 2 MiB are read at a time, so that the last file alone still has all threads read;
        # this thread hashes them in order:
        #     hashed | 0 1 2 |   being read | 3 4 5 ... 18 |   not yet asked for | 19 ...
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
                fix=_AGAIN,
            )
        faults = {**self._known.faults, **(self._others.faults if self._others is not None else {})}
        if entry.archive is not None and (other := self._named_as(entry.archive)) is not None:
            fault = f": {faults[other.path]}" if other.path in faults else ""
            return KitError(
                f"{entry.name} is missing: {expected}; {entry.archive}, which carried it, is damaged or "
                f"another one ({other.size} bytes{fault})",
                where=other.path,
                fix=_AGAIN,
            )
        if faults:
            cut = "; ".join(f"{path}: {fault}" for path, fault in list(faults.items())[:_NAMED])
            return KitError(
                f"{entry.name} is missing: {expected}; it may have been in an archive that is cut short or "
                f"damaged: {cut}",
                fix="upload the dataset again",
            )
        if (place := self._attached(entry)) is not None:
            return KitError(
                f"{entry.name} is missing: {expected}; its dataset is attached, but holds it no more",
                where=place,
                fix=_AGAIN,
            )
        count = len(self.files) + (len(self._others.files) if self._others is not None else 0)
        return KitError(
            f"{entry.name} is missing: {expected}; no file among the {count} attached has this content",
            fix="attach the dataset that this script names in its header, at the version it was rendered for",
        )

    def _attached(self, entry: Entry) -> Path | None:
        """Return the folder of another file of the same dataset."""
        files = {plain_name(file.path.name): file.path for file in reversed(self.files)}
        names = [
            plain_name(name)
            for manifest in self.manifests
            if entry in manifest.files
            for other in manifest.files
            for name in (other.name, other.archive or other.name)
        ]
        return next((files[name].parent for name in names if name in files), None)

    def _named_as(self, name: str) -> File | None:
        """Return a file in the open that seems to have been uploaded under this name."""
        plain = plain_name(name)
        return next((file for file in self.files if plain_name(file.path.name) == plain), None)
