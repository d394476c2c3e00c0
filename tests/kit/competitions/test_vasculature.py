import base64
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kit import competitions
from kit.competitions.parsing import parse
from kit.competitions.presets import PRESETS
from kit.errors import KitError
from kit.local.competitions import scores, submission_files
from kit.local.competitions.submission_files import write_submission
from kit.masks import coco
from kit.predictions import Instances, SemanticMask

VESSELS = competitions.get("vasculature")
SQUARE = [[2, 3], [7, 3], [7, 8], [2, 8]]


def square(height=10, width=12):
    mask_HW = np.zeros((height, width), bool)
    mask_HW[3:9, 2:8] = True
    return coco.encode(mask_HW)


GOOD = coco.pack(square())


@given(
    st.lists(
        st.tuples(arrays(bool, (5, 7)), st.integers(0, 10**6).map(lambda score: score / 10**6)), max_size=4
    )
)
def test_a_row_parses_back_to_the_same_instances_best_first(tmp_path_factory, found):
    path = tmp_path_factory.mktemp("rows") / "submission.csv"
    masks = [coco.encode(mask_HW) for mask_HW, _ in found]
    written = Instances(5, 7, np.array([score for _, score in found]), masks)
    write_submission(path, VESSELS.columns, [VESSELS.rows("a", written)[0]])
    assert VESSELS.validate(path, ["a"], {"a": (5, 7)}).ok
    parsed = submission_files.read(VESSELS, path)["a"]
    order = sorted(range(len(found)), key=lambda index: -found[index][1])
    assert (parsed.height, parsed.width) == (5, 7)
    assert parsed.scores.tolist() == [found[index][1] for index in order]
    assert parsed.masks == [masks[index] for index in order]


def test_the_empty_row_carries_the_size():
    row = VESSELS.rows("a", VESSELS.empty(10, 12))[0]
    assert row == {"id": "a", "height": "10", "width": "12", "prediction_string": ""}


def test_an_image_without_instances_gets_the_competitions_own_word_for_it(tmp_path):
    preset = PRESETS["vasculature"]
    own = type(VESSELS)(parse({**preset, "submission": {**preset["submission"], "empty": "none"}}))
    row = own.rows("a", own.empty(10, 40))[0]
    assert row["prediction_string"] == "none"
    path = tmp_path / "s.csv"
    for text in ("none", " none ", "", " "):
        path.write_text(f"id,height,width,prediction_string\na,10,40,{text}\n")
        assert submission_files.read(own, path)["a"].masks == []


def test_a_row_takes_instances_only():
    with pytest.raises(TypeError, match="not SemanticMask"):
        VESSELS.rows("a", SemanticMask(1, 1, np.zeros((0, 2), np.int64)))[0]


def test_truth_holds_vessels_only_and_each_polygon_once(vasculature):
    truth = vasculature.truth(["aa", "bb"])
    assert truth["bb"].masks == [square()]
    assert len(truth["aa"].masks) == 2
    assert truth["aa"].scores.tolist() == [1.0, 1.0]
    report = vasculature.check()
    assert report.facts["training instances"] == 3
    notes = [finding.message for finding in report.findings if finding.level == "note"]
    assert notes == ["1 repeated polygons are taken once", "1 annotations of type glomerulus are left out"]


def test_a_tile_belongs_to_its_slide(vasculature):
    assert vasculature.labelled().group_of("bb") == "2"
    with pytest.raises(KitError, match="image cc has no row"):
        vasculature.labelled().group_of("cc")
    (vasculature.root / "tile_meta.csv").unlink()
    with pytest.raises(KitError, match="file is missing"):
        vasculature.labelled().group_of("bb")


@pytest.mark.parametrize(
    ("ring", "shown"),
    [
        ([*SQUARE, [1e308, 4]], "vertex 4 of ring 0 (1e+308, 4) is no place in an image"),
        ([*SQUARE[:2], [10**400, 4]], "vertex 2 of ring 0 (inf, 4) is no place in an image"),
        ([*SQUARE, ["7", "4"]], "ring 0 is no list of (x, y): '7' is no number"),
        (["ab", "cd", "ef"], "ring 0 is no list of (x, y)"),
    ],
)
def test_a_wrong_polygon_names_file_line_tile_and_annotation(vasculature, ring, shown):
    good = {"type": "blood_vessel", "coordinates": [SQUARE]}
    wrong = {"type": "blood_vessel", "coordinates": [ring]}
    path = vasculature.lines("polygons.jsonl", {"id": "aa", "annotations": [good, wrong]})
    (finding,) = [item for item in vasculature.check().findings if item.level == "error"]
    assert shown in finding.message
    assert finding.where == f"{path}:1 (id aa), annotation 2"
    with pytest.raises(KitError) as caught:
        vasculature.truth(["aa"])
    assert shown in str(caught.value)


@pytest.mark.parametrize(
    "line",
    ["{", "[]", '{"id": "aa"}', '{"id": "aa", "annotations": [{"type": 3, "coordinates": []}]}', '"text"'],
)
def test_a_wrong_line_of_polygons_is_named(vasculature, line):
    path = vasculature.root / "polygons.jsonl"
    path.write_text(f'{{"id": "bb", "annotations": []}}\n{line}\n')
    (finding,) = [item for item in vasculature.check().findings if item.level == "error"]
    assert finding.where.startswith(f"{path}:2")
    assert 'a line is {"id": ..., "annotations": [' in finding.fix


def test_a_polygon_file_that_is_missing_or_no_text_is_named(vasculature):
    path = vasculature.root / "polygons.jsonl"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(KitError, match="no readable JSON file") as caught:
        vasculature.labelled().train_ids()
    assert caught.value.where == str(path)
    path.unlink()
    with pytest.raises(KitError, match="file is missing"):
        vasculature.labelled().train_ids()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"0 0.5 {GOOD} 0", "prediction string has 7 parts, which is no multiple of 3"),
        (f"1 0.5 {GOOD}", "label is '1', it has to be 0"),
        (f"0 nan {GOOD}", "score is 'nan', it has to be a number in [0, 1]"),
        (f"0 1.5 {GOOD}", "score is '1.5', it has to be a number in [0, 1]"),
        (f"0 -0.1 {GOOD}", "score is '-0.1', it has to be a number in [0, 1]"),
        (f"0 inf {GOOD}", "score is 'inf', it has to be a number in [0, 1]"),
        (f"0 high {GOOD}", "score is 'high', it has to be a number in [0, 1]"),
        ("0 0.5 ???", "mask is no base64"),
        ("0 0.5 AAAA", "mask is no zlib data"),
        (f"0 0.5 {base64.b64encode(zlib.compress(square())[:-3]).decode()}", "mask's zlib data is cut short"),
        (f"0 0.5 {coco.pack(bytes([10, 20]))}", "mask holds no COCO compressed counts"),
        (f"0 0.5 {GOOD[:-4]}", "mask's zlib data is cut short"),
        (f"0 0.5 {coco.pack(square(20, 20))}", "mask covers 400 pixels, the image has 10 x 12 = 120"),
    ],
)
def test_a_wrong_prediction_names_file_line_and_prediction(vasculature, text, shown):
    path = vasculature.submission(("dd", 10, 12, f"0 0.9 {GOOD} {text}"), ("cc", 10, 12, ""))
    (finding,) = vasculature.validate(path).findings
    assert finding.level == "error"
    assert shown in finding.message
    assert finding.where in (f"{path}:2 (id dd), prediction 2", f"{path}:2 (id dd)")
    with pytest.raises(KitError) as caught:
        submission_files.read(VESSELS, path)
    assert shown in str(caught.value)


def test_scores_of_exactly_nothing_and_one_are_scores(vasculature):
    rows = (("dd", 10, 12, f"0 1 {GOOD} 0 0.0 {GOOD}"), ("cc", 10, 12, f"0 1.0 {GOOD}"))
    path = vasculature.submission(*rows)
    assert vasculature.validate(path).ok
    assert submission_files.read(VESSELS, path)["dd"].scores.tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("height", "width", "shown"),
    [
        (512, 512, "height and width are 512 and 512, but the image has 10 and 12"),
        ("", 12, "height is '', no number of pixels"),
        (10, "-12", "width is '-12', no number of pixels"),
        (0, 12, "height is '0', no number of pixels"),
        ("9" * 5000, 12, "height is '99999999999999999999', no number of pixels"),
        ("\u0661\u0660", 12, "no number of pixels"),
    ],
)
def test_a_wrong_size_is_said(vasculature, height, width, shown):
    path = vasculature.submission(("cc", height, width, ""), ("dd", 10, 12, f"0 0.5 {GOOD}"))
    (finding,) = vasculature.validate(path).findings
    assert shown in finding.message
    assert finding.where == f"{path}:2 (id cc)"


def test_the_score_ranks_all_tiles_together_and_counts_missing_ones():
    truth = {key: Instances(10, 12, np.ones(1), [square()]) for key in ("a", "b")}
    nothing = coco.encode(np.zeros((10, 12), bool))
    found = {
        "a": Instances(10, 12, np.array([0.9, 0.2]), [square(), nothing]),
        "unknown": Instances(10, 12, np.ones(1), [square()]),
    }
    score = scores.score(VESSELS, truth, found)
    assert (score.metric, score.per_image) == ("AP@0.6", {})
    assert score.value == pytest.approx(0.5)
    with pytest.raises(KitError, match="prediction of image a is 12 x 10 pixels"):
        scores.score(VESSELS, truth, {"a": VESSELS.empty(12, 10)})
