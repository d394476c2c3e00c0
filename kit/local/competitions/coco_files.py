"""Read COCO's instances JSON: images, annotations and categories of all images in one file.

Such files take hundreds of MB, most of it coordinates. So the parser drops keys that are not used, and packs
coordinates into arrays, as soon as it has read an annotation. (Format: cocodataset.org, "Data format".)
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from kit.errors import KitError
from kit.local.competitions.annotations import Annotation
from kit.local.masks import segmentation
from kit.masks import rle

_FIX = (
    'a COCO file is {"images": [{"id", "file_name", "height", "width"}, ...], "annotations": [{"image_id", '
    '"category_id", "segmentation", "iscrowd"}, ...], "categories": [{"id", "name"}, ...]}'
)
_PARTS = ("images", "annotations", "categories")
_OF_ANNOTATION = ("image_id", "category_id", "segmentation", "iscrowd")

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoAnnotation(Annotation):
    """A region of a COCO file.

    Attributes:
        segmentation: polygons or run lengths, their numbers in arrays (`segmentation.compact`).
    """

    segmentation: Any

    @property
    def key(self) -> Hashable:
        """Return category and numbers."""
        return self.type, self.crowd, segmentation.key_of(self.segmentation)

    def runs(self, height: int, width: int, where: str) -> rle.Runs:
        """Return the pixels that pycocotools makes of it."""
        return segmentation.runs_of(self.segmentation, height, width, where=where)


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


def read(path: Path) -> CocoFile:
    """Read a COCO file. Segmentations are checked later, when they are drawn.

    Raises:
        KitError: the file is missing, no JSON or of another form; a key is missing or wrong; two images or
            categories have one id; an annotation is of no image or category there is. Names the place.
    """
    # The file's three flat lists become one list of images with their annotations:
    #
    #     image 7 "a.tif"
    #     category 3 "cell"
    #     annotation of image 7 and category 3, drawn as S   ->   image "a.tif" with one "cell" drawn as S
    value = _load(path)
    lists = []
    for part in _PARTS:
        if not isinstance(value, dict) or not isinstance(value.get(part), list):
            raise KitError(f"this is no COCO file: it has no list of {part}", where=path, fix=_FIX)
        # Popped, so that the raw list can be freed as soon as its items are converted.
        lists.append(value.pop(part))
    listed_images, listed_annotations, listed_categories = lists
    categories: dict[int | str, str] = {}
    for where, item in _items(path, "category", listed_categories):
        _add(categories, _id(item, "id", where), _text(item, "name", where), where)
    images: dict[int | str, CocoImage] = {}
    for number, (where, item) in enumerate(_items(path, "image", listed_images), start=1):
        height, width = _length(item, "height", where), _length(item, "width", where)
        image = CocoImage(number, _text(item, "file_name", where), height, width)
        _add(images, _id(item, "id", where), image, where)
    for number, (where, item) in enumerate(_items(path, "annotation", listed_annotations), start=1):
        owner = _known(images, item, "image", where)
        kind = _known(categories, item, "category", where)
        if (crowd := item.get("iscrowd", 0)) not in (0, 1):
            raise KitError("iscrowd is neither 0 nor 1", where=where, fix="write 0 or 1, or remove the key")
        shape = _taken(item, "segmentation", where)
        owner.annotations.append(
            CocoAnnotation(number=number, type=kind, crowd=bool(crowd), segmentation=shape)
        )
    return CocoFile(list(images.values()), set(categories.values()))


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"), object_hook=_reduced)
    except FileNotFoundError as error:
        raise KitError("file is missing", where=path, fix="check the data folder") from error
    except (OSError, ValueError, RecursionError) as error:  # ValueError: no UTF-8, no JSON, or endless digits
        raise KitError(
            f"no readable JSON file ({type(error).__name__}: {error})", where=path, fix=_FIX
        ) from error


def _reduced(value: dict[str, Any]) -> dict[str, Any]:
    """Return an annotation with the keys that are used, its numbers as arrays; other objects as they are.

    The JSON parser calls this for every object once it is complete, innermost first.
    """
    if "segmentation" not in value or "image_id" not in value:
        return value
    # A polygon of 200 numbers takes 6.4 KB as a list of floats, 1.6 KB as an array.
    kept = {key: value[key] for key in _OF_ANNOTATION if key in value}
    kept["segmentation"] = segmentation.compact(kept["segmentation"])
    return kept


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
    # JSON's true is an int in Python, and would be the same id as 1.
    if not isinstance(value, int | str) or isinstance(value, bool):
        raise KitError(f"{key} is neither an integer nor a text", where=where, fix=_FIX)
    return value


def _text(item: dict[str, Any], key: str, where: str) -> str:
    value = _taken(item, key, where)
    if not isinstance(value, str) or not value.isprintable():
        raise KitError(f"{key} is no text, or not one that can be printed", where=where, fix=_FIX)
    return value


def _length(item: dict[str, Any], key: str, where: str) -> int:
    value = _taken(item, key, where)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise KitError(f"{key} is no integer above zero", where=where, fix=_FIX)
    return value


def _add(known: dict[int | str, T], key: int | str, value: T, where: str) -> None:
    if key in known:
        raise KitError(
            f"id {key!r} is there twice", where=where, fix="give each its own id, or remove one of them"
        )
    known[key] = value


def _known(known: dict[int | str, T], item: dict[str, Any], what: str, where: str) -> T:
    """Return the image or category that an annotation names by id."""
    key = _id(item, f"{what}_id", where)
    if key not in known:
        raise KitError(
            f"{what}_id is {key!r}, but there is no such {what}",
            where=where,
            fix=f"add the {what} to the file's list, or remove the annotation",
        )
    return known[key]
