import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kit import competitions
from kit.errors import KitError
from kit.local.competitions import scores, submission_files
from kit.local.competitions.submission_files import write_submission
from kit.masks import rle
from kit.predictions import Instances, SemanticMask

KIDNEY = competitions.get("kidney")


def mask_of(mask_HW):
    return SemanticMask(*mask_HW.shape, rle.encode(mask_HW))


@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_a_row_parses_back_to_the_same_mask(tmp_path_factory, mask_HW):
    path = tmp_path_factory.mktemp("rows") / "submission.csv"
    write_submission(path, KIDNEY.columns, [KIDNEY.rows("a", mask_of(mask_HW))[0]])
    assert KIDNEY.validate(path, ["a"], {"a": mask_HW.shape}).ok
    parsed = submission_files.read(KIDNEY, path, {"a": mask_HW.shape})["a"]
    assert np.array_equal(rle.decode(parsed.runs, *mask_HW.shape), mask_HW)


def test_the_empty_row_is_an_id_and_an_empty_text():
    assert KIDNEY.rows("a", KIDNEY.empty(10, 12))[0] == {"id": "a", "predicted": ""}


def test_a_row_takes_masks_only():
    with pytest.raises(TypeError, match="not Instances"):
        KIDNEY.rows("a", Instances(1, 1, np.zeros(0), []))[0]


def test_truth_decodes_at_the_size_of_the_image(kidney):
    truth = kidney.truth(["aa", "bb"])
    expected_HW = np.zeros((10, 12), bool)
    expected_HW[2:5, 3:9] = True
    assert np.array_equal(rle.decode(truth["aa"].runs, 10, 12), expected_HW)
    assert len(truth["bb"].runs) == 0


def test_every_slide_is_its_own_group(kidney):
    assert kidney.labelled().group_of("aa") == "aa"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("3 4 5 2", "run 2 ('5 2') overlaps the run in front of it"),
        ("119 3", "run 1 ('119 3') leaves the image of 10 x 12 pixels"),
        ("0 3", "run 1 ('0 3') leaves the image"),
        ("9 2 3 2", "run 2 ('3 2') starts before the run in front of it"),
        ("3 0", "run 1 ('3 0') has no positive length"),
        ("3 4 5", "3 numbers, an odd count"),
        ("3 x", "'x', which is no integer"),
    ],
)
def test_wrong_run_lengths_name_file_line_and_run(kidney, text, shown):
    path = kidney.submission(("dd", ""), ("cc", text))
    (finding,) = kidney.validate(path).findings
    assert finding.level == "error"
    assert shown in finding.message
    assert finding.where == f"{path}:3 (id cc)"
    with pytest.raises(KitError) as caught:
        submission_files.read(KIDNEY, path, {"cc": (10, 12), "dd": (10, 12)})
    assert shown in str(caught.value)

    table = kidney.table("train.csv", ("id", "encoding"), ("aa", ""), ("bb", text))
    (finding,) = [item for item in kidney.check().findings if item.level == "error"]
    assert shown in finding.message
    assert finding.where == f"{table}:3 (id bb)"
    with pytest.raises(KitError) as caught:
        kidney.truth(["bb"])
    assert shown in str(caught.value)


def test_an_image_of_unknown_size_may_be_empty_only(kidney):
    sizes = {"cc": (10, 12)}
    assert kidney.validate(kidney.submission(("cc", "1 2"), ("dd", " ")), sizes).ok
    parsed = submission_files.read(KIDNEY, kidney.root / "submission.csv", sizes)["dd"]
    assert (parsed.height, parsed.width, len(parsed.runs)) == (0, 0, 0)
    assert scores.score(KIDNEY, {"dd": mask_of(np.ones((3, 4), bool))}, {"dd": parsed}).value == 0.0
    (finding,) = kidney.validate(kidney.submission(("cc", "1 2"), ("dd", "1 2")), sizes).findings
    assert "the size of this image is not known" in finding.message


def test_the_score_is_the_mean_of_every_images_dice():
    left_HW, all_HW, none_HW = np.zeros((4, 6), bool), np.ones((4, 6), bool), np.zeros((4, 6), bool)
    left_HW[:, :3] = True
    truth = {"a": mask_of(left_HW), "b": mask_of(none_HW), "c": mask_of(left_HW)}
    score = scores.score(
        KIDNEY, truth, {"a": mask_of(all_HW), "b": mask_of(none_HW), "unknown": mask_of(all_HW)}
    )
    assert score.metric == "mean Dice"
    assert score.per_image == {"a": 2 * 12 / 36, "b": 1.0, "c": 0.0}
    assert score.value == pytest.approx((2 / 3 + 1) / 3)


def test_a_prediction_of_another_size_and_nothing_to_score_are_refused():
    mask = KIDNEY.empty(4, 6)
    with pytest.raises(KitError, match="prediction of image a is 6 x 4 pixels, its truth 4 x 6"):
        scores.score(KIDNEY, {"a": mask}, {"a": KIDNEY.empty(6, 4)})
    with pytest.raises(KitError, match="there are no images to score"):
        scores.score(KIDNEY, {}, {"a": mask})
    assert scores.score(KIDNEY, {"a": mask}, {"a": KIDNEY.empty(0, 0)}).value == 1.0
