"""Polygons drawn by people, as the competitions' JSON files hold them."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.errors import KitError
from kit.local.competitions.annotations import Annotation
from kit.masks import rle

_LINE = 'a line is {"id": ..., "annotations": [{"type": ..., "coordinates": [[[x, y], ...]]}, ...]}'
_FILE = "a file is a list of rings [[[x, y], ...], ...] or of GeoJSON features of polygons"
_FAULTS = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What values of another form, and nests of brackets, end in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlines(Annotation):
    """A region whose pixels reach to its outline.

    Attributes:
        rings: of vertices (x, y); a ring in a ring is a hole.
    """

    rings: list[Any]

    @property
    def key(self) -> Hashable:
        """Type and coordinates."""
        try:
            return json.dumps([self.type, self.rings])
        except RecursionError:  # no rings, as `runs` will say
            return id(self.rings)

    def runs(self, height: int, width: int, where: str) -> rle.Runs:
        """The pixels inside, outline included."""
        from kit.local.masks import polygons

        return rle.encode(polygons.fill(self.rings, height, width, where=where))


def read_lines(path: Path) -> Iterator[tuple[str, str, list[Outlines]]]:
    """Id, place and annotations of every line of a JSON lines file.

    Raises:
        KitError: the file is missing or no text, or a line is of another form (names it).
    """
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            value = json.loads(line)
            image_id, listed = str(value["id"]), list(value["annotations"])
            found = [
                Outlines(number=place, type=item.get("type", ""), rings=item["coordinates"])
                for place, item in enumerate(listed, start=1)
            ]
        except _FAULTS as error:
            raise KitError(
                f"no line of polygons ({type(error).__name__}: {error})", where=where, fix=_LINE
            ) from error
        if not all(isinstance(item.type, str) and isinstance(item.rings, list) for item in found):
            raise KitError(
                "an annotation's type is no text or its coordinates are no list", where=where, fix=_LINE
            )
        yield image_id, f"{where} (id {image_id})", found


def read_file(path: Path) -> list[Outlines]:
    """The annotations of one image's file: a list of rings, each its own region, or GeoJSON features.

    Features' types are the names of their classification (as QuPath writes them), and every part of a
    multi-polygon is a region of its own.

    Raises:
        KitError: the file is missing, no JSON, or of another form.
    """
    try:
        value = json.loads(_text(path))
        items = value["features"] if isinstance(value, Mapping) else list(value)
        parts = [part for item in items for part in _of_item(item)]
        return [
            Outlines(number=number, type=name, rings=rings)
            for number, (name, rings) in enumerate(parts, start=1)
        ]
    except _FAULTS as error:
        raise KitError(
            f"no file of polygons ({type(error).__name__}: {error})", where=path, fix=_FILE
        ) from error


def _of_item(item: Any) -> list[tuple[str, list[Any]]]:
    """Type and rings of every region of an item."""
    if isinstance(item, list):
        return [("", [item])]
    geometry = item["geometry"]
    name = str(item.get("properties", {}).get("classification", {}).get("name", ""))
    if geometry["type"] not in ("Polygon", "MultiPolygon"):
        raise ValueError(f"geometry is a {geometry['type']}, no polygon")
    parts = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    return [(name, list(rings)) for rings in parts]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise KitError("file is missing", where=path, fix="check the data folder") from error
    except (OSError, UnicodeDecodeError) as error:
        raise KitError(
            f"not a readable JSON lines file: {error}", where=path, fix=f"{_LINE}; {_FILE}"
        ) from error
