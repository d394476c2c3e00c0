"""Read polygons from the JSON files of competitions: JSON lines, lists of rings, GeoJSON."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.errors import KitError
from kit.local.competitions import geojson, json_files
from kit.local.competitions.annotations import Annotation
from kit.local.competitions.remarks import Remarks
from kit.masks import rle
from kit.typed_json import shown

_LINE = 'a line is {"id": ..., "annotations": [{"type": ..., "coordinates": [[[x, y], ...]]}, ...]}'
_FEWEST = 3
"""Vertices of the smallest ring."""


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

    def runs(self, height: int, width: int, where: str, remarks: Remarks) -> rle.Runs:
        """Return the pixels inside, outline included; what lies outside the image is cut off."""
        from kit.local.masks import polygons

        rings = [polygons.vertices(ring, number, where=where) for number, ring in enumerate(self.rings)]
        kept = [ring for ring in rings if len(ring) >= _FEWEST]
        if len(kept) < len(rings):
            remarks.note("outlines have rings of fewer than three vertices, which are left out", where)
        if not kept or len(rings[0]) < _FEWEST:  # the first ring is the outer one, all others are its holes
            return rle.empty()
        remarks.tell_outside(kept[0], height, width, where)
        return rle.encode(polygons.fill(kept, height, width, where=where))


def read_lines(path: Path) -> Iterator[tuple[str, str, list[Outlines]]]:
    """Yield id, place and annotations of every line of a JSON lines file.

    Raises:
        KitError: the file is missing or no text, or a line has another form (names line and annotation).
    """
    for number, line in enumerate(json_files.read_text(path, _LINE).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        value = json_files.parse(line, where, _LINE)
        image_id = value.get("id") if isinstance(value, dict) else None
        # JSON's true is an int in Python; and a text may hold what no file name can, such as NUL.
        if (
            not isinstance(image_id, int | str)
            or isinstance(image_id, bool)
            or not str(image_id).isprintable()
        ):
            problem = f"this line has no id that is an integer or a printable text: {shown(image_id)}"
            raise KitError(problem, where=where, fix=_LINE)
        where = f"{where} (id {image_id})"
        if not isinstance(listed := value.get("annotations"), list):
            raise KitError("this line has no list of annotations", where=where, fix=_LINE)
        yield str(image_id), where, [_outlines(item, place, where) for place, item in enumerate(listed, 1)]


def _outlines(item: Any, number: int, where: str) -> Outlines:
    here = f"{where}, annotation {number}"
    if not isinstance(item, dict):
        raise KitError(f"annotation is {shown(item)}, no object", where=here, fix=_LINE)
    kind, rings = item.get("type") or "", item.get("coordinates")
    if not isinstance(kind, str) or not isinstance(rings, list):
        problem = "an annotation's type is no text or its coordinates are no list"
        raise KitError(problem, where=here, fix=_LINE)
    return Outlines(number=number, type=kind, rings=rings)


def read_file(path: Path, remarks: Remarks) -> list[Outlines]:
    """Return the annotations of one image's file, a list of rings or GeoJSON.

    Args:
        path: the file.
        remarks: get what is left out.

    Raises:
        KitError: the file is missing, no JSON, or has another form (names the feature).
    """
    value = json_files.parse(json_files.read_text(path, geojson.FIX), path, geojson.FIX)
    try:
        found = list(geojson.polygons(value, str(path), remarks))
    except RecursionError as error:
        raise KitError("collections are nested too deep", where=path, fix=geojson.FIX) from error
    return [
        Outlines(number=number, label=item.place, type=item.type, rings=item.rings)
        for number, item in enumerate(found, start=1)
    ]
