"""`requested.json`: what a bundle of wheels alone was made for.

Such a bundle has no ensemble. Its file of this name tells the installer, the gate and the rehearsal what a
user wants to import, and what the wheels ask of packages that only the image brings.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from kit.artefacts import read_json
from kit.names import Name, PythonTag, Specifier
from kit.typed_json import Checked, Limit, from_plain, to_plain

SCHEMA = 1
NAME = "requested.json"
_MODULE = Limit(
    lambda text: all(part.isidentifier() for part in text.split(".")), "a module, such as 'google.protobuf'"
)


@dataclass(frozen=True, kw_only=True)
class Asked(Checked):
    """One distribution that a user asked for.

    Attributes:
        name: normalised.
        wanted: versions that the user accepts; "" for all.
        where: who asks: "requirements.txt:3", or the source of a package.
        modules: what to import to see that it works, e.g. ["cv2"]; empty if nothing is known to import.
        tags: Python tags on which it is asked for.
    """

    name: Name
    wanted: Specifier
    where: str
    modules: list[Annotated[str, _MODULE]]
    tags: list[PythonTag]


@dataclass(frozen=True, kw_only=True)
class OfImage(Checked):
    """What one asker needs of a distribution that is never shipped.

    Attributes:
        name: of that distribution, normalised: "numpy".
        accepts: versions that the asker accepts; "" for all.
        asker: distribution, or line of the requirements file.
        tags: Python tags on which it holds.
    """

    name: Name
    accepts: Specifier
    asker: str
    tags: list[PythonTag]


@dataclass(frozen=True, kw_only=True)
class Requested(Checked):
    """What a bundle of wheels alone was made for.

    Attributes:
        asked: the distributions that the user named, sorted by name.
        of_image: what is needed of the image's own packages, sorted by name and asker.
    """

    asked: list[Asked]
    of_image: list[OfImage]

    def on(self, tag: str) -> list[Asked]:
        """Return what is asked for on one Python."""
        return [item for item in self.asked if tag in item.tags]

    def as_dict(self) -> dict[str, Any]:
        """Return the plain JSON value."""
        return {"schema": SCHEMA, **to_plain(self)}


def from_dict(value: Any, *, where: str | Path | None = None) -> Requested:
    """Return what a plain JSON value says.

    Raises:
        KitError: wrong schema or fields.
    """
    return from_plain(Requested, value, where=where, fix="run `bundle wheels` again", schema=SCHEMA)


def load(path: Path) -> Requested:
    """Read `requested.json`.

    Raises:
        KitError: missing, damaged or of another schema.
    """
    return from_dict(read_json(path), where=path)
