"""Read COCO's instances JSON: images, annotations and categories of all images in one file.

Such files take hundreds of MB, most of it coordinates. So the parser drops keys that are not used, and packs
coordinates into arrays, as soon as it has read an annotation. (Format: cocodataset.org, "Data format".)
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from kit.errors import KitError
from kit.local.competitions import json_files
from kit.local.competitions.annotations import Annotation
from kit.local.competitions.remarks import Remarks
from kit.local.masks import segmentation
from kit.masks import rle
from kit.typed_json import shown

_FIX = (
    'a COCO file is {"images": [{"id", "file_name", "height", "width"}, ...], "annotations": [{"image_id", '
    '"category_id", "segmentation", "iscrowd"}, ...], "categories": [{"id", "name"}, ...]}'
)
_PARTS = ("images", "annotations", "categories")
_OF_ANNOTATION = ("image_id", "category_id", "segmentation", "iscrowd")
_LONGEST = 2**31 - 1
"""Rows or columns of the largest image."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoAnnotation(Annotation):
    """A region of a COCO file.

    Attributes:
        segmentation: polygons or run lengths, their numbers in arrays (`segmentation.compact`).
        boxed: whether it has a box with an area.
    """

    segmentation: Any
    boxed: bool = False

    @property
    def key(self) -> Hashable:
        """Return category and numbers."""
        return self.type, self.crowd, segmentation.key_of(self.segmentation)

    def runs(self, height: int, width: int, where: str, remarks: Remarks) -> rle.Runs:
        """Return the pixels that pycocotools makes of it."""
        # Deleted regions stay in some files without a polygon. One with a box was never drawn: an error.
        if isinstance(self.segmentation, list) and not self.segmentation and not self.boxed:
            return rle.empty()
        runs = segmentation.runs_of(self.segmentation, height, width, where=where)
        kept, stray = segmentation.outlines(self.segmentation)
        if stray:
            remarks.note("annotations have polygons of one or two points, which are left out", where)
        if kept:
            remarks.tell_outside(np.concatenate(kept), height, width, where)
        return runs


@dataclass(frozen=True, slots=True)
class CocoImage:
    """An image of a COCO file.

    Attributes:
        number: position in the file's list, from 1.
        file_name: as in the file, maybe with folders.
        height: rows.
        width: columns.
        annotations: its regions in the file's order.
    """

    number: int
    file_name: str
    height: int
    width: int
    annotations: list[CocoAnnotation] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class CocoFile:
    """The content of a COCO file.

    Attributes:
        images: in the file's order.
        categories: names of the categories.
    """

    images: list[CocoImage]
    categories: set[str]


def read(path: Path, remarks: Remarks) -> CocoFile:
    """Read a COCO file. Segmentations are checked later, when they are drawn.

    Args:
        path: the file.
        remarks: get what is assumed.

    Raises:
        KitError: the file is missing, no JSON or of another form; a key is missing or wrong; two images or
            categories have one id; an annotation is of no image or category there is. Names the place.
    """
    # The file's three flat lists become one list of images with their annotations:
    #
    #     image 7 "a.tif"
    #     category 3 "cell"
    #     annotation of image 7 and category 3, drawn as S   ->   image "a.tif" with one "cell" drawn as S
    value = json_files.parse(json_files.read_text(path, _FIX), path, _FIX, on_object=_reduced)
    lists = []
    for part in _PARTS:
        if not isinstance(value, dict) or not isinstance(value.get(part), list):
            raise KitError(f"this is no COCO file: it has no list of {part}", where=path, fix=_FIX)
        # Popped, so that the raw list can be freed as soon as its items are converted.
        lists.append(value.pop(part))
    listed_images, listed_annotations, listed_categories = lists
    categories: _ById[str] = _ById("category", remarks)
    for where, item in _items(path, "category", listed_categories):
        categories.add(_id(item, "id", where), _text(item, "name", where), where)
    images: _ById[CocoImage] = _ById("image", remarks)
    for number, (where, item) in enumerate(_items(path, "image", listed_images), start=1):
        height, width = _length(item, "height", where), _length(item, "width", where)
        image = CocoImage(number, _text(item, "file_name", where), height, width)
        images.add(_id(item, "id", where), image, where)
    for number, (where, item) in enumerate(_items(path, "annotation", listed_annotations), start=1):
        owner = images.find(item, where)
        kind = categories.find(item, where)
        if (crowd := item.get("iscrowd", 0)) not in (0, 1):
            raise KitError("iscrowd is neither 0 nor 1", where=where, fix="write 0 or 1, or remove the key")
        shape = _taken(item, "segmentation", where)
        box = item.get("bbox")
        made = CocoAnnotation(
            number=number, type=kind, crowd=bool(crowd), segmentation=shape, boxed=_has_area(box)
        )
        owner.annotations.append(made)
    return CocoFile(images.values(), set(categories.values()))


def _reduced(value: dict[str, Any]) -> dict[str, Any]:
    """Return an annotation with the keys that are used, its numbers as arrays; other objects as they are.

    The JSON parser calls this for every object once it is complete, innermost first.
    """
    if "segmentation" not in value or "image_id" not in value:
        return value
    # A polygon of 200 numbers takes 6.4 KB as a list of floats, 1.6 KB as an array.
    kept = {key: value[key] for key in _OF_ANNOTATION if key in value}
    kept["segmentation"] = segmentation.compact(kept["segmentation"])
    if kept["segmentation"] == []:
        kept["bbox"] = value.get("bbox")
    return kept


def _has_area(box: Any) -> bool:
    """Return whether a box [left, top, width, height] covers something; what is no box might."""
    numbers = isinstance(box, list) and len(box) == 4 and all(isinstance(side, int | float) for side in box)
    return min(box[2:]) > 0 if numbers else box not in (None, [])


def _items(path: Path, what: str, listed: list[Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, item in enumerate(listed, start=1):
        where = f"{path}, {what} {number}"
        if not isinstance(item, dict):
            raise KitError(f"{what} is no object", where=where, fix=_FIX)
        yield where, item


def _taken(item: dict[str, Any], key: str, where: str) -> Any:
    if key not in item:
        raise KitError(f"{key} is missing", where=where, fix=_FIX)
    return item[key]


def _id(item: dict[str, Any], key: str, where: str) -> int | str:
    value = _taken(item, key, where)
    if isinstance(value, float) and value.is_integer():  # tables with gaps turn 7 into 7.0
        value = int(value)
    # JSON's true is an int in Python, and would be the same id as 1.
    if not isinstance(value, int | str) or isinstance(value, bool):
        raise KitError(f"{key} is neither an integer nor a text: {shown(value)}", where=where, fix=_FIX)
    return value


def _text(item: dict[str, Any], key: str, where: str) -> str:
    value = _taken(item, key, where)
    if not isinstance(value, str) or not value.isprintable():
        raise KitError(f"{key} is no text, or not one that can be printed", where=where, fix=_FIX)
    return value


def _length(item: dict[str, Any], key: str, where: str) -> int:
    value = _taken(item, key, where)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _LONGEST:
        raise KitError(f"{key} is no integer above zero: {shown(value)}", where=where, fix=_FIX)
    return value


class _ById(Generic[T]):
    """Images or categories by id. The number 7 and the text "7" mean the same, but not beside each other.

    Args:
        what: "image" or "category".
        remarks: get a note for every annotation whose id has the other type.
    """

    def __init__(self, what: str, remarks: Remarks) -> None:
        self._what, self._remarks = what, remarks
        self._known: dict[str, tuple[int | str, T]] = {}

    def add(self, key: int | str, value: T, where: str) -> None:
        """Add a value under a new id."""
        if str(key) in self._known:
            other = self._known[str(key)][0]
            kinds = "" if type(other) is type(key) else f", as {_kind(other)} and as {_kind(key)}"
            raise KitError(
                f"id {shown(key)} is there twice{kinds}",
                where=where,
                fix="give each its own id, or remove one of them",
            )
        self._known[str(key)] = key, value

    def find(self, item: dict[str, Any], where: str) -> T:
        """Return the value that an annotation names by id."""
        key = _id(item, f"{self._what}_id", where)
        if str(key) not in self._known:
            raise KitError(
                f"{self._what}_id is {shown(key)}, but there is no such {self._what}",
                where=where,
                fix=f"add the {self._what} to the file's list, or remove the annotation",
            )
        own, value = self._known[str(key)]
        if type(own) is not type(key):
            text = (
                f"annotations have {_kind(key)} as {self._what}_id, where the {self._what} has {_kind(own)}"
            )
            self._remarks.note(f"{text}; equal ones are taken for the same", where)
        return value

    def values(self) -> list[T]:
        """Return all values in their order."""
        return [value for _, value in self._known.values()]


def _kind(key: int | str) -> str:
    return "a text" if isinstance(key, str) else "a number"
