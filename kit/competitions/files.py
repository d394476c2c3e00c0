"""Files of images: a path with `{id}` in it, filled in and found again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from kit.competitions.definition import ID


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
        """Ids of the files there are, sorted."""
        first, *others = (re.escape(part) for part in self.text.split(ID))
        form = re.compile(f"{first}([^/]+?)" + r"\1".join(others))
        names = (path.relative_to(folder).as_posix() for path in folder.glob(self.text.replace(ID, "*")))
        return sorted({match[1] for name in names if (match := form.fullmatch(name))})
