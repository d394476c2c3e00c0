"""Put a large file at a second place as a hard link, or copy it in blocks."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from kit.artefacts import atomic_file
from kit.errors import KitError


def place_file(source: Path, target: Path) -> None:
    """Put a file at a second place atomically: as a hard link, or as a copy where links do not work.

    Both names of a hard link are the same bytes on disk. So use this only for files that nobody changes in
    place. Our own writers never do: they write a new file under a temporary name and rename it, which leaves
    the bytes under the other name as they were.

    Args:
        source: the file there is.
        target: the other place; a file there is replaced. Its folder is made if it is missing.

    Raises:
        KitError: the source is missing or unreadable, the target's folder cannot be written, the disk is
            full.
    """
    if not source.is_file():
        raise KitError("the file to place is missing", where=source, fix="run the step that writes it again")
    with atomic_file(target) as temporary:
        # A rename between two names of one file does nothing (POSIX): then the target is there already, and
        # `atomic_file` removes the temporary name.
        if not _linked(source.resolve(), temporary):
            _copy(source, temporary)


def _copy(source: Path, path: Path) -> None:
    try:
        shutil.copyfile(source, path)  # in blocks, so that memory does not grow with the file
    except OSError as error:
        # A copy inside the kernel names the source, also when it is the other disk that is full.
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            error.filename = str(path)
        raise


def _linked(source: Path, path: Path) -> bool:
    """Hard-link a file; False where the folders are on different disks, or where the file system refuses."""
    try:
        os.link(source, path)
    except OSError:
        return False
    return True
