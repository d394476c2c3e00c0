"""Chooses the folder for temporary files: packages, files out of archives, results of passes.

Disks differ from image to image: /tmp may be small while /kaggle/working or /dev/shm is empty. So each place
is tried, and the first one with enough room is taken. A disk in memory comes last: it takes memory from the
networks.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kit.errors import KitError
from kit.manifest import Entry

GB = 1e9
_UNPACKED = 4
"""A wheel of 1 MB takes up to 4 MB when it is installed."""
_FILES = 20_000
"""Files that the packages of the largest ensembles have."""
_SPARE = 200_000_000
"""Bytes for logs, caches, compiled modules and rows."""
_TRIAL = b"\xc3" * mmap.PAGESIZE
_VARIABLES = ("TMPDIR", "TEMP", "TMP")
_USUAL = ("/tmp", "/var/tmp")  # noqa: S108 - a folder with an unguessable name is made in it
_IN_MEMORY = "/dev/shm"  # noqa: S108 - the same
_FIX = "free space there, or point TMPDIR to a disk that has it"


@dataclass(frozen=True)
class Place:
    """A folder that can hold a scratch folder.

    Attributes:
        folder: the place.
        free: bytes.
        files: number of files that can still be made.
        executable: libraries can be loaded from there.
    """

    folder: Path
    free: int
    files: int
    executable: bool = True

    def has(self, needed: int) -> bool:
        """Whether that many bytes and the packages' files have room, and libraries can be loaded."""
        return self.executable and self.free >= needed and self.files >= _FILES

    def __str__(self) -> str:
        few = f" and room for only {self.files} files" if self.files < _FILES else ""
        mount = "" if self.executable else ", but no library can be loaded from there"
        return f"{self.folder} has {self.free / GB:.3g} GB{few}{mount}"


@dataclass(frozen=True)
class Scratch:
    """The chosen folder.

    Attributes:
        folder: new and empty.
        note: why it is not in the usual place, or that no disk has enough room; None if all is as usual.
        in_output: it lies in the output folder and has to be deleted at the end, even on Kaggle.
    """

    folder: Path
    note: str | None = None
    in_output: bool = False


def space_needed(entries: Iterable[Entry], results: float = 0.0) -> int:
    """Return the bytes that a run may need.

    Args:
        entries: of the manifests: wheels that will be installed, weights.
        results: bytes of all results of passes.
    """
    # Two wheels of 60 MB in an archive that Kaggle left packed: 2 x 60 taken out, 2 x 4 x 60 installed.
    # Weights that lie in the open are read where they are.
    total = _SPARE + int(results)
    for entry in entries:
        copied = entry.size if entry.archive is not None else 0
        total += copied + (_UNPACKED * entry.size if entry.wheel is not None else 0)
    return total


def choose_scratch(needed: int, output: Path) -> Scratch:
    """Make a scratch folder where there is room.

    Args:
        needed: bytes, from `space_needed`.
        output: folder of the submission, which may be a disk of its own.

    Raises:
        KitError: nothing can be written anywhere.
    """
    folders = usual_folders(output)
    places = [place for folder in folders if (place := look_at(folder)) is not None]
    if not places:
        raise KitError(
            f"no temporary folder can be made in {', '.join(map(str, folders))}", where=folders[0], fix=_FIX
        )
    chosen = pick(places, needed)
    note = None
    if not chosen.has(needed):
        about = "; ".join(map(str, places))
        note = f"temporary files may need {needed / GB:.3g} GB: {about}. {chosen.folder} is used; {_FIX}"
    elif chosen is not places[0] or (any(map(os.environ.get, _VARIABLES)) and chosen.folder != folders[0]):
        note = (
            f"temporary files go to {chosen.folder} ({chosen.free / GB:.3g} GB free): they may need "
            f"{needed / GB:.3g} GB, and {places[0] if chosen is not places[0] else 'TMPDIR cannot be used'}"
        )
    inside = chosen.folder == output.absolute()
    prefix = ".predict-" if inside else "predict-"  # a hidden folder is no file of the submission
    return Scratch(Path(tempfile.mkdtemp(prefix=prefix, dir=chosen.folder)), note, inside)


def usual_folders(output: Path) -> list[Path]:
    """Return the folders that may hold temporary files, the best first, whether or not they can be used.

    Args:
        output: a folder that is used if those for temporary files are too small.
    """
    named = [Path(value) for name in _VARIABLES if (value := os.environ.get(name))]
    usual = [*named, *map(Path, _USUAL)]
    return list(dict.fromkeys(folder.absolute() for folder in (*usual, output, Path(_IN_MEMORY))))


def pick(places: list[Place], needed: int) -> Place:
    """Return the first place with enough room, else the one with the most."""
    enough = next((place for place in places if place.has(needed)), None)
    return enough or max(places, key=lambda place: (place.executable and place.files >= _FILES, place.free))


def look_at(folder: Path) -> Place | None:
    """Return what a folder has room for, None if nothing can be written there."""
    trial: Path | None = None
    try:
        trial = Path(tempfile.mkdtemp(prefix=".predict-", dir=folder))
        (trial / "file").write_bytes(_TRIAL)  # a disk that is full, or whose quota is used up, fails here
        executable = _loads_libraries(trial / "file")
        disk = os.statvfs(trial)
    except OSError:
        return None
    finally:
        if trial is not None:
            shutil.rmtree(trial, ignore_errors=True)
    free = disk.f_bavail * disk.f_frsize
    # Some file systems have no table of files and report 0 of 0.
    files = disk.f_favail if disk.f_files else _FILES
    # What lies in /dev/shm is memory, and the networks need the other half.
    return Place(folder, free // 2 if str(folder) == _IN_MEMORY else free, files, executable)


def _loads_libraries(file: Path) -> bool:
    """Whether code in a file may be mapped for execution; a disk mounted with `noexec` refuses it."""
    with file.open("rb") as stream, contextlib.suppress(OSError):
        mmap.mmap(stream.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_EXEC).close()
        return True
    return False
