"""Boxes in tables, in every way of writing them; ids of several columns."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask

from kit import competitions
from kit.competitions import rules
from kit.competitions.competition import Competition
from kit.competitions.parsing import parse
from kit.competitions.report import Report
from kit.errors import KitError
from kit.local.competitions.labelled import LabelledData
from kit.predictions import Instances

HEIGHT, WIDTH = 20, 31
BASE = {
    "name": "boxed",
    "slug": "boxed-things",
    "kind": "instance",
    "images": {"train": "train/{id}.tif", "test": "test/{id}.tif"},
    "truth": {"form": "boxes", "file": "train.csv", "mask": "box", "box": "{xmin} {ymin} {width} {height}"},
    "submission": {"mask": "cell", "instance": "{score} {xmin} {ymin} {width} {height}"},
    "metric": {"name": "AP", "iou": [0.5]},
}


def of(made) -> Competition:
    return competitions.of(SimpleNamespace(competition="boxed", definition=made))


def competition(classes=(), **truth) -> Competition:
    named = {key: value for key, value in {**BASE["truth"], **truth}.items() if value is not None}
    words = "{label} " if classes else ""
    submission = {**BASE["submission"], "instance": words + BASE["submission"]["instance"]}
    made = {**BASE, "classes": list(classes), "truth": named, "submission": submission}
    return of(made)


def written(folder, header, *rows, images=("a",)):
    (folder / "train").mkdir(parents=True, exist_ok=True)
    for name in images:
        tifffile.imwrite(folder / "train" / f"{name}.tif", np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    with (folder / "train.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([header.split(","), *rows])
    return folder


def found(made, folder, image="a"):
    """Class and box (x0, y0, x1, y1) of each instance of an image."""
    truth = LabelledData(made, folder).truth([image])[image]
    assert isinstance(truth, Instances)
    boxes = []
    for text in truth.masks:
        rows, columns = np.nonzero(mask.decode({"size": [HEIGHT, WIDTH], "counts": text}))
        boxes.append((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
    return [(int(label), *map(int, box)) for label, box in zip(truth.labels, boxes, strict=True)]


@given(st.integers(0, WIDTH - 1), st.integers(0, HEIGHT - 1), st.integers(1, WIDTH), st.integers(1, HEIGHT))
def test_a_box_is_the_pixels_inside(tmp_path_factory, x, y, width, height):
    folder = written(tmp_path_factory.mktemp("box"), "id,box", ("a", f"[{x}, {y}, {width}, {height}]"))
    right, lower = min(x + width, WIDTH), min(y + height, HEIGHT)
    made = competition()
    assert found(made, folder) == [(0, x, y, right, lower)]
    (entry,) = LabelledData(made, folder).entries("train.csv")
    (region,) = LabelledData(made, folder).reader.regions(entry, HEIGHT, WIDTH)
    mask_HW = np.zeros((HEIGHT, WIDTH), bool)
    mask_HW[y:lower, x:right] = True
    numbers = np.concatenate([np.arange(start, start + count) for start, count in region.runs])
    assert numbers.tolist() == np.flatnonzero(mask_HW.T.ravel()).tolist()


@pytest.mark.parametrize(
    ("header", "row", "truth"),
    [
        ("id,box", ("a", "[3.0, 4.0, 5.0, 6.0]"), {}),
        ("id,box", ("a", "3 4 5 6"), {}),
        ("id,box", ("a", "[(3; 4; 8; 10)]"), {"box": "{xmin} {ymin} {xmax} {ymax}"}),
        ("id,box", ("a", "[{'x': 3, 'y': 4, 'width': 5, 'height': 6}]"), {}),
        ("id,box", ("a", '{"y": 4, "x": 3, "h": 6, "w": 5}'), {"box": "{ymin} {xmin} {height} {width}"}),
        ("id,x,y,w,h", ("a", 3, 4, 5, 6), {"mask": None, "columns": ["x", "y", "w", "h"]}),
        (
            "y2,x2,y1,x1,id",
            (10, 8.0, 4, 3, "a"),
            {"mask": None, "columns": ["x1", "x2", "y1", "y2"], "box": "{xmin} {xmax} {ymin} {ymax}"},
        ),
        ("id,box", ("a", "[2.6, 3.5, 5.0, 6.2]"), {}),  # edges 3, 4, 8 and 10 when rounded
    ],
)
def test_every_way_of_writing_a_box(tmp_path, header, row, truth):
    assert found(competition(**truth), written(tmp_path, header, row)) == [(0, 3, 4, 8, 10)]


def test_several_boxes_of_a_cell_with_their_classes(tmp_path):
    made = competition(classes=("cat", "dog"), box="{label} {xmin} {ymin} {width} {height}")
    folder = written(tmp_path, "id,box", ("a", "dog 3 4 5 6 cat 0 0 2 2"), ("a", "cat 9 9 1 1"))
    assert found(made, folder) == [(1, 3, 4, 8, 10), (0, 0, 0, 2, 2), (0, 9, 9, 10, 10)]


def test_a_row_without_numbers_is_an_image_without_boxes_whatever_its_class(tmp_path):
    made = competition(classes=("cat", "dog"), class_column="kind", empty="-1")
    rows = [("a", "dog", "3 4 5 6"), ("b", "nothing", ""), ("c", "nothing", "[]"), ("d", "nothing", "-1")]
    folder = written(tmp_path, "id,kind,box", *rows, images="abcd")
    assert found(made, folder) == [(1, 3, 4, 8, 10)]
    assert LabelledData(made, folder).train_ids() == ["a", "b", "c", "d"]
    assert [found(made, folder, name) for name in "bcd"] == [[], [], []]


def test_images_without_a_row_may_be_without_boxes(tmp_path):
    folder = written(tmp_path, "id,box", ("a", "3 4 5 6"), images="ab")
    assert LabelledData(competition(), folder).train_ids() == ["a"]
    assert LabelledData(competition(unlisted="empty"), folder).train_ids() == ["a", "b"]


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("3 4 5", "3 words"),
        ("3 4 5 six", "height of a box is 'six', no number"),
        ("3 4 nan 6", "no number"),
        ("3 4 -5 6", "ends before it begins"),
        ("31 4 5 6", "outside of its image"),
        ("3 4 5 6 7", "5 words"),
        ("300 400 20 30", "20 x 31 pixels"),
    ],
)
def test_what_is_no_box_is_told_with_its_line(tmp_path, cell, words):
    folder = written(tmp_path, "id,box", ("a", "0 0 2 2"), ("a", cell))
    with pytest.raises(KitError, match=words) as raised:
        found(competition(), folder)
    assert str(raised.value.where).endswith("train.csv:3 (id a)")


def test_what_is_changed_is_told(tmp_path):
    folder = written(tmp_path, "id,box", ("a", "28.4 4 9 6"), ("a", "3 4 0 6"))
    labelled = LabelledData(competition(), folder)
    assert len(labelled.truth(["a"])["a"].labels) == 1
    report = Report("")
    labelled.tell(report)
    told = " ".join(finding.message for finding in report.findings)
    for words in ("are rounded", "cut off at its border", "cover no pixel"):
        assert words in told


@pytest.mark.parametrize(
    ("truth", "words"),
    [
        ({"box": "{xmin} {ymin} {width}"}, "box is"),
        ({"box": "{xmin} {ymin} {xmax} {height}"}, "box is"),
        ({"box": "xmin ymin xmax ymax"}, "box is"),
        ({"mask": None}, "nothing tells where the boxes are"),
        ({"columns": ["a", "b", "c", "d"]}, "both given"),
        ({"mask": None, "columns": ["a", "b"]}, "columns has 2 names"),
        ({"form": "text"}, "box is for form = 'boxes'"),
        ({"file": "boxes/{id}.csv"}, "one table for all images"),
        ({"id": "{series}_{slice"}, "columns cannot be read"),
    ],
)
def test_definitions_that_cannot_be(truth, words):
    with pytest.raises(KitError, match=words):
        rules.check(competition(**truth).format, where="my.toml")


def test_boxes_are_instances_and_their_classes_have_to_be_told():
    masks = {"kind": "semantic", "submission": {"mask": "cell"}, "metric": {"name": "mean Dice"}}
    with pytest.raises(KitError, match="'boxes', but kind is 'semantic'"):
        rules.check(parse({**BASE, **masks}), where="my.toml")
    with pytest.raises(KitError, match="nothing tells the class"):
        rules.check(competition(classes=("cat", "dog")).format, where="my.toml")
    rules.check(competition(classes=("cat", "dog"), class_column="kind").format, where="my.toml")


@pytest.mark.parametrize("form", ["boxes", "text", "table"])
def test_an_id_may_stand_in_several_columns(tmp_path, form):
    made = {**BASE, "truth": {**BASE["truth"], "id": "{series}_{slice}"}}
    cells = {"boxes": "3 4 5 6", "text": "1 5", "table": "0.5"}
    if form == "text":
        made["truth"] = {"form": "text", "file": "train.csv", "mask": "box", "id": "{series}_{slice}"}
    if form == "table":
        made["truth"] = {"form": "table", "file": "train.csv", "value": "box", "id": "{series}_{slice}"}
        made |= {
            "kind": "values",
            "targets": ["box"],
            "submission": {"value": "box"},
            "metric": {"name": "MAE"},
        }
    rows = [("s1", 7, cells[form]), ("s1", 12, cells[form])]
    folder = written(tmp_path, "series,slice,box", *rows, images=("s1_7", "s1_12"))
    labelled = LabelledData(of(made), folder)
    assert labelled.train_ids() == ["s1_12", "s1_7"]
    assert set(labelled.truth(["s1_12"])) == {"s1_12"}
