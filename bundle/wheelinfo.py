"""Read what a wheel says about itself: version and tags in its name, requirements and licence in METADATA."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from bundle.licences import NOT_STATED
from kit.errors import KitError

_LICENCE_CHARACTERS = 80
"""Some distributions put their licence's full text into the field for its name."""


@dataclass(frozen=True, kw_only=True)
class WheelInfo:
    """One wheel file.

    Attributes:
        path: of the file.
        name: normalised.
        version: as in the file's name.
        tags: its compatibility tags, expanded.
        licence: SPDX expression if there is one, else a classifier or the first line of the licence field.
        requires: its Requires-Dist lines with their markers.
        requires_python: versions of Python that it accepts, as it says them; "" for all.
        extras: normalised names of its extras.
    """

    path: Path
    name: str
    version: str
    tags: frozenset[Tag]
    licence: str
    requires: tuple[Requirement, ...]
    requires_python: str
    extras: frozenset[str] = frozenset()

    def tag_names(self) -> list[str]:
        """Return the tags as sorted text."""
        return sorted(map(str, self.tags))

    def needs(self, environment: Mapping[str, str], extras: Sequence[str] = ()) -> list[Requirement]:
        """Return the requirements that hold with some extras in an environment, e.g. of another Python."""
        return [item for item in self.requires if holds(item, environment, extras)]


def holds(requirement: Requirement, environment: Mapping[str, str], extras: Sequence[str] = ()) -> bool:
    """Return whether a requirement applies: its marker is true without an extra or with one of `extras`."""
    if requirement.marker is None:
        return True
    # Metadata writes an extra as a marker: 'speed ; extra == "fast" and python_version >= "3.12"'. So the
    # marker is tried without an extra, then with each extra that was asked for.
    return any(requirement.marker.evaluate({**environment, "extra": extra}) for extra in ("", *extras))


def read(path: Path) -> WheelInfo:
    """Read a wheel's name and METADATA.

    Raises:
        KitError: the file is not a wheel, or its METADATA is missing or malformed.
    """
    fix = "delete the file and run the command again; it downloads the file again"
    try:
        name, version, _, tags = parse_wheel_filename(path.name)
        with zipfile.ZipFile(path) as archive:
            inside = next(item for item in archive.namelist() if _is_metadata(item))
            headers = HeaderParser().parsestr(archive.read(inside).decode(errors="replace"))
        requires = tuple(Requirement(line) for line in headers.get_all("Requires-Dist") or ())
    except StopIteration as error:
        raise KitError("the wheel has no METADATA", where=path, fix=fix) from error
    except (InvalidWheelFilename, InvalidRequirement, zipfile.BadZipFile, OSError) as error:
        raise KitError(f"this is not a usable wheel: {error}", where=path, fix=fix) from error
    return WheelInfo(
        path=path,
        name=canonicalize_name(name),
        version=str(version),
        tags=tags,
        licence=licence(headers),
        requires=requires,
        requires_python=headers.get("Requires-Python", "").strip(),
        extras=frozenset(canonicalize_name(text.strip()) for text in headers.get_all("Provides-Extra") or ()),
    )


def _is_metadata(name: str) -> bool:
    parts = name.split("/")
    return len(parts) == 2 and parts[0].endswith(".dist-info") and parts[1] == "METADATA"


def licence(headers: Message) -> str:
    """Return the licence's name: the SPDX expression, else the classifiers, else the text's first line."""
    if expression := headers.get("License-Expression"):
        return str(expression).strip()
    classifiers = headers.get_all("Classifier") or ()
    named = [item.split("::")[-1].strip() for item in classifiers if item.startswith("License ::")]
    named = [name for name in named if name != "OSI Approved"]  # the heading alone names no licence
    # "License :: OSI Approved :: MIT License" -> "MIT License"
    if named:
        return ", ".join(named)
    first = (headers.get("License") or "").strip().split("\n")[0].strip()
    return first[:_LICENCE_CHARACTERS] if first and first != "UNKNOWN" else NOT_STATED
