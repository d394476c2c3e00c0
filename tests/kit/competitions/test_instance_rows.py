"""Instances of several classes: in words, in rows of their own, as boxes; without overlap."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.competitions import instance_text
from kit.competitions.instance_rows import COMPETITION, without_overlap
from kit.competitions.parsing import parse
from kit.competitions.tables import Row
from kit.errors import KitError
from kit.masks import coco, rle
from kit.predictions import Instances, SemanticMask

BASE = {
    "name": "i",
    "slug": "i",
    "kind": "instance",
    "classes": ["cell", "nerve"],
    "images": {"train": "train/{id}.tif", "test": "test/{id}.tif"},
    "truth": {"form": "coco", "file": "train.json"},
    "metric": {"name": "AP", "iou": 0.5},
}
SIZE = (9, 7)
FORMS = {
    "words": {"mask": "p", "encoding": "coco", "labels": ["0", "1"]},
    "a row for each class": {"mask": "p", "encoding": "coco", "row_id": "{id}/{class}"},
    "a row for each object": {"mask": "p", "rows": "object", "class_column": "c", "score": "s"},
    "without overlap": {"mask": "p", "rows": "object", "class_column": "c", "score": "s", "overlap": False},
    "with sizes": {
        "mask": "p",
        "rows": "object",
        "row_id": "{id}.{class}",
        "height": "h",
        "width": "w",
        "score": "s",
    },
}


def competition(form):
    return COMPETITION(parse({**BASE, "submission": form}))


def read(own, rows):
    return own.decode([Row("f", 2, row, own.columns[0]) for row in rows], SIZE)


@st.composite
def instances(draw):
    count = draw(st.integers(0, 4))
    masks, labels = [], []
    for _ in range(count):
        top, left = draw(st.integers(0, 8)), draw(st.integers(0, 6))
        mask_HW = np.zeros(SIZE, bool)
        mask_HW[top : draw(st.integers(top + 1, 9)), left : draw(st.integers(left + 1, 7))] = True
        masks.append(coco.encode(mask_HW))
        labels.append(draw(st.integers(0, 1)))
    scores = sorted(draw(st.lists(st.integers(0, 10**6), min_size=count, max_size=count, unique=True)))[::-1]
    return Instances(*SIZE, np.array(scores) / 1e6, masks, labels=np.array(labels, np.int64))


@pytest.mark.parametrize("form", FORMS)
@given(found=instances())
def test_what_is_written_is_read_again(form, found):
    own = competition(FORMS[form])
    expected = found if own.format.submission.overlap else without_overlap(found)
    again = read(own, own.rows("x", found))
    assert again.masks == expected.masks
    assert again.labels.tolist() == expected.labels.tolist()
    assert again.scores == pytest.approx(expected.scores, abs=1e-6)


@given(found=instances())
def test_a_box_is_the_smallest_one_around_the_mask_and_is_read_as_its_pixels(found):
    for counts in found.masks:
        mask_HW = coco.decode(counts, *SIZE)
        rows, columns = np.flatnonzero(mask_HW.any(axis=1)), np.flatnonzero(mask_HW.any(axis=0))
        box = instance_text.box_of(rle.encode(mask_HW), SIZE[0])
        assert box == (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)
    for pattern in ("{score} {xmin} {ymin} {width} {height}", "{label} {xmin} {ymin} {xmax} {ymax}"):
        text = " ".join(instance_text.write(pattern, "k", 0.5, counts, SIZE) for counts in found.masks)
        told = list(instance_text.read(pattern, text, SIZE, "here"))
        # The drawn masks are rectangles, so their boxes have the same pixels.
        assert [one.mask for one in told] == found.masks
        assert {one.label for one in told} <= ({"k"} if "label" in pattern else {None})


def test_edges_of_a_box_are_rounded_and_cut_off_at_the_image():
    [one] = instance_text.read("{score} {xmin} {ymin} {width} {height}", "0.5 -3 1.4 5.2 100", SIZE, "here")
    mask_HW = np.zeros(SIZE, bool)
    mask_HW[1:, :2] = True
    assert np.array_equal(coco.decode(one.mask, *SIZE), mask_HW)


@given(found=instances())
def test_without_overlap_every_pixel_has_one_owner_and_none_is_lost(found):
    apart = without_overlap(found)
    masks = [coco.decode(counts, *SIZE) for counts in apart.masks]
    count_HW = np.sum([np.zeros(SIZE, int), *masks], axis=0)
    covered_HW = np.any([np.zeros(SIZE, bool), *(coco.decode(m, *SIZE) for m in found.masks)], axis=0)
    assert np.array_equal(count_HW, covered_HW.astype(int))
    if found.masks:  # the best one keeps all of its pixels
        assert apart.masks[0] == found.masks[0]


def test_an_image_without_instances_has_an_empty_row():
    own = competition(FORMS["a row for each object"])
    assert own.rows("x", own.empty(*SIZE)) == [{"id": "x", "c": "cell", "s": "0", "p": ""}]
    assert own.rows("x", own.empty(*SIZE)) == own.empty_rows("x", SIZE, {})
    assert len(competition(FORMS["a row for each class"]).empty_rows("x", SIZE, {})) == 2


@pytest.mark.parametrize(
    ("form", "row", "problem"),
    [
        ("words", {"id": "x", "p": "2 0.5 abc"}, "label|no mask|zlib|base64|not"),
        ("a row for each object", {"id": "x", "c": "cell", "s": "1.5", "p": "1 1"}, r"score is '1.5'"),
        (
            "a row for each object",
            {"id": "x", "c": "cell", "s": "1", "p": "1 100"},
            "out|outside|beyond|pixels",
        ),
        (
            "a row for each class",
            {"id": "x/nerve", "p": "cell 0.5 eNoL"},
            "label is 'cell'|mask|base64|decode",
        ),
    ],
)
def test_a_row_that_kaggle_would_refuse_is_an_error(form, row, problem):
    with pytest.raises(KitError, match=problem):
        read(competition(FORMS[form]), [row])


def test_an_instance_of_an_image_without_a_size_is_refused():
    own = competition(FORMS["a row for each object"])
    row = Row("f", 2, {"id": "x", "c": "cell", "s": "0.5", "p": "1 1"}, own.columns[0])
    with pytest.raises(KitError, match="the size of this image is not known"):
        own.decode([row], None)


def test_a_prediction_of_another_kind_is_refused():
    with pytest.raises(TypeError, match="hold instances, not SemanticMask"):
        competition(FORMS["words"]).rows("x", SemanticMask(*SIZE, rle.empty()))
