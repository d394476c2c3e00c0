"""How the image files of a competition are read: what every part of the kit calls, whatever their format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kit.images.header import read_header, require_rgb8

if TYPE_CHECKING:
    from kit.images.slide import Slide


@dataclass(frozen=True)
class Facts:
    """What the header of an image file tells.

    Attributes:
        height: rows.
        width: columns.
        notes: what is left out, cut or assumed when its pixels are read, one sentence each.
    """

    height: int
    width: int
    notes: tuple[str, ...]


class ColourTiffs:
    """Reads TIFFs in colour, of any layout."""

    def facts(self, path: Path) -> Facts:
        """See `kit.images.image_protocols.Reading`."""
        header = read_header(path)
        notes = require_rgb8(header)
        if header.layout == "planar":
            notes.append("its channels come first (separate planes); they are read as RGB")
        return Facts(header.height, header.width, tuple(notes))

    def open(self, path: Path, *, scratch: Path | None = None) -> Slide:
        """See `kit.images.image_protocols.Reading`."""
        from kit.images.slide import open_slide  # needs numpy

        return open_slide(path, scratch=scratch)
