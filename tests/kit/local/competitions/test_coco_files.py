import json

import numpy as np
import pytest

from kit.competitions.path_pattern import PathPattern
from kit.errors import KitError
from kit.local.competitions import coco_files

SQUARE = [[0, 0, 5, 0, 5, 5, 0, 5]]


def whole():
    return {
        "images": [
            {"id": 1, "file_name": "a.png", "height": 6, "width": 8},
            {"id": "two", "file_name": "b.png", "height": 7, "width": 9},
        ],
        "annotations": [
            {"id": 5, "image_id": 1, "category_id": 3, "segmentation": SQUARE, "area": 25, "iscrowd": 0},
            {"id": 5, "image_id": 1, "category_id": 3, "segmentation": SQUARE, "iscrowd": 1},
        ],
        "categories": [{"id": 3, "name": "cell"}, {"id": 4, "name": "debris"}],
    }


@pytest.fixture
def refusal(tmp_path):
    """What is said of a file's bytes or value: problem and place."""

    def refuse(value):
        path = tmp_path / "some.json"
        path.write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())
        with pytest.raises(KitError) as caught:
            coco_files.read(path)
        assert caught.value.fix
        return caught.value.problem, str(caught.value.where).replace(str(path), "FILE")

    return refuse


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
def test_images_have_their_annotations_in_the_order_of_the_file(tmp_path, mark):
    path = tmp_path / "some.json"
    path.write_bytes(mark + json.dumps(whole(), indent=1).replace("\n", "\r\n").encode())
    found = coco_files.read(path)
    assert found.categories == {"cell", "debris"}
    first, second = found.images
    assert (first.file_name, first.height, first.width) == ("a.png", 6, 8)
    assert [(item.number, item.type, item.crowd) for item in first.annotations] == [
        (1, "cell", False),
        (2, "cell", True),
    ]
    assert first.annotations[0].key != first.annotations[1].key
    assert (second.number, second.annotations) == (2, [])


def test_coordinates_are_kept_as_arrays_not_as_numbers_by_the_million(tmp_path):
    path = tmp_path / "some.json"
    path.write_text(json.dumps(whole()))
    (polygon,) = coco_files.read(path).images[0].annotations[0].segmentation
    assert isinstance(polygon, np.ndarray)
    assert polygon.tolist() == SQUARE[0]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "no readable JSON file (JSONDecodeError"),
        (b'{"images": [', "no readable JSON file (JSONDecodeError"),
        (json.dumps(whole()).encode("utf-16"), "no readable JSON file (UnicodeDecodeError"),
        (b"[" * 50_000, "no readable JSON file (RecursionError"),
        (b'{"annotations":' * 50_000, "no readable JSON file (RecursionError"),
        (b'{"images": ' + b"9" * 5000 + b"}", "no readable JSON file (ValueError"),
        (b"7", "no COCO file: it has no list of images"),
        (b"[]", "no COCO file: it has no list of images"),
        (b'{"images": {}}', "no COCO file: it has no list of images"),
        (b'{"images": []}', "no COCO file: it has no list of annotations"),
        (b'{"images": [], "annotations": []}', "no COCO file: it has no list of categories"),
    ],
)
def test_what_is_no_coco_file_is_said(refusal, content, problem):
    said = refusal(content)
    assert problem in said[0]
    assert said[1] == "FILE"


def test_a_folder_is_no_coco_file(tmp_path):
    with pytest.raises(KitError, match="no readable JSON file"):
        coco_files.read(tmp_path)


@pytest.mark.parametrize(
    ("part", "number", "change", "problem"),
    [
        ("images", 1, None, "image is no object"),
        ("images", 1, {"id": ...}, "id is missing"),
        ("images", 1, {"id": 1}, "id 1 is there twice"),
        ("images", 1, {"id": True}, "id is neither an integer nor a text"),
        ("images", 1, {"id": 1.0}, "id is neither an integer nor a text"),
        ("images", 0, {"file_name": ...}, "file_name is missing"),
        ("images", 0, {"file_name": 7}, "file_name is no text"),
        ("images", 0, {"file_name": "a\0b.png"}, "file_name is no text, or not one that can be printed"),
        ("images", 0, {"file_name": "\ud800.png"}, "file_name is no text, or not one that can be printed"),
        ("images", 0, {"height": ...}, "height is missing"),
        ("images", 0, {"height": "6"}, "height is no integer above zero"),
        ("images", 0, {"width": 0}, "width is no integer above zero"),
        ("images", 0, {"width": None}, "width is no integer above zero"),
        ("categories", 1, "cell", "category is no object"),
        ("categories", 1, {"id": 3}, "id 3 is there twice"),
        ("categories", 1, {"name": ...}, "name is missing"),
        ("categories", 1, {"name": ["cell"]}, "name is no text"),
        ("annotations", 0, [], "annotation is no object"),
        ("annotations", 0, {"image_id": ...}, "image_id is missing"),
        ("annotations", 0, {"image_id": 2}, "image_id is 2, but there is no such image"),
        ("annotations", 0, {"image_id": "1"}, "image_id is '1', but there is no such image"),
        ("annotations", 0, {"image_id": [1]}, "image_id is neither an integer nor a text"),
        ("annotations", 1, {"category_id": ...}, "category_id is missing"),
        ("annotations", 1, {"category_id": 7}, "category_id is 7, but there is no such category"),
        ("annotations", 1, {"category_id": None}, "category_id is neither an integer nor a text"),
        ("annotations", 1, {"segmentation": ...}, "segmentation is missing"),
        ("annotations", 1, {"iscrowd": 2}, "iscrowd is neither 0 nor 1"),
        ("annotations", 1, {"iscrowd": "1"}, "iscrowd is neither 0 nor 1"),
        ("annotations", 1, {"iscrowd": None}, "iscrowd is neither 0 nor 1"),
    ],
)
def test_what_is_wrong_with_an_item_is_said_with_its_place(refusal, part, number, change, problem):
    value = whole()
    if isinstance(change, dict):
        changed = {**value[part][number], **change}
        value[part][number] = {key: item for key, item in changed.items() if item is not ...}
    else:
        value[part][number] = change
    said = refusal(value)
    assert problem in said[0]
    what = {"images": "image", "annotations": "annotation", "categories": "category"}[part]
    assert said[1] == f"FILE, {what} {number + 1}"


@pytest.mark.parametrize(
    ("text", "name", "image_id"),
    [
        ("train/{id}.tif", "a.tif", "a"),
        ("train/{id}.tif", "a.b.png", "a.b"),
        ("train/{id}.tif", "train/a.tif", "a"),
        ("train/{id}.tif", "images/a.tif", "a"),
        ("train/{id}.tif", "/data/train/a.tif", "a"),
        ("train/{id}.tif", "C:\\data\\a.tif", "a"),
        ("train/{id}.tif", "a", "a"),
        ("train/{id}.ome.tif", "a.ome.tif", "a"),
        ("train/{id}.ome.tif", "a.tif", None),
        ("train/im_{id}.tif", "im_7.tif", "7"),
        ("train/im_{id}.tif", "7.tif", None),
        ("train/{id}/image.tif", "a/image.tif", "a"),
        ("train/{id}/image.tif", "x/train/a/image.png", "a"),
        ("train/{id}/image.tif", "image.tif", None),
        ("train/{id}/image.tif", "a.tif", None),
        ("train/{id}/im/{id}.tif", "a.tif", "a"),
        ("train/{id}/im/{id}.tif", "a/im/a.tif", "a"),
        ("train/{id}/image.tif", "/image.tif", None),
        ("{id}.tif", "/a.tif", "a"),
        ("{id}.tif", ".a.tif", None),
        ("{id}.tif", "", None),
        ("{id}.tif", ".", None),
        ("{id}.tif", "/", None),
    ],
)
def test_a_file_name_means_the_image_that_its_end_fits(text, name, image_id):
    assert PathPattern(text).id_of(name) == image_id
