"""Reads zip and tar archives that Kaggle left packed: what they hold, and one file out of them."""

from __future__ import annotations

import hashlib
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from kit.artefacts import atomic_file, open_to_read

UNREADABLE = (OSError, EOFError, RuntimeError, zipfile.BadZipFile, tarfile.TarError, zlib.error)
"""What a damaged archive raises."""

_BLOCK = 4 << 20
_NO_ARCHIVES = frozenset({".whl", ".safetensors", ".json", ".csv", ".png", ".jpg", ".jpeg", ".tif", ".tiff"})
"""Endings of files that are not opened in the search for archives: reading a mount takes time."""


@dataclass(frozen=True)
class PackedFile:
    """One file inside an archive: the archive's path, the file's name in it, and its size in bytes."""

    archive: Path
    inside: str
    size: int

    @property
    def name(self) -> str:
        """The name without folders."""
        return PurePosixPath(self.inside).name


def named_as_archive(path: Path) -> bool:
    """Return whether a file has an archive's ending."""
    return path.suffix.lower() in {".zip", ".tar", ".tgz", ".gz"}


def may_be_archive(path: Path) -> bool:
    """Return whether a file is worth opening. The ending alone says little: Kaggle may have changed it."""
    return path.suffix.lower() not in _NO_ARCHIVES


def list_archive(path: Path) -> list[PackedFile]:
    """Return the files inside an archive; none if the file is no archive or is damaged."""
    try:
        with open_to_read(path) as stream:
            if zipfile.is_zipfile(stream):
                with zipfile.ZipFile(stream) as packed:
                    return [
                        PackedFile(path, item.filename, item.file_size)
                        for item in packed.infolist()
                        if not item.is_dir()
                    ]
            stream.seek(0)
            # Opens .tar and, decompressing it, .tar.gz; any other file raises ReadError.
            with tarfile.open(fileobj=stream) as tar:
                return [PackedFile(path, item.name, item.size) for item in tar if item.isfile()]
    except UNREADABLE:
        return []


def take_out(item: PackedFile, target: Path) -> str:
    """Copy one file out of an archive; return the sha256 of the copy.

    Raises:
        KitError: the copy cannot be written.
        OSError and the others of `UNREADABLE`: the archive is damaged.
    """
    digest = hashlib.sha256()
    fix = "free space there, or point TMPDIR to another disk"
    with atomic_file(target, fix=fix) as temporary, temporary.open("wb") as copy, _open(item) as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
            copy.write(block)
    return digest.hexdigest()


@contextmanager
def _open(item: PackedFile) -> Iterator[IO[bytes]]:
    """Open one file of an archive; the others stay packed."""
    with open_to_read(item.archive) as file:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as packed, packed.open(item.inside) as stream:
                yield stream
            return
        file.seek(0)
        with tarfile.open(fileobj=file) as tar:
            content = tar.extractfile(item.inside)
            if content is None:
                raise tarfile.ReadError(f"{item.inside} is no file")
            with content:
                yield content
