import json

import numpy as np
import pytest

from kit.competitions.path_pattern import PathPattern
from kit.competitions.report import Report
from kit.errors import KitError
from kit.local.competitions import coco_files, named_images
from kit.local.competitions.remarks import Remarks

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
            coco_files.read(path, Remarks())
        assert caught.value.fix
        return caught.value.problem, str(caught.value.where).replace(str(path), "FILE")

    return refuse


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
def test_images_have_their_annotations_in_the_order_of_the_file(tmp_path, mark):
    path = tmp_path / "some.json"
    path.write_bytes(mark + json.dumps(whole(), indent=1).replace("\n", "\r\n").encode())
    found = coco_files.read(path, Remarks())
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
    (polygon,) = coco_files.read(path, Remarks()).images[0].annotations[0].segmentation
    assert isinstance(polygon, np.ndarray)
    assert polygon.tolist() == SQUARE[0]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "no readable JSON (JSONDecodeError"),
        (b'{"images": [', "no readable JSON (JSONDecodeError"),
        (json.dumps(whole()).encode("utf-16"), "no readable JSON file: it is not UTF-8"),
        (b"[" * 50_000, "no readable JSON (RecursionError"),
        (b'{"annotations":' * 50_000, "no readable JSON (RecursionError"),
        (b'{"images": ' + b"9" * 5000 + b"}", "no COCO file: it has no list of images"),
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
        coco_files.read(tmp_path, Remarks())


@pytest.mark.parametrize(
    ("part", "number", "change", "problem"),
    [
        ("images", 1, None, "image is no object"),
        ("images", 1, {"id": ...}, "id is missing"),
        ("images", 1, {"id": 1}, "id 1 is there twice"),
        ("images", 1, {"id": True}, "id is neither an integer nor a text"),
        ("images", 1, {"id": 1.0}, "id 1 is there twice"),
        ("images", 1, {"id": 1.5}, "id is neither an integer nor a text: 1.5"),
        ("images", 1, {"id": "1"}, "id '1' is there twice, as a number and as a text"),
        ("categories", 1, {"id": "3"}, "id '3' is there twice, as a number and as a text"),
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
        ("annotations", 0, {"image_id": "01"}, "image_id is '01', but there is no such image"),
        ("annotations", 0, {"image_id": 10**400}, "image_id is 1000"),
        ("annotations", 0, {"image_id": float("nan")}, "image_id is neither an integer nor a text: nan"),
        ("images", 0, {"height": 10**400}, "height is no integer above zero: 1000"),
        ("images", 0, {"height": 1e308}, "height is no integer above zero: 1000"),
        ("images", 0, {"height": float("inf")}, "height is no integer above zero: inf"),
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
    assert len(said[0]) < 200


@pytest.mark.parametrize(("own", "other"), [(1, "1"), ("1", 1), (1, 1.0)])
def test_ids_match_when_their_texts_are_equal(tmp_path, own, other):
    value, path, remarks, report = whole(), tmp_path / "some.json", Remarks(), Report("")
    value["images"][0]["id"] = value["categories"][0]["id"] = own
    for item in value["annotations"]:
        item.update(image_id=other, category_id=other)
    path.write_text(json.dumps(value))
    first, _ = coco_files.read(path, remarks).images
    assert [item.type for item in first.annotations] == ["cell", "cell"]
    remarks.tell(report)
    said = [str(finding) for finding in report.findings]
    assert len(said) == (0 if isinstance(other, float) else 2)
    assert all(text.startswith("note: 2 annotations have a") and "equal ones" in text for text in said)


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
        ("train/{id}", "slides/a.svs", "a.svs"),
        ("train/{id}.svs", "a.SVS", "a"),
        ("train/IM_{id}.tif", "im_7.TIF", "7"),
        ("{id}.tif", ".a.tif", None),
        ("{id}.tif", "", None),
        ("{id}.tif", ".", None),
        ("{id}.tif", "/", None),
    ],
)
def test_a_file_name_means_the_image_that_its_end_fits(text, name, image_id):
    assert named_images.id_of(PathPattern(text), name) == image_id
