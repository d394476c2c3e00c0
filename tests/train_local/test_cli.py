import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kit.errors import KitError
from kit.local.program import run_cli
from train_local import cli, recipes
from train_local.data import prepare

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


def test_the_help_of_stain_names_the_stains_that_recipes_know(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["stain", "--help"])
    assert ended.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    known = {stain for name in recipes.names() for stain in recipes.get(name).data.stains}
    assert known == {"hubmap1", "hubmap2", "sample1", "test", "pas", "pas2"}
    for word in (*known, "Macenko", "--like hubmap1=A.tiff hubmap2=B.tiff", "prepare --stains"):
        assert word in text


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
    assert "the competition kidney is named twice" in fails(
        "train-all", "--prepared", str(work), str(work), "--out", str(runs)
    )
    assert "--out is a folder" in fails(
        "ensemble", "--prepared", str(work), "--runs", str(runs), "--out", str(tmp_path)
    )
    (tmp_path / "file").touch()
    for flag in ("--out", "--dist", "--work"):
        places = {"--out": runs, flag: tmp_path / "file" / "x"}
        given = [str(part) for pair in places.items() for part in pair]
        assert f"{flag} is not a folder" in fails("train-all", "--prepared", str(work), *given, "--dry-run")
    assert "there is no job 'kidney/unet'" in fails("job", "kidney/unet", *place, "--tiny")
    message = fails("job", "kidney/ensemble", *place, "--tiny")
    assert "kidney/ensemble needs kidney/unet-regnetx32-tiny.fold0" in message
    assert "kidney/unet-regnety16-tiny.fold0" in message


def test_a_recipe_whose_fold_is_not_prepared_is_told_and_not_silently_left_out(tmp_path, capsys):
    prepare.prepare("vasculature", SAMPLE / "vasculature", tmp_path / "work", fold_count=2)
    place = ["--prepared", str(tmp_path / "work"), "--out", str(tmp_path / "runs"), "--tiny"]
    assert run_cli(cli.main, ["train", "cbnetv2-swin-b", *place, "--fold", "all"]) == 2
    assert "cbnetv2-swin-b-tiny is trained on fold 4, and the prepared data has 2 folds" in said(capsys)
    assert cli.main(["train-all", *place, "--dry-run", "--only", "detectors-r50-tiny"]) == 0
    plan = said(capsys)
    assert plan.count("cbnetv2-swin-b-tiny is left out: it is trained on fold 4") == 1
    assert "`prepare --folds 5` has it" in plan
    assert "detectors-r50-tiny is left out" not in plan


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
        (["prepare", "kidney", "--data", "x", "--out", "y", "--folds", "0"], "it has to be at least 2"),
        (["prepare", "kidney", "--data", "x", "--out", "y", "--seed", "-1"], "it has to be at least 0"),
        (
            ["train", "unet-regnety16", "--prepared", "x", "--out", "y", "--seed", "-1"],
            "it has to be at least 0",
        ),
        ([], "the following arguments are required: VERB"),
    ):
        with pytest.raises(SystemExit) as stop:
            cli.main(arguments)
        assert stop.value.code == 2
        assert message in said(capsys)


def test_nothing_is_written_into_the_competition_s_folder(tmp_path, capsys):
    data = tmp_path / "data"
    data.mkdir()
    where = ["kidney", "--data", str(data), "--out", str(data / "work")]
    for command in (
        ["prepare"],
        ["prepare", "--dry-run"],
        ["stain", "--like", f"pas={SAMPLE / 'kidney' / 'README.md'}"],
    ):
        assert run_cli(cli.main, [command[0], *where, *command[1:]]) == 2
        assert "results would be written into the data folder" in said(capsys)
    assert not list(data.iterdir())


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
