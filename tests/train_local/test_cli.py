import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kit.errors import KitError, run_cli
from train_local import cli, recipes

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "sample"


def said(capsys):
    return " ".join(capsys.readouterr().err.split())


def test_help_names_every_verb():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "train_local", "--help"],
        cwd=ROOT, env=os.environ, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for verb in ("prepare", "train", "train-all", "job", "ensemble", "recipes", "sample", "baseline"):
        assert f" {verb} " in done.stdout.replace("\n", " ")
    assert done.stderr == ""


def test_recipes_are_listed_for_people_and_programs(capsys):
    assert cli.main(["recipes", "--json"]) == 0
    listed = {recipe["name"]: recipe for recipe in json.loads(capsys.readouterr().out)}
    for name in recipes.names():
        assert listed[name] == json.loads(json.dumps(recipes.get(name).as_dict()))
        assert f"{name}-tiny" in listed
    assert "detectors-r50-stage1" in listed, "earlier stages can be trained by name, too"
    assert cli.main(["recipes"]) == 0
    assert "unet-regnety16-tiny" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "scale"), [("1", 1.0), ("1/3", 1 / 3), ("0.25", 0.25)])
def test_resolutions_are_read_as_fractions(text, scale):
    assert cli._scale(text) == pytest.approx(scale)


def test_prepare_plans_and_tells_what_is_missing(tmp_path, capsys):
    work, runs = tmp_path / "work", tmp_path / "runs"
    assert (
        cli.main(
            ["prepare", "kidney", "--data", str(SAMPLE / "kidney"), "--out", str(work), "--scale", "1/4"]
        )
        == 0
    )
    assert "kidney: 2 images in 2 folds (group)" in said(capsys)
    place = ["--prepared", str(work), "--out", str(runs)]
    assert cli.main(["train-all", *place, "--tiny", "--dry-run"]) == 0
    plan = said(capsys)
    assert "kidney/unet-regnety16-tiny.fold0" in plan
    assert "to do" in plan
    assert "detectors" not in plan
    assert not runs.exists()

    def fails(*arguments):
        assert run_cli(cli.main, list(arguments)) == 2
        return said(capsys)

    assert "starts from the published checkpoint regnety_016" in fails("train", "unet-regnety16", *place)
    assert "there is no fold 7" in fails("train", "unet-regnety16", "--tiny", *place, "--fold", "7")
    message = fails("train", "detectors-r50", "--tiny", *place)
    assert "recipe detectors-r50-tiny is for vasculature, the data is of kidney" in message
    assert "no finished run" in fails(
        "ensemble", "--prepared", str(work), "--runs", str(runs), "--out", str(tmp_path / "e.json")
    )
    assert "no prepared data here" in fails("train-all", "--prepared", str(tmp_path), "--out", str(runs))
    assert "no data is named" in fails("train-all", "--out", str(runs))
    assert "a competition is named twice" in fails(
        "train-all", "--prepared", str(work), str(work), "--out", str(runs)
    )
    assert "there is no job 'kidney/unet'" in fails("job", "kidney/unet", *place, "--tiny")
    message = fails("job", "kidney/ensemble", *place, "--tiny")
    assert "kidney/ensemble needs kidney/unet-regnetx32-tiny.fold0" in message
    assert "kidney/unet-regnety16-tiny.fold0" in message


def test_wrong_words_are_refused_by_the_parser(capsys):
    for arguments, message in (
        (["train", "resnet", "--prepared", "x", "--out", "y"], "invalid choice: 'resnet'"),
        (
            ["prepare", "kidney", "--data", "x", "--out", "y", "--scale", "third"],
            "a resolution is a number such as",
        ),
        (
            ["prepare", "kidney", "--data", "x", "--out", "y", "--scale", "1/0"],
            "'1/0' cannot be used: a resolution",
        ),
        (
            ["train", "unet-regnety16", "--prepared", "x", "--out", "y", "--fold", "first"],
            "'first' cannot be used: a fold is",
        ),
        (["train-all", "--prepared", "x", "--out", "y", "--max-seconds", "-1"], "it has to be at least 0"),
        (["train-all", "--prepared", "x", "--out", "y", "--threads", "0"], "it has to be at least 1"),
        ([], "the following arguments are required: VERB"),
    ):
        with pytest.raises(SystemExit) as stop:
            cli.main(arguments)
        assert stop.value.code == 2
        assert message in said(capsys)


def test_unknown_competition_data_is_an_error_not_a_traceback(tmp_path):
    with pytest.raises(KitError, match="data folder is missing"):
        cli.main(["prepare", "kidney", "--data", str(tmp_path / "no"), "--out", str(tmp_path / "out")])


def test_an_unknown_competition_is_told_with_the_known_ones(capsys):
    for arguments in (
        ["prepare", "liver", "--data", "x", "--out", "y"],
        ["baseline", "--competition", "liver", "--data", "x", "--out", "y"],
    ):
        assert run_cli(cli.main, arguments) == 2
        message = said(capsys)
        assert "no competition is called 'liver'" in message
        assert "body, kidney, vasculature, or the path of a .toml file" in message
