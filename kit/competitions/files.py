"""Files of images: a path with `{id}` in it, filled in and found again."""

from __future__ import annotations

import glob
import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kit.competitions.definition import ID


def is_file(path: Path) -> bool:
    """Whether a file is there; False, too, for a path no file can have, such as one with a very long id."""
    return os.path.isfile(path)  # noqa: PTH113  # Path.is_file raises for such


@dataclass(frozen=True)
class PathPattern:
    """A path below a folder, with `{id}` once or more.

    Attributes:
        text: such as "train/{id}.tiff" or "train/{id}/images/{id}.tif".
    """

    text: str

    def path(self, folder: Path, image_id: str) -> Path:
        """The file of an id; it need not exist."""
        return folder / self.text.replace(ID, image_id)

    def ids(self, folder: Path) -> list[str]:
        """Ids of the files there are, sorted; hidden files are none (macOS leaves one beside every image)."""
        form = _form(self.text)
        wanted = re.sub(r"\*+", "*", "*".join(map(glob.escape, self.text.split(ID))))
        names = (path.relative_to(folder).as_posix() for path in folder.glob(wanted))
        return sorted({match[1] for name in names if (match := form.fullmatch(name))})

    def id_of(self, name: str) -> str | None:
        """The id of the image that a file name in some table means; None if it means none.

        Neither the suffix nor folders in front of the last `{id}` count, so "train/{id}.tif" finds "a" in
        "a.png", "train/a.tif" and "/slides/a.tif".
        """
        try:
            given = PurePosixPath(name.replace("\\", "/")).with_suffix("").parts
        except ValueError:  # there is no name
            return None
        wanted = PurePosixPath(self.text).with_suffix("").parts
        tail = wanted[max(place for place, part in enumerate(wanted) if ID in part) :]
        match = _form("/".join(tail)).fullmatch("/".join(given[-len(tail) :]))
        return match[1] if match else None


def _form(text: str) -> re.Pattern[str]:
    """What a pattern's paths are like, the id being the group."""
    first, *others = (re.escape(part) for part in text.split(ID))
    return re.compile(f"{first}([^/.][^/]*?)" + r"\1".join(others))
