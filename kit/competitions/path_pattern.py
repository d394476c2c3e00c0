"""Paths with `{id}` in them: id -> path, files on disk -> ids."""

from __future__ import annotations

import glob
import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from kit.competitions.folder_paths import ID
from kit.competitions.images_format import IMAGE_SUFFIXES
from kit.errors import KitError


def is_file(path: Path) -> bool:
    """Return whether a file is there; False for impossible paths, too, such as one with a very long id."""
    return os.path.isfile(path)  # noqa: PTH113  # Path.is_file raises for such


def plain_id(image_id: str) -> str:
    """Return an id without an image's suffix: "aa" of "aa.png" and "aa.OME.tif", but "a.b" of "a.b"."""
    stem, dot, suffix = image_id.rpartition(".")
    if not stem or dot + suffix.lower() not in IMAGE_SUFFIXES:
        return image_id
    return stem[:-4] if stem.lower().endswith(".ome") and len(stem) > 4 else stem


def spelled(path: Path) -> Path | None:
    """Return a path that exists, or the only one that differs from it in case; None if there is none."""
    if os.path.exists(path):  # noqa: PTH110  # Path.exists raises for impossible paths
        return path
    parent = path.parent
    if parent == path or (folder := spelled(parent)) is None or not folder.is_dir():
        return None
    same = _names(folder, folder.stat().st_mtime_ns).get(path.name.lower(), ())
    return folder / same[0] if len(same) == 1 else None


@lru_cache(maxsize=16)
def _names(folder: Path, stamp: int) -> dict[str, list[str]]:
    """Return a folder's names by their lower case; a new `stamp` (time of change) misses the cache."""
    del stamp
    found: dict[str, list[str]] = {}
    try:
        for name in os.listdir(folder):  # noqa: PTH208  # faster than Path.iterdir
            found.setdefault(name.lower(), []).append(name)
    except OSError:
        pass  # what cannot be listed has no names
    return found


@dataclass(frozen=True)
class PathPattern:
    """A path below a folder, with `{id}` in it once or more.

    Attributes:
        text: the path, e.g. "train/{id}.tiff".
        suffixes: of the files that count where the text ends with the id; empty: all.
    """

    # With the text "train/{id}/im_{id}.tif":
    #     path("data", "7")      data/train/7/im_7.tif
    #     ids("data")            every x for which data/train/x/im_x.tif is there
    text: str
    suffixes: tuple[str, ...] = ()

    def path(self, folder: Path, image_id: str) -> Path:
        """Return the path of an id's file; it need not exist.

        The id may end with the suffix of a TIFF, and the name on disk may differ in case.

        Raises:
            KitError: the id leads out of the folder, or no file can have such a name.
        """
        # Tables name the image "a" in many ways. With the text "train/{id}.tif", the ids "a", "a.tif" and
        # "A.TIF" find train/a.tif or train/a.TIF; with "train/{id}", they find train/a.svs, too.
        exact, short = (self._below(folder, name) for name in (image_id, plain_id(image_id)))
        if is_file(exact):
            return exact
        bare = self.text.endswith(ID)
        if found := spelled(exact) or spelled(short):
            return found
        if bare and (place := spelled(exact.parent)):
            stems = {plain_id(exact.name).lower(), exact.stem.lower()}
            names = [name for same in _names(place, place.stat().st_mtime_ns).values() for name in same]
            ends = self.suffixes or IMAGE_SUFFIXES
            fits = [name for name in names if name.lower().endswith(ends) and plain_id(name).lower() in stems]
            if len(fits) == 1:
                return place / fits[0]
        return exact if bare else short

    def name(self, image_id: str) -> str:
        """Return the path of an id's file below the folder, as the pattern spells it."""
        return self.text.replace(ID, image_id)

    def _below(self, folder: Path, image_id: str) -> Path:
        place = PurePosixPath(self.name(image_id))
        if place.is_absolute() or ".." in place.parts or not is_name(image_id):
            raise KitError(
                f"id {image_id!r} is no name of a file in the data folder, as {self.text} needs it",
                where=folder,
                fix="write the image's own name in the row or entry with this id",
            )
        return folder / place

    def ids(self, folder: Path) -> list[str]:
        """Return the ids of the files in a folder, sorted; hidden files (macOS makes some) do not count."""
        parts = PurePosixPath(self.text).parts
        first = next(place for place, part in enumerate(parts) if ID in part)
        base, text = folder.joinpath(*parts[:first]), "/".join(parts[first:])
        base, form = spelled(base) or base, form_of(text)
        # "a{id}{id}.tif" would become the glob "a**.tif", which Python refuses or reads as "any depth".
        wanted = re.sub(r"\*+", "*", "*".join(map(any_case, text.split(ID))))
        names = [path.relative_to(base).as_posix() for path in base.glob(wanted)]
        if self.suffixes and text.endswith(ID):
            names = [name for name in names if name.lower().endswith(self.suffixes)]
        return sorted({match[1] for name in names if (match := form.fullmatch(name))})


def is_name(text: str) -> bool:
    """Return whether a file system can hold it: no zero byte, nothing that is no UTF-8."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def form_of(text: str) -> re.Pattern[str]:
    """Return a regular expression of a pattern's paths; its first group is the id."""
    # "im_{id}_of_{id}.tif" becomes im_([^/.][^/]*?)_of_\1\.tif: both places have to hold the same id, so
    # "im_1_of_2.tif" is no image. An id may not begin with a dot: macOS puts "._a.tif" beside every "a.tif".
    first, *others = (re.escape(part) for part in text.split(ID))
    return re.compile(f"{first}([^/.][^/]*?)" + r"\1".join(others), re.IGNORECASE)


def any_case(text: str) -> str:
    """Return a glob of a text in upper or lower case."""
    return "".join(f"[{c.lower()}{c.upper()}]" if c.isalpha() else glob.escape(c) for c in text)
