"""Competitions whose truth is one COCO file."""

import json

import numpy as np
import pytest
import tifffile

from kit import competitions
from kit.competitions import rules
from kit.competitions.parsing import parse
from kit.errors import KitError
from kit.local.competitions import scores, truth_forms
from kit.local.competitions.check import check
from kit.local.competitions.labelled import LabelledData
from kit.masks import coco, rle
from kit.predictions import Instances

TOML = """
name = "cells"
slug = "cells"
kind = "instance"
[images]
train = "train/{id}.tif"
test = "test/{id}/image.tif"
[truth]
form = "coco"
file = "train.json"
solution = "test.json"
scored = ["cell", "dividing"]
ignored = ["blurred"]
[submission]
mask = "prediction"
encoding = "coco"
[metric]
name = "AP"
iou = 0.5
"""
SEMANTIC = (
    TOML.replace('"instance"', '"semantic"')
    .replace('"AP"\niou = 0.5', '"mean Dice"')
    .replace('ignored = ["blurred"]', "")
)
NAMES = ("cell", "dividing", "blurred", "debris")


def box(left, top, right, bottom):
    """A polygon and the pixels it covers."""
    mask_HW = np.zeros((10, 12), bool)
    mask_HW[top:bottom, left:right] = True
    return [[left, top, right, top, right, bottom, left, bottom]], mask_HW


CELL, DIVIDING, BLURRED, CROWD = (
    box(1, 1, 5, 4),
    box(6, 1, 9, 6),
    box(0, 6, 4, 10),
    box(5, 7, 12, 10),
)


def annotation(region, kind="cell", image=1, crowd=0):
    return {
        "image_id": image,
        "category_id": NAMES.index(kind),
        "segmentation": region[0],
        "iscrowd": crowd,
    }


def truth_file(*annotations, names=("a", "b")):
    return {
        "images": [
            {"id": number, "file_name": f"{name}.tif", "height": 10, "width": 12}
            for number, name in enumerate(names, start=1)
        ],
        "annotations": list(annotations),
        "categories": [{"id": number, "name": name} for number, name in enumerate(NAMES)],
    }


ANNOTATIONS = (
    annotation(CELL),
    annotation(DIVIDING, "dividing"),
    annotation(CELL),
    annotation(BLURRED, "blurred"),
    annotation(CROWD, crowd=1),
    annotation(BLURRED, "debris", crowd=1),
    annotation(CELL, "debris"),
    annotation(([[2, 2, 2.1, 2, 2.1, 2.1]], None)),  # smaller than a pixel
)


@pytest.fixture
def folder(tmp_path):
    """Makes a folder with training truth, and a competition of it."""

    def make(value, text=TOML):
        for name in ("train/a.tif", "train/b.tif", "test/c/image.tif"):
            path = tmp_path / "data" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(path, np.full((10, 12, 3), 200, np.uint8), photometric="rgb")
        (tmp_path / "data" / "train.json").write_text(json.dumps(value))
        (tmp_path / "cells.toml").write_text(text)
        return competitions.get(tmp_path / "cells.toml"), tmp_path / "data"

    return make


def pixels(masks):
    return [coco.decode(counts, 10, 12).tolist() for counts in masks]


def test_crowds_and_ignored_categories_are_regions_where_nothing_is_judged(folder):
    competition, data = folder(truth_file(*ANNOTATIONS))
    truth = LabelledData(competition, data).truth(["a", "b"])
    assert pixels(truth["a"].masks) == [CELL[1].tolist(), DIVIDING[1].tolist()]
    assert pixels(truth["a"].ignored) == [BLURRED[1].tolist(), CROWD[1].tolist()]
    assert (truth["b"].masks, truth["b"].ignored) == ([], [])
    in_crowd = coco.encode(box(6, 7, 9, 10)[1])
    found = [*truth["a"].masks, in_crowd]
    prediction = Instances(10, 12, np.array([0.8, 0.7, 0.9]), found)
    assert scores.score(competition, truth, {"a": prediction}).value == pytest.approx(1.0)


def test_the_check_tells_what_was_repeated_ignored_and_left_out(folder):
    competition, data = folder(truth_file(*ANNOTATIONS))
    report = check(LabelledData(competition, data))
    assert report.ok
    assert report.facts["training instances"] == 3
    assert report.facts["training images with truth"] == 2
    notes = {finding.message for finding in report.findings if finding.level == "note"}
    assert notes >= {
        "1 repeated polygons are taken once",
        "1 annotations of type blurred only keep detections from being judged",
        "1 crowds of type cell only keep detections from being judged",
        "1 annotations of type debris are left out",
        "1 crowds of type debris are left out",
    }


def test_a_mask_of_the_whole_image_is_the_union_of_what_is_scored_crowds_included(folder):
    competition, data = folder(truth_file(*ANNOTATIONS), SEMANTIC)
    truth = LabelledData(competition, data).truth(["a", "b"])
    expected_HW = CELL[1] | DIVIDING[1] | CROWD[1]
    assert np.array_equal(rle.decode(truth["a"].runs, 10, 12), expected_HW)
    assert len(truth["b"].runs) == 0
    reader = truth_forms.reader(competition.format)
    regions = reader.regions(next(reader.entries(data, "train.json")), 10, 12)
    assert [region.ignored for region in regions] == [False] * 3


def test_without_names_every_category_is_scored(folder):
    text = SEMANTIC.replace('scored = ["cell", "dividing"]', "")
    competition, data = folder(truth_file(annotation(BLURRED, "debris")), text)
    truth = LabelledData(competition, data).truth(["a"])
    assert np.array_equal(rle.decode(truth["a"].runs, 10, 12), BLURRED[1])


def test_held_out_images_have_a_file_of_their_own(folder):
    competition, data = folder(truth_file(*ANNOTATIONS))
    (data / "test.json").write_text(json.dumps(truth_file(annotation(CELL), names=("test/c/image",))))
    truth = LabelledData(competition, data).truth(["c", "a"])
    assert pixels(truth["c"].masks) == [CELL[1].tolist()]
    assert len(truth["a"].masks) == 2


def test_faults_of_single_annotations_are_all_reported_with_their_place(folder):
    size = {"size": [10, 12], "counts": [100, 10]}
    bad = (annotation((size, None)), annotation(([[0, 0, 5]], None), image=2))
    competition, data = folder(truth_file(annotation(CELL), *bad))
    found = [(finding.message, finding.where) for finding in check(LabelledData(competition, data)).findings]
    path = data / "train.json"
    assert found[0][0].startswith("mask covers 110 pixels")
    assert found[0][1] == f"{path} (id a), annotation 2"
    assert found[1][0].startswith("polygon 0 has 3 numbers, an odd count")
    assert found[1][1] == f"{path} (id b), annotation 3"


def test_an_image_of_another_size_than_its_file_says_is_refused(folder):
    value = truth_file(annotation(CELL))
    value["images"][0].update(height=12, width=10)
    competition, data = folder(value)
    with pytest.raises(KitError, match="this image has 12 x 10 pixels, but its header says 10 x 12"):
        LabelledData(competition, data).truth(["a"])


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("masks/a.png", "image a is there twice: image 1 has this file_name, too"),
        (".tif/..", "file_name is '.tif/..', which does not fit train/{id}.tif"),
    ],
)
def test_two_names_of_one_image_and_names_of_none_are_refused(folder, name, problem):
    value = truth_file()
    value["images"][1]["file_name"] = name
    competition, data = folder(value)
    with pytest.raises(KitError) as caught:
        LabelledData(competition, data).train_ids()
    assert caught.value.problem == problem
    assert caught.value.where == f"{data / 'train.json'}, image 2"


@pytest.mark.parametrize("name", ["scored", "ignored"])
def test_a_category_that_is_not_in_the_file_is_refused(folder, name):
    text = TOML.replace(f"{name} = [", f'{name} = ["cells", ')
    competition, data = folder(truth_file(), text)
    with pytest.raises(KitError, match="names 'cells', but there is no such category") as caught:
        LabelledData(competition, data).train_ids()
    assert caught.value.fix == "the file's categories are: blurred, cell, debris, dividing"


def test_one_file_holds_all_images():
    value = {**competitions.presets.PRESETS["body"], "truth": {"form": "coco", "file": "train/{id}.json"}}
    with pytest.raises(KitError, match="but a COCO file holds all images"):
        rules.check(parse(value), where="here")
