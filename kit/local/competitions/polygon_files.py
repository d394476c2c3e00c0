"""Read polygons from the JSON files of competitions: JSON lines, lists of rings, GeoJSON."""

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
"""Errors that JSON of another form raises, too many nested brackets included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlines(Annotation):
    """A region whose outline belongs to it.

    Attributes:
        rings: lists of vertices (x, y); a ring inside a ring is a hole.
    """

    rings: list[Any]

    @property
    def key(self) -> Hashable:
        """Return type and coordinates."""
        try:
            return json.dumps([self.type, self.rings])
        except RecursionError:  # nested too deep to be rings; `runs` reports it
            return id(self.rings)

    def runs(self, height: int, width: int, where: str) -> rle.Runs:
        """Return the pixels inside, outline included."""
        from kit.local.masks import polygons

        return rle.encode(polygons.fill(self.rings, height, width, where=where))


def read_lines(path: Path) -> Iterator[tuple[str, str, list[Outlines]]]:
    """Yield id, place and annotations of every line of a JSON lines file.

    Raises:
        KitError: the file is missing or no text, or a line has another form (names the line).
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
                f"this is no line of polygons ({type(error).__name__}: {error})", where=where, fix=_LINE
            ) from error
        if not all(isinstance(item.type, str) and isinstance(item.rings, list) for item in found):
            raise KitError(
                "an annotation's type is no text or its coordinates are no list", where=where, fix=_LINE
            )
        yield image_id, f"{where} (id {image_id})", found


def read_file(path: Path) -> list[Outlines]:
    """Return the annotations of one image's file, a list of rings or of GeoJSON features.

    Raises:
        KitError: the file is missing, no JSON, or has another form.
    """
    # Both forms, the second as QuPath writes it:
    #
    #     [ring, ring]                                              two regions without a type
    #     [{"geometry": {"type": "MultiPolygon",                    two regions of the type "Cortex",
    #                    "coordinates": [[ring, hole], [ring]]},    the first with a hole
    #       "properties": {"classification": {"name": "Cortex"}}}]
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
            f"this is no file of polygons ({type(error).__name__}: {error})", where=path, fix=_FILE
        ) from error


def _of_item(item: Any) -> list[tuple[str, list[Any]]]:
    """Return type and rings of every region of a ring or feature."""
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
