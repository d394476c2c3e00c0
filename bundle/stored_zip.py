"""Write zip archives whose bytes depend on nothing but the files inside.

Files are stored without compression: the output of deflate differs between builds of zlib, and what we put
into archives (wheels, weights) hardly shrinks.
"""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path

from kit.artefacts import atomic_file

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time a zip entry can carry."""

_UNIX = 3
_PLAIN_FILE = 0o100644 << 16
"""A regular file, rw-r--r--, where a zip made on Unix keeps it."""
_PROGRAM = 0o100755 << 16
"""A file that may be run, rwxr-xr-x."""

_BLOCK = 1 << 20


def write(path: Path, files: Mapping[str, Path | bytes], *, programs: Collection[str] = ()) -> None:
    """Write an archive, or leave what was there before when that fails.

    Args:
        path: the archive.
        files: name inside the archive -> its bytes, or a file that holds them; written in this order. Files
            are copied in blocks of 1 MiB, so that their size does not matter.
        programs: names of the files that may be run.

    Raises:
        KitError: the archive cannot be written, or a file cannot be read.
    """
    with atomic_file(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, source in files.items():
            entry = _entry(name, _PROGRAM if name in programs else _PLAIN_FILE)
            if isinstance(source, bytes):
                archive.writestr(entry, source)
                continue
            # zipfile needs the size beforehand to choose the layout for files above 2 GiB.
            entry.file_size = source.stat().st_size
            with source.open("rb") as reader, archive.open(entry, "w") as writer:
                shutil.copyfileobj(reader, writer, _BLOCK)


def holds(path: Path, files: Mapping[str, tuple[int, str]]) -> bool:
    """Return whether an archive is one that `write` made of these files and is undamaged; read it once.

    An archive with programs is none of them: only wheels have these, and nobody asks it of a wheel.

    Args:
        path: the archive; it may be absent or damaged.
        files: name inside the archive -> its size in bytes and its hex sha256, in the order of `write`.
    """
    # Compare how entries look first: it needs only the archive's directory. Then read the contents once.
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if [_look(entry) for entry in entries] != [_look(_entry(name)) for name in files]:
                return False
            for entry, (size, sha256) in zip(entries, files.values(), strict=True):
                digest = hashlib.sha256()
                with archive.open(entry) as stream:
                    while block := stream.read(_BLOCK):
                        digest.update(block)
                if (entry.file_size, digest.hexdigest()) != (size, sha256):
                    return False
    except (OSError, zipfile.BadZipFile, EOFError, RuntimeError):
        return False
    return True


def _entry(name: str, mode: int = _PLAIN_FILE) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.create_system = _UNIX
    entry.external_attr = mode
    return entry


def _look(entry: zipfile.ZipInfo) -> tuple[object, ...]:
    """Return what a zip stores about a file besides its content."""
    return entry.filename, entry.date_time, entry.create_system, entry.external_attr, entry.compress_type
