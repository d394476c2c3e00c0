"""A metric in a file: its faults are named with file and line."""

from pathlib import Path

import pytest

from kit import competitions
from kit.ensemble import Ensemble, Member, Pass, Rung
from kit.errors import KitError
from kit.local.competitions import scores
from kit.local.competitions.labelled import LabelledData
from kit.local.metrics import own
from kit.predictions import Values

VISIBLE = """\
class ParticipantVisibleError(Exception):
    pass

def check(a):
    raise ParticipantVisibleError("a row is missing")

def score(a, b, c):
    return check(a)
"""
SHAPES = Path(__file__).parents[4] / "docs" / "competitions" / "shapes"


@pytest.mark.parametrize(
    ("source", "problem", "where"),
    [
        ("def score(a, b, c):\n    return (\n", "not Python: ", "m.py:2"),
        ("scores = 1\n", "there is no function score", "m.py"),
        ("score = 1\n", "there is no function score", "m.py"),
        ("\nimport a_module_that_nobody_has\n", "the metric needs a_module_that_nobody_has", "m.py:2"),
        ("def score(a, b):\n    return 1\n", "the metric raised TypeError: score() takes 2", "m.py"),
        (
            VISIBLE,
            "the metric raised ParticipantVisibleError: a row is missing",
            "m.py:5",
        ),
        ("import json\n\n\ndef score(a, b, c):\n    return json.loads('{')\n", "JSONDecodeError", "m.py:5"),
    ],
)
def test_a_fault_is_told_with_its_line(source, problem, where):
    with pytest.raises(KitError) as caught:
        own.run(source, "m.py", 1, 2, 3)
    assert problem in caught.value.problem
    assert caught.value.where == where


WEIGHTED = """\
def score(solution, submission, row_id_column_name):
    assert list(submission.columns) == ["id", "p"] and list(solution.columns) == ["id", "p", "weight", "who"]
    assert set(solution.who) <= {"x", "y"}
    wrong = (solution.p - submission.p).abs() * solution.weight
    return float(wrong.sum() / solution.weight.sum())
"""


@pytest.mark.parametrize("long", [False, True])
def test_a_metric_gets_columns_of_the_truth_that_no_submission_has(tmp_path, long):
    (tmp_path / "metric.py").write_text(WEIGHTED)
    classes, row_id = ('classes = ["u", "v"]', 'row_id = "{id}_{class}"') if long else ('targets = ["p"]', "")
    (tmp_path / "my.toml").write_text(
        f'name = "my"\nslug = "my"\nkind = "values"\n{classes}\n'
        '[images]\ntrain = "train/{id}.tif"\ntest = "test/{id}.tif"\n'
        f'[truth]\nform = "table"\nfile = "train.csv"\nvalue = "p"\n{row_id}\n'
        f'[submission]\nvalue = "p"\n{row_id}\n'
        '[metric]\nfile = "metric.py"\nhigher_is_better = false\ncolumns = ["weight", "who"]\n'
    )
    rows = ["a_u,1,1,x", "b_u,0,3,y", "a_v,1,2,x", "b_v,0,2,x"] if long else ["a,1,1,x", "b,0,3,y"]
    (tmp_path / "train.csv").write_text("\n".join(["id,p,weight,who", *rows]) + "\n")
    competition = competitions.get(tmp_path / "my.toml")
    truth = LabelledData(competition, tmp_path).truth(["a", "b"])
    found = {
        image: Values(dict.fromkeys(competition.format.targets, 0.5 if image == "a" else 0.0))
        for image in "ab"
    }
    # Only the rows of "a" are wrong, each by a half.
    expected = 0.5 * (3 / 8 if long else 1 / 4)
    assert scores.score(competition, truth, found).value == pytest.approx(expected)


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ('name = "MAE"\ncolumns = ["weight"]', "for metrics in a file"),
        ('file = "metric.py"\nhigher_is_better = true\ncolumns = ["p"]', "a column of the submission"),
    ],
)
def test_columns_that_no_metric_can_get(tmp_path, metric, words):
    (tmp_path / "metric.py").write_text(WEIGHTED)
    (tmp_path / "my.toml").write_text(
        'name = "my"\nslug = "my"\nkind = "values"\ntargets = ["p"]\n'
        '[images]\ntrain = "train/{id}.tif"\ntest = "test/{id}.tif"\n'
        f'[truth]\nform = "table"\nfile = "train.csv"\n[submission]\n[metric]\n{metric}\n'
    )
    with pytest.raises(KitError, match=words):
        competitions.get(tmp_path / "my.toml")


def grades(**answers):
    return {image: Values({"grade": grade}) for image, grade in answers.items()}


def test_the_direction_is_the_declared_one():
    competition = competitions.get(SHAPES / "grades.toml")
    found = scores.score(competition, grades(a="none", b="severe"), grades(a="mild", b="severe"))
    assert (found.value, found.gain, found.higher_is_better) == (0.5, -0.5, False)
    assert found.metric == "distance.py"


def test_the_metric_travels_in_an_ensemble_without_its_file(tmp_path):
    competition = competitions.get(SHAPES / "grades.toml")
    member = Member(name="m", weights="w", sha256="0", size=1, network={}, inference={}, requires=[])
    made = Ensemble(
        competition=competition.name,
        kind="values",
        members=[member],
        passes=[Pass(member=0, view="identity")],
        rungs=[Rung(passes=[0], weights=[1.0], settings={}, cv=-0.5)],
        definition=competition.definition,
    )
    again = competitions.of(made)
    assert scores.score(again, grades(a="none"), grades(a="severe")).value == 2.0
    assert not made.rows_may_mix, "nobody knows what a metric in a file does"


@pytest.mark.parametrize("told", ["None", "'0.5'", "float('nan')", "True", "[0.5]"])
def test_what_is_no_finite_number_is_refused(tmp_path, told):
    (tmp_path / "distance.py").write_text(f"def score(solution, submission, row_id):\n    return {told}\n")
    (tmp_path / "g.toml").write_text((SHAPES / "grades.toml").read_text())
    competition = competitions.get(tmp_path / "g.toml")
    with pytest.raises(KitError, match="not a finite number"):
        scores.score(competition, grades(a="none"), grades(a="none"))
