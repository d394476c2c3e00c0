"""Finds the bundle's files by content, because Kaggle changes names and places and unpacks archives.

What cannot be repaired is told with the file's name, what was expected and what was found instead.
"""

from __future__ import annotations

import hashlib
import os
import re
import zipfile
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from kit.artefacts import atomic_file
from kit.errors import KitError
from kit.manifest import Entry
from submission.runtime.inputs.mounts import File

THREADS = 16
"""Cold mounts read 120-240 MB/s with one thread and 770-950 with 16."""

_BLOCK = 4 << 20
_AHEAD = 8

How = Literal["as is", "renamed", "packed again"]


@dataclass(frozen=True)
class Found:
    """Where an entry's content lies.

    Attributes:
        entry: of the manifest.
        path: a file with exactly that content; "packed again": a zip with the same members.
        how: what Kaggle had done to it.
    """

    entry: Entry
    path: Path
    how: How


def plain_name(name: str) -> str:
    """A file name as two renamings of it have in common: lower case letters and digits only."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


class Restorer:
    """Looks entries up in an index of files.

    Args:
        files: all files of the datasets.
        scratch: a folder for archives that have to be packed again.
        threads: how many files are read at the same time.
    """

    def __init__(self, files: Sequence[File], scratch: Path, *, threads: int = THREADS) -> None:
        self.files = files
        self.scratch = scratch
        self._by_size: dict[int, list[Path]] = defaultdict(list)
        for file in files:
            self._by_size[file.size].append(file.path)
        self._jobs = ThreadPoolExecutor(threads, thread_name_prefix="restore")
        self._readers = ThreadPoolExecutor(threads, thread_name_prefix="read")

    def restore(
        self, entries: Iterable[Entry], on_found: Callable[[Found], None] | None = None
    ) -> tuple[list[Found], dict[str, KitError]]:
        """Find entries, several at a time.

        Args:
            entries: what is needed.
            on_found: told about each as soon as its content is verified, in the order of `entries`.

        Returns:
            What was found, and file name -> what is wrong, in the order of `entries`.
        """
        jobs = [(entry, self._jobs.submit(self.find, entry)) for entry in entries]
        found: list[Found] = []
        errors: dict[str, KitError] = {}
        for entry, job in jobs:
            try:
                found.append(job.result())
            except KitError as error:
                errors[entry.file] = error
            else:
                if on_found is not None:
                    on_found(found[-1])
        return found, errors

    def find(self, entry: Entry) -> Found:
        """Find one entry.

        Raises:
            KitError: no file and no unpacked folder has its content.
        """
        name = PurePosixPath(entry.file).name
        same_size = sorted(
            self._by_size.get(entry.size, []),
            key=lambda path: (path.name != name, plain_name(path.name) != plain_name(name), str(path)),
        )
        hashes: dict[Path, str] = {}
        for path in same_size:
            try:
                hashes[path] = self._sha256(path)
            except OSError as error:
                hashes[path] = f"unreadable ({error.strerror})"
            if hashes[path] == entry.sha256:
                return Found(entry, path, "as is" if path.name == name else "renamed")
        if entry.members and (folder := self._unpacked(entry.members)):
            try:
                return Found(entry, self._pack(entry, folder), "packed again")
            except (KitError, OSError) as error:
                reason = error.problem if isinstance(error, KitError) else error.strerror or error
                raise KitError(
                    f"{name} was unpacked and cannot be packed again: {reason}",
                    where=self.scratch,
                    fix="free space there, or point TMPDIR to another disk",
                ) from error
        raise self._complaint(entry, hashes)

    def _sha256(self, path: Path) -> str:
        """Hash of a file whose next blocks are read ahead: one thread alone reads a cold mount too slowly."""
        digest = hashlib.sha256()
        with path.open("rb") as stream:
            handle, size = stream.fileno(), path.stat().st_size
            ahead: deque[Future[bytes]] = deque()
            for start in range(0, size, _BLOCK):
                ahead.append(self._readers.submit(os.pread, handle, _BLOCK, start))
                if len(ahead) >= _AHEAD:
                    digest.update(ahead.popleft().result())
            while ahead:
                digest.update(ahead.popleft().result())
        return digest.hexdigest()

    def _is(self, path: Path, expected: Sequence[object]) -> bool:
        size, sha256 = expected
        try:
            return path.stat().st_size == size and self._sha256(path) == sha256
        except OSError:
            return False

    def _unpacked(self, members: dict[str, list[object]]) -> Path | None:
        """A folder in which all members of an archive lie with their sizes and hashes.

        The archive's single top folder may have been dropped or doubled, so the folder is found from any
        member's tail.
        """
        top = _common_top(members)
        for prefix in dict.fromkeys(("", top)):
            relative = {name.removeprefix(prefix): value for name, value in members.items()}
            probe = max(relative, key=len)
            tail = "/" + probe
            for path in self._by_size.get(int(str(relative[probe][0])), []):
                if not path.as_posix().endswith(tail):
                    continue
                folder = Path(path.as_posix().removesuffix(tail))
                if all(self._is(folder / name, value) for name, value in relative.items()):
                    return folder
        return None

    def _pack(self, entry: Entry, folder: Path) -> Path:
        """A stored zip of an unpacked folder, with the member names the archive had."""
        assert entry.members is not None
        top = _common_top(entry.members)
        target = self.scratch / PurePosixPath(entry.file).name
        with (
            atomic_file(target) as temporary,
            # Mounts date files to 1970, which a zip cannot hold and would refuse.
            zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive,
        ):
            for name in entry.members:
                inside = folder / name
                archive.write(inside if inside.is_file() else folder / name.removeprefix(top), name)
        return target

    def _complaint(self, entry: Entry, hashes: dict[Path, str]) -> KitError:
        expected = f"expected {entry.size} bytes, sha256 {entry.sha256}"
        name = PurePosixPath(entry.file).name
        for path, found in hashes.items():
            if plain_name(path.name) == plain_name(name):
                return KitError(
                    f"{name} is damaged: {expected}; found the same size, sha256 {found}",
                    where=path,
                    fix="upload the dataset again; its content changed on the way",
                )
        for file in self.files:
            if plain_name(file.path.name) == plain_name(name):
                what = "truncated" if file.size < entry.size else "not the file that was bundled"
                return KitError(
                    f"{name} is {what}: {expected}; found {file.size} bytes",
                    where=file.path,
                    fix="upload the dataset again, or attach the version that belongs to this predict.py",
                )
        stem = plain_name(name)
        near = [
            file.path
            for file in self.files
            if any(plain_name(part) in {stem, plain_name(Path(name).stem)} for part in file.path.parts[-4:-1])
        ]
        if near and entry.members:
            return KitError(
                f"{name} was unpacked and some of its {len(entry.members)} members are missing or damaged; "
                f"{expected}",
                where=os.path.commonpath([path.parent for path in near]),
                fix="upload the dataset again",
            )
        return KitError(
            f"{name} is missing: {expected}; no file among the {len(self.files)} attached has this content",
            fix="attach the dataset that predict.py names in its header, at the version it was rendered for",
        )


def _common_top(members: Iterable[str]) -> str:
    """The archive's single top folder with its slash, "" without one."""
    tops = {name.partition("/")[0] for name in members if "/" in name}
    loose = any("/" not in name for name in members)
    return "" if loose or len(tops) != 1 else tops.pop() + "/"
