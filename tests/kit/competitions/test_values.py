"""Numbers as rows: rounded for metrics of whole numbers, with ten digits for all others."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit import competitions
from kit.predictions import Values

FORM = {
    "name": "v",
    "slug": "v",
    "kind": "values",
    "images": {"train": "train/{id}.tif", "test": "test/{id}.tif"},
    "truth": {"form": "table", "file": "train.csv"},
    "submission": {},
}


def made(metric, *targets):
    value = {**FORM, "targets": list(targets), "metric": {"name": metric}}
    return competitions.of(SimpleNamespace(competition="v", definition=value))


@given(st.floats(-1e3, 1e3), st.sampled_from(["quadratic kappa", "accuracy"]))
def test_a_grade_is_written_as_the_nearest_whole_number(number, metric):
    (row,) = made(metric, "grade").rows("a", Values({"grade": number}))
    assert row == {"id": "a", "grade": str(int(row["grade"]))}
    assert abs(int(row["grade"]) - number) <= 0.5


@pytest.mark.parametrize(("metric", "targets"), [("RMSE", ("x",)), ("accuracy", ("x", "y"))])
def test_other_numbers_keep_their_digits(metric, targets):
    (row,) = made(metric, *targets).rows("a", Values(dict.fromkeys(targets, 1.6666666666)))
    assert {row[name] for name in targets} == {"1.666666667"}


def test_a_file_with_fractions_of_grades_is_an_alarm(tmp_path):
    (tmp_path / "s.csv").write_text("id,grade\na,1.5\nb,2\nc,0.0\n")
    competition = made("quadratic kappa", "grade")
    report = competition.validate(tmp_path / "s.csv", ["a", "b", "c"], {})
    assert [finding.message for finding in report.findings if finding.level == "alarm"] == [
        "grade is not whole in 1 of 3 rows, such as 1.5"
    ]
