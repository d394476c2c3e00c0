"""What a rehearsal says of a submission's score, and why there is none."""

import pytest

from kit import competitions
from submission.rehearsal.judge import judge
from tests.submission.conftest import write_kidney

ROW = "cc,1 2"


@pytest.fixture
def data(tmp_path):
    folder = write_kidney(tmp_path / "data", {"cc": (8, 9)})
    (folder / "train.csv").write_text("id,encoding\naa,1 2\n")
    return folder


def judged(tmp_path, data, *rows):
    submission = tmp_path / "submission.csv"
    if rows:
        submission.write_text("\n".join(["id,predicted", *rows, ""]))
    return judge(competitions.get("kidney"), data, submission, data)


def test_with_the_truth_of_its_images_a_submission_has_a_score(tmp_path, data):
    (data / "solution.csv").write_text(f"id,encoding\n{ROW}\n")
    result = judged(tmp_path, data, ROW)
    assert (result["valid"], result["score"]["value"]) == (True, 1.0)
    assert "no_score" not in result


def test_without_a_truth_it_says_how_to_get_a_score(tmp_path, data):
    result = judged(tmp_path, data, ROW)
    assert result["score"] is None
    problem, fix = result["no_score"]
    assert problem == "no truth for 1 image, the first is cc"
    assert "only Kaggle knows it" in fix
    assert "write it to solution.csv, or give a --data that has it" in fix


def test_a_truth_that_cannot_be_used_is_not_told_as_none(tmp_path, data):
    (data / "solution.csv").write_text(f"id,encoding\n{ROW}\n{ROW}\n")
    assert judged(tmp_path, data, ROW)["no_score"][0] == "id cc is there twice"


def test_what_is_not_valid_has_no_score(tmp_path, data):
    assert judged(tmp_path, data)["no_score"] == ["no submission.csv was written"]
    (data / "solution.csv").write_text(f"id,encoding\n{ROW}\n")
    assert judged(tmp_path, data, "cc,1 999")["no_score"] == ["the submission is not valid"]
