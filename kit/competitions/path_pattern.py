"""Paths with `{id}` in them: id -> path, files on disk -> ids, file name in a table -> id."""

from __future__ import annotations

import glob
import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kit.competitions.definition import ID


def is_file(path: Path) -> bool:
    """Return whether a file is there; False for impossible paths, too, such as one with a very long id."""
    return os.path.isfile(path)  # noqa: PTH113  # Path.is_file raises for such


@dataclass(frozen=True)
class PathPattern:
    """A path below a folder, with `{id}` in it once or more.

    Attributes:
        text: the path, e.g. "train/{id}.tiff".
    """

    # With the text "train/{id}/im_{id}.tif":
    #     path("data", "7")      data/train/7/im_7.tif
    #     ids("data")            every x for which data/train/x/im_x.tif is there
    #     id_of("7/im_7.png")    "7"
    text: str

    def path(self, folder: Path, image_id: str) -> Path:
        """Return the path of an id's file; it need not exist."""
        return folder / self.text.replace(ID, image_id)

    def ids(self, folder: Path) -> list[str]:
        """Return the ids of the files in a folder, sorted; hidden files (macOS makes some) do not count."""
        form = _form(self.text)
        # "a{id}{id}.tif" would become the glob "a**.tif", which Python refuses or reads as "any depth".
        wanted = re.sub(r"\*+", "*", "*".join(map(glob.escape, self.text.split(ID))))
        names = (path.relative_to(folder).as_posix() for path in folder.glob(wanted))
        return sorted({match[1] for name in names if (match := form.fullmatch(name))})

    def id_of(self, name: str) -> str | None:
        """Return the id that a file name in some table means, None if it fits no image.

        The suffix may differ, and so may the folders in front of the last part with `{id}`.
        """
        try:
            given = PurePosixPath(name.replace("\\", "/")).with_suffix("").parts
        except ValueError:  # there is no name
            return None
        wanted = PurePosixPath(self.text).with_suffix("").parts
        # For "train/{id}.tif" the tail is "{id}": "a.png", "train/a.tif" and "/slides/a.tif" all mean "a".
        # For "{id}/image.tif" it is "{id}/image": "x/a/image.png" means "a", and "image.tif" nothing.
        tail = wanted[max(place for place, part in enumerate(wanted) if ID in part) :]
        match = _form("/".join(tail)).fullmatch("/".join(given[-len(tail) :]))
        return match[1] if match else None


def _form(text: str) -> re.Pattern[str]:
    """Return a regular expression of a pattern's paths; its first group is the id."""
    # "im_{id}_of_{id}.tif" becomes im_([^/.][^/]*?)_of_\1\.tif: both places have to hold the same id, so
    # "im_1_of_2.tif" is no image. An id may not begin with a dot: macOS puts "._a.tif" beside every "a.tif".
    first, *others = (re.escape(part) for part in text.split(ID))
    return re.compile(f"{first}([^/.][^/]*?)" + r"\1".join(others))
