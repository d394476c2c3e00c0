"""Reads zip and tar archives that Kaggle left packed: what they hold, and one file out of them."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from kit.artefacts import atomic_stream, open_to_read

UNREADABLE = (
    *(OSError, EOFError, RuntimeError, NotImplementedError, ValueError, OverflowError),
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError),
)
"""What a damaged archive raises."""

_BLOCK = 4 << 20
_ZIP = b"PK\x03\x04"
_RATIO = 20
_SPARE = 64 << 20
"""An archive of wheels and weights unpacks to once or twice its size; more than this is an attack."""
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
    return path.suffix.lower() in {".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz"}


def may_be_archive(path: Path) -> bool:
    """Return whether a file is worth opening. The ending alone says little: Kaggle may have changed it."""
    return path.suffix.lower() not in _NO_ARCHIVES


@dataclass
class Listing:
    """What an archive holds.

    Attributes:
        files: as far as the archive can be read.
        fault: why it cannot be read to its end; None if it can, or if the file is no archive at all.
    """

    files: list[PackedFile] = field(default_factory=list)
    fault: str | None = None


def list_archive(path: Path) -> Listing:
    """Return the files inside an archive."""
    listing = Listing()
    try:
        with open_to_read(path) as stream:
            start = stream.peek(len(_ZIP))[: len(_ZIP)]
            if zipfile.is_zipfile(stream):
                with zipfile.ZipFile(stream) as packed:
                    items = [item for item in packed.infolist() if not item.is_dir()]
                    listing.files += [PackedFile(path, item.filename, item.file_size) for item in items]
            elif start == _ZIP:
                listing.fault = "its end, where a zip has its table of contents, is missing"
            else:
                with _tar(stream, path.stat().st_size) as tar:
                    # One by one: what lies before a cut is kept.
                    for item in tar:
                        if item.isfile():
                            listing.files.append(PackedFile(path, item.name, item.size))
    except UNREADABLE as error:
        if listing.files or named_as_archive(path):
            listing.fault = str(error)
    return listing


def take_out(item: PackedFile, target: Path) -> str:
    """Copy one file out of an archive; return the sha256 of the copy.

    Raises:
        KitError: the copy cannot be written.
        OSError and the others of `UNREADABLE`: the archive is damaged, or the file is larger than it says.
    """
    digest, left = hashlib.sha256(), item.size
    fix = "free space there, or point TMPDIR to another disk"
    with atomic_stream(target, fix=fix) as copy, _open(item) as stream:
        while block := stream.read(_BLOCK):
            left -= len(block)
            if left < 0:
                raise EOFError(f"it unpacks to more than the {item.size} bytes it says")
            digest.update(block)
            copy.write(block)
        if left:
            raise EOFError(f"it ends {left} bytes too early")
    return digest.hexdigest()


def may_be_taken_out(item: PackedFile) -> bool:
    """Whether an archive inside an archive has a plausible size: 5 MB of zeros could become 5 GB."""
    return item.size <= _most_unpacked(item.archive.stat().st_size)


def _most_unpacked(size: int) -> int:
    return _RATIO * size + _SPARE


class _Limited:
    """A decompressed stream that ends with an error where an honest archive would have ended long before."""

    def __init__(self, stream: IO[bytes], most: int) -> None:
        self._stream, self._most = stream, most
        self.tell = stream.tell

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._check(self._stream.tell())
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        self._check(offset)
        return self._stream.seek(offset, whence)

    def _check(self, position: int) -> None:
        if position > self._most:
            raise tarfile.ReadError(f"it unpacks to more than {self._most} bytes")


def _tar(stream: io.BufferedReader, size: int) -> tarfile.TarFile:
    """Open a tar, packed or not, whose file has this size; any other file raises ReadError."""
    stream.seek(0)
    start = stream.peek(6)
    plain: Any = stream
    for magic, unpack in ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ", lzma.open)):
        if start.startswith(magic):
            plain = _Limited(cast("IO[bytes]", unpack(stream)), _most_unpacked(size))
    return tarfile.open(fileobj=plain, mode="r:")


@contextmanager
def _open(item: PackedFile) -> Iterator[IO[bytes]]:
    """Open one file of an archive; the others stay packed."""
    with open_to_read(item.archive) as file:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as packed, packed.open(item.inside) as stream:
                yield stream
            return
        with _tar(file, item.archive.stat().st_size) as tar:
            # Not `tar.extractfile(name)`, which reads to the end, where the archive may be cut.
            member = next((each for each in tar if each.name == item.inside and each.isfile()), None)
            content = tar.extractfile(member) if member is not None else None
            if content is None:
                raise tarfile.ReadError(f"{item.inside} is no file")
            with content:
                yield content
