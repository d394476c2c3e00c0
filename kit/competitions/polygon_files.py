"""Polygons drawn by people, as the competitions' JSON files hold them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.errors import KitError

_LINE = 'a line is {"id": ..., "annotations": [{"type": ..., "coordinates": [[[x, y], ...]]}, ...]}'
_FILE = "a file is a list of rings [[[x, y], ...], ...] or of GeoJSON features of polygons"


@dataclass(frozen=True)
class Annotation:
    """One region.

    Attributes:
        type: as the file says; empty where it does not.
        rings: of vertices (x, y); a ring in a ring is a hole. Not checked yet.
    """

    type: str
    rings: list[Any]


def read_lines(path: Path) -> Iterator[tuple[str, str, list[Annotation]]]:
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
            found = [Annotation(item.get("type", ""), item["coordinates"]) for item in listed]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise KitError(
                f"no line of polygons ({type(error).__name__}: {error})", where=where, fix=_LINE
            ) from error
        if not all(isinstance(item.type, str) and isinstance(item.rings, list) for item in found):
            raise KitError(
                "an annotation's type is no text or its coordinates are no list", where=where, fix=_LINE
            )
        yield image_id, f"{where} (id {image_id})", found


def read_file(path: Path) -> list[Annotation]:
    """The annotations of one image's file: a list of rings, each its own region, or GeoJSON features.

    Features' types are the names of their classification (as QuPath writes them), and every part of a
    multi-polygon is a region of its own.

    Raises:
        KitError: the file is missing, no JSON, or of another form.
    """
    try:
        value = json.loads(_text(path))
        items = value["features"] if isinstance(value, Mapping) else list(value)
        return [annotation for item in items for annotation in _of_item(item)]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise KitError(
            f"no file of polygons ({type(error).__name__}: {error})", where=path, fix=_FILE
        ) from error


def distinct(annotations: Sequence[Annotation]) -> list[tuple[int, Annotation]]:
    """Annotations with their numbers from 1, each polygon of a type once."""
    seen: set[str] = set()
    kept = []
    for number, annotation in enumerate(annotations, start=1):
        key = json.dumps([annotation.type, annotation.rings])
        if key not in seen:
            seen.add(key)
            kept.append((number, annotation))
    return kept


def _of_item(item: Any) -> list[Annotation]:
    if isinstance(item, list):
        return [Annotation("", [item])]
    geometry = item["geometry"]
    name = str(item.get("properties", {}).get("classification", {}).get("name", ""))
    if geometry["type"] not in ("Polygon", "MultiPolygon"):
        raise ValueError(f"geometry is a {geometry['type']}, no polygon")
    parts = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    return [Annotation(name, list(rings)) for rings in parts]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise KitError("file is missing", where=path, fix="check the data folder") from error
    except (OSError, UnicodeDecodeError) as error:
        raise KitError(
            f"not a readable JSON lines file: {error}", where=path, fix=f"{_LINE}; {_FILE}"
        ) from error
