"""The figures of the whole chain: scores of the demo and of the examples, and the line below a table."""

import csv
import json
import math
import runpy
import shutil
import sys
from pathlib import Path

import pytest

from benchmarks import examples, machine
from benchmarks.__main__ import main
from benchmarks.markdown import DOCS, block
from kit.errors import KitError

ROOT = Path(__file__).parents[2]


def demo(folder, name, *, safe, expected):
    scores = {"submission": 0.61234, "otsu": 0.5, "all-foreground": 0.1}
    verdict = {"safe": safe, "expected_score": expected}
    rehearsal = folder / name / "rehearsal" / "rehearsal.json"
    rehearsal.parent.mkdir(parents=True)
    rehearsal.write_text(json.dumps({"score": {"metric": "mean Dice"}, "verdict": verdict}))
    (folder / name / "scores.json").write_text(json.dumps(scores))


def test_the_scores_of_the_demo_are_kept_beside_the_baselines(tmp_path):
    demo(tmp_path / "demo", "kidney", safe=True, expected=0.7)
    demo(tmp_path / "demo", "body", safe=False, expected=None)
    shutil.copy(DOCS / "benchmarks.md", tmp_path)
    where = ["--demo", str(tmp_path / "demo"), "--docs", str(tmp_path)]
    assert main(["demo", "--write-docs", *where]) == 0
    _, _, *rows, _, how = block(tmp_path / "benchmarks.md", "demo").splitlines()
    assert rows == [
        "| body | mean Dice | 0.6123 | 0.5000 | 0.1000 | - | no |",
        "| kidney | mean Dice | 0.6123 | 0.5000 | 0.1000 | 0.7000 | yes |",
    ]
    assert how.startswith("`python -m benchmarks demo --write-docs --demo DIR` on ")


def test_without_a_demo_there_is_nothing_to_show(tmp_path):
    with pytest.raises(KitError, match="no finished demo"):
        main(["demo", "--demo", str(tmp_path)])


def test_an_unknown_example_is_refused():
    with pytest.raises(KitError, match="no example is called 'painter'"):
        main(["examples", "--only", "segmenter", "painter"])


def test_the_share_of_the_training_tiles_is_scored_without_a_model(tmp_path, monkeypatch):
    data, made = tmp_path / "data", ROOT / "docs" / "examples" / "classifier" / "make_data.py"
    words = [str(made), "--sample", str(ROOT / "sample" / "vasculature"), "--out", str(data)]
    monkeypatch.setattr(sys, "argv", words)
    runpy.run_path(str(made), run_name="__main__")
    train, test = (read(data / name) for name in ("train.csv", "solution.csv"))
    share = sum(train) / len(train)
    expected = -sum(math.log(share if one else 1 - share) for one in test) / len(test)
    assert examples._share(data, tmp_path) == f"the share of crowded tiles {expected:.4f}"


def read(path):
    with path.open(newline="") as stream:
        return [int(row["crowded"]) for row in csv.DictReader(stream)]


def test_the_line_below_a_table_names_no_folder_of_this_machine(tmp_path):
    command = ["models", "--docs", "pages", "--native-mmcv", str(tmp_path), "--data", "sample/kidney"]
    told = machine.made_by(command)
    assert told.startswith("`python -m benchmarks models --native-mmcv DIR --data sample/kidney` on ")
