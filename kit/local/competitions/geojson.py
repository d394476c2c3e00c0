"""Find the polygons in GeoJSON as QuPath and others write it (RFC 7946; QuPath's `classification`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kit.errors import KitError
from kit.local.competitions.remarks import Remarks
from kit.typed_json import shown

FIX = "a file is a list of rings [[[x, y], ...], ...] or of GeoJSON features of polygons"
_NO_REGIONS = {"point", "multipoint", "linestring", "multilinestring"}
_PARTS = {"polygon": "coordinates", "multipolygon": "coordinates", "geometrycollection": "geometries"}


@dataclass(frozen=True, slots=True)
class Polygon:
    """One polygon.

    Attributes:
        place: what a message calls it, e.g. "feature 3 (id 1f0c)".
        type: name of its class; empty if it has none.
        rings: the outer ring, then those of its holes; not yet checked.
    """

    place: str
    type: str
    rings: list[Any]


def polygons(value: Any, where: str, remarks: Remarks) -> Iterator[Polygon]:
    """Yield the polygons of a file.

    Args:
        value: a feature collection, a feature, a geometry, or a list of features, geometries or rings.
        where: the file, for messages.
        remarks: get what is left out.

    Raises:
        KitError: a part has another form; names the feature.
    """
    # Of QuPath's region with a hole and a second part, of a class and a class derived from it
    #
    #     "geometry": {"type": "MultiPolygon", "coordinates": [[ring, hole], [ring]]}
    #     "properties": {"classification": {"names": ["Tumor", "Positive"]}}
    #
    # two polygons of the type "Tumor: Positive" are made, the first one of two rings.
    items = value.get("features", [value]) if isinstance(value, Mapping) else value
    if not isinstance(items, list):
        raise KitError(f"this is no list of features: {shown(items)}", where=where, fix=FIX)
    for number, item in enumerate(items, start=1):
        if isinstance(item, list):
            yield Polygon(f"ring {number}", "", [item])
            continue
        place = f"feature {number}"
        if not isinstance(item, Mapping):
            raise KitError(f"{place} is {shown(item)}, no object", where=where, fix=FIX)
        if "features" in item:
            yield from polygons(item, f"{where}, {place}", remarks)
            continue
        if (identity := item.get("id")) is not None:
            place += f" (id {identity if isinstance(identity, str) else shown(identity)})"
        here = f"{where}, {place}"
        is_feature = "geometry" in item or item.get("type") == "Feature"
        name = _class_of(item.get("properties"), here) if is_feature else ""
        for rings in _rings(item.get("geometry") if is_feature else item, here, remarks):
            yield Polygon(place, name, rings)


def _class_of(properties: Any, where: str) -> str:
    """Return the name of a feature's class, "Tumor: Positive" of a derived one; empty if it has none."""
    kind = properties.get("classification") if isinstance(properties, Mapping) else properties
    if isinstance(kind, Mapping):
        kind = kind.get("names") or kind.get("name")
    if isinstance(kind, list) and kind and all(isinstance(part, str) for part in kind):
        kind = ": ".join(part.strip() for part in kind)
    if not kind:  # null, {} and [] say that there is no class
        return ""
    if not isinstance(kind, str):
        raise KitError(
            f"its classification has no name that is a text: {shown(properties)}",
            where=where,
            fix='write "properties": {"classification": {"name": ...}}, or null',
        )
    return kind.strip()


def _rings(geometry: Any, where: str, remarks: Remarks) -> Iterator[list[Any]]:
    """Yield the rings of every polygon of a geometry."""
    if geometry is None:
        remarks.note("features have no geometry and are left out", where)
        return
    kind = geometry.get("type") if isinstance(geometry, Mapping) else None
    if not isinstance(kind, str):
        raise KitError(f"its geometry has no type: {shown(geometry)}", where=where, fix=FIX)
    form = kind.lower()
    if form in _NO_REGIONS:
        remarks.note(f"features are no regions ({kind}) and are left out", where)
        return
    if form not in _PARTS:
        raise KitError(f"its geometry is a {shown(kind)}, no polygon", where=where, fix=FIX)
    parts = geometry.get(_PARTS[form])
    if not isinstance(parts, list):
        raise KitError(f"its {kind} has no list of {_PARTS[form]}", where=where, fix=FIX)
    if not parts:
        remarks.note("features have no geometry and are left out", where)
    elif form == "geometrycollection":
        for part in parts:
            yield from _rings(part, where, remarks)
    else:
        yield from _lists(parts if form == "multipolygon" else [parts], kind, where)


def _lists(parts: list[Any], kind: str, where: str) -> Iterator[list[Any]]:
    for rings in parts:
        if not isinstance(rings, list):
            raise KitError(f"its {kind} has a part that is no list of rings", where=where, fix=FIX)
        yield rings
