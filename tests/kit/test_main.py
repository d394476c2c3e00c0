import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from kit import competitions
from kit.__main__ import main
from kit.local.competitions.labelled import LabelledData
from kit.local.competitions.submission_files import write_submission
from kit.local.program import run_cli

SAMPLE = Path(__file__).parents[2] / "sample"
NAMES = ["kidney", "vasculature"]


def submit(path, name, *, split="test", empty=False):
    """The truth itself as a submission."""
    competition, data = competitions.get(name), SAMPLE / name
    labelled = LabelledData(competition, data)
    ids = competition.test_ids(data) if split == "test" else labelled.train_ids()
    truth = labelled.truth(ids)
    if empty:
        truth = {key: competition.empty(mask.height, mask.width) for key, mask in truth.items()}
    write_submission(path, competition.columns, [competition.rows(key, truth[key])[0] for key in ids])
    return path


def run(verb, name, path, *more, data=None):
    folder = SAMPLE / name if data is None else data
    return run_cli(
        main, [verb, "--competition", name, "--data", str(folder), "--submission", str(path), *more]
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("split", ["test", "train"])
def test_the_truth_scores_one_on_either_split(tmp_path, capsys, name, split):
    path = submit(tmp_path / "s.csv", name, split=split)
    assert run("score", name, path, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    competition = competitions.get(name)
    labelled = LabelledData(competition, SAMPLE / name)
    ids = competition.test_ids(SAMPLE / name) if split == "test" else labelled.train_ids()
    assert result["value"] == 1.0
    assert result["metric"] == competition.metric
    assert result["images"] == len(ids)
    assert set(result["per_image"]) == (set(ids) if name == "kidney" else set())


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_submission_scores_zero_and_raises_the_alarm(tmp_path, capsys, name):
    path = submit(tmp_path / "s.csv", name, empty=True)
    assert run("score", name, path, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["value"] == 0.0
    assert "all masks are empty" in result["alarms"][0]
    assert run("validate", name, path, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["ok"] is True
    assert [finding["level"] for finding in result["findings"]] == ["alarm"]


def test_the_score_is_printed_as_a_table(tmp_path, capsys):
    path = submit(tmp_path / "s.csv", "kidney")
    assert run("score", "kidney", path) == 0
    assert capsys.readouterr().out == ("image  Dice\n1015   1.000000\nmean Dice over 1 image: 1.000000\n")


def test_instances_are_also_scored_as_coco_does(tmp_path, capsys):
    path = submit(tmp_path / "s.csv", "vasculature")
    assert run("score", "vasculature", path) == 0
    shown = capsys.readouterr().out.splitlines()[-1]
    assert shown.startswith("COCO mAP (at most 100 detections an image): mean 0.95")  # some tiles hold more
    assert shown.endswith("medium 1.0000, large none")
    assert run("score", "vasculature", submit(tmp_path / "e.csv", "vasculature", empty=True), "--json") == 0
    assert json.loads(capsys.readouterr().out)["coco"]["mean"] == 0


def test_a_valid_file_is_said_to_be_valid(tmp_path, capsys):
    path = submit(tmp_path / "s.csv", "vasculature")
    assert run("validate", "vasculature", path) == 0
    out = capsys.readouterr().out
    assert "masks: 1272" in out
    assert out.endswith(f"{path}: valid, 1 alarm\n")


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_a_broken_file_is_shown_and_exits_with_2(tmp_path, capsys, more):
    path = tmp_path / "s.csv"
    path.write_text("id,predicted\n1015,5 3 6 2\n7,\n")
    assert run("validate", "kidney", path, *more) == 2
    out = capsys.readouterr().out
    assert "run 2 ('6 2') overlaps the run in front of it" in out
    assert "1 id is not among the images to predict: 7" in out
    assert ("not valid: 2 errors" in out) if not more else (json.loads(out)["ok"] is False)
    assert run("score", "kidney", path) == 2
    assert "error: 1 id is not among the images to predict: 7 (and 1 more error)" in capsys.readouterr().err


def test_an_id_too_long_for_a_file_is_a_finding(tmp_path, capsys):
    path = tmp_path / "s.csv"
    path.write_text(f"id,predicted\n{'x' * 400},\n")
    assert run("validate", "kidney", path) == 2
    assert "1 id is not among the images to predict: xxx" in capsys.readouterr().out


def test_a_missing_file_is_a_finding_for_validate_and_an_error_for_score(tmp_path, capsys):
    assert run("validate", "kidney", tmp_path / "none.csv") == 2
    assert "error: file is missing" in capsys.readouterr().out
    assert run("score", "kidney", tmp_path / "none.csv") == 2
    assert "error: file is missing" in capsys.readouterr().err


def test_data_that_is_missing_or_of_another_competition_is_named(tmp_path, capsys):
    path = submit(tmp_path / "s.csv", "kidney")
    assert run("score", "kidney", path, data=SAMPLE / "vasculature") == 2
    assert "this looks like the data of hubmap-hacking-the-human-vasculature" in capsys.readouterr().err
    assert run("score", "kidney", path, data=tmp_path / "none") == 2
    assert "data folder is missing" in capsys.readouterr().err


def test_an_image_without_readable_header_is_warned_about(tmp_path, capsys):
    (tmp_path / "test").mkdir()
    (tmp_path / "test/a.tiff").write_bytes(b"II")
    (tmp_path / "sample_submission.csv").write_text("id,predicted\na,\n")
    (tmp_path / "s.csv").write_text("id,predicted\na,\n")
    assert run("validate", "kidney", tmp_path / "s.csv", data=tmp_path) == 0
    assert "warning: " in capsys.readouterr().err


def test_an_id_of_both_parts_means_the_image_to_predict(tmp_path, capsys):
    """In many competitions the public test image is a copy of a training image."""
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
        tifffile.imwrite(tmp_path / part / "a.tiff", np.zeros((4, 5, 3), np.uint8), photometric="rgb")
    (tmp_path / "train.csv").write_text("id,encoding\na,1 1\nb,1 1\n")
    for name in ("sample_submission.csv", "s.csv"):
        (tmp_path / name).write_text("id,predicted\na,1 1\n")
    assert run("validate", "kidney", tmp_path / "s.csv", data=tmp_path) == 0
    assert run("validate", "kidney", tmp_path / "s.csv", "--split", "train", data=tmp_path) == 2
    assert "1 id is missing: b" in capsys.readouterr().out


def test_a_competition_that_is_no_name_and_no_good_file_is_told(tmp_path, capsys):
    path = submit(tmp_path / "s.csv", "kidney")
    wrong = tmp_path / "wrong.toml"
    wrong.write_text('like = "kidney"\nname = "glands"\n[truth]\nmaks = "encoding"\n')
    for name, shown in (
        ("heart", "use one of: body, kidney, vasculature, or the path of a .toml file"),
        (str(tmp_path / "none.toml"), "there is no such file"),
        (str(wrong), "did you mean 'mask'?"),
    ):
        assert run("validate", name, path, data=SAMPLE / "kidney") == 2
        assert shown in capsys.readouterr().err


def test_a_file_may_describe_a_variant_of_a_known_competition(tmp_path, capsys):
    path = submit(tmp_path / "s.csv", "kidney")
    variant = tmp_path / "glands.toml"
    variant.write_text('like = "kidney"\nname = "glands"\n')
    assert run("score", str(variant), path, "--json", data=SAMPLE / "kidney") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["competition"], result["value"]) == ("glands", 1.0)


def test_the_module_runs_as_a_program(tmp_path):
    path = submit(tmp_path / "s.csv", "kidney")
    command = [sys.executable, "-m", "kit", "score", "--competition", "kidney"]
    command += ["--data", str(SAMPLE / "kidney"), "--submission", str(path), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=SAMPLE.parent, check=True)
    assert json.loads(done.stdout)["value"] == 1.0
