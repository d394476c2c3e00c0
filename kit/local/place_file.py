"""One large file at a second place, without a second gigabyte and without a trip through memory."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from kit.artefacts import whole
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
    if not _link(source.resolve(), target):
        with whole(target) as temporary:
            shutil.copyfile(source, temporary)  # in blocks, so that memory does not grow with the file


def _link(source: Path, target: Path) -> bool:
    """Whether the target is now a hard link to the source.

    It cannot be where the folders are on different disks, or where the file system or its rules refuse.
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        os.link(source, temporary)
        temporary.replace(target)
    except OSError:
        return False
    finally:
        # POSIX: a rename between two links of one file does nothing and keeps both. That is the case when
        # the target was placed before, so the temporary name has to go in any case.
        temporary.unlink(missing_ok=True)
    return True
