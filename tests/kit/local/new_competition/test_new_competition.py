"""`new-competition` on folders in the layout of real competitions: what it writes, and what it asks."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from kit import competitions
from kit.__main__ import main
from kit.local.new_competition import command
from kit.local.new_competition.guesses import Question
from kit.local.program import run_cli
from tests.kit.competitions import public_folders as folders
from tests.kit.images.coded_files import png

ROOT = Path(__file__).parents[4]
DOCS = ROOT / "docs" / "competitions"


def new(capsys, data, out, *more):
    code = run_cli(main, ["new-competition", str(data), "--out", str(out), *more])
    told = capsys.readouterr()
    return code, told.out, told.err


def answers(**given):
    return [
        word for key, value in given.items() for word in ("--answer", f"{key.replace('__', '.')}={value}")
    ]


MORE = {
    "severstal": {"slug": "severstal-steel-defect-detection", "metric__name": "mean Dice"},
    "sartorius": {
        "slug": "sartorius-cell-instance-segmentation",
        "metric__name": "mean precision",
        "metric__iou": "[0.5, 0.75]",
        "submission__overlap": "false",
    },
    "rsna-hemorrhage": {
        "slug": "rsna-intracranial-hemorrhage-detection",
        "metric__name": "log loss",
        "images__intensity": "[-20, 160]",
    },
}


@pytest.mark.parametrize("name", sorted(folders.FOLDERS))
def test_public_competitions_become_what_their_definitions_say(tmp_path, capsys, name):
    folders.FOLDERS[name](tmp_path / name)
    out = tmp_path / f"{name}.toml"
    code, text, error = new(capsys, tmp_path / name, out, "--yes", *answers(**MORE[name]))
    assert code == 0, error + text
    made, known = competitions.get(out).format, competitions.get(DOCS / f"{name}.toml").format
    assert made.kind == known.kind
    assert made.images == known.images
    assert set(made.classes) == set(known.classes)
    for key in (
        "form",
        "file",
        "solution",
        "id",
        "row_id",
        "class_column",
        "mask",
        "encoding",
        "order",
        "first",
        "unlisted",
    ):
        assert getattr(made.truth, key) == getattr(known.truth, key), key
    for key in ("id", "row_id", "rows", "mask", "value", "encoding", "order", "first", "sample", "overlap"):
        assert getattr(made.submission, key) == getattr(known.submission, key), key
    assert "the folder is as the definition says" in text


@pytest.mark.parametrize("at_home", [True, False])
def test_the_command_that_it_prints_runs_its_test(tmp_path, capsys, monkeypatch, at_home):
    folders.severstal(tmp_path / "steel")
    fresh = tmp_path / "a fresh folder"
    fresh.mkdir()
    here = ROOT if at_home else fresh
    monkeypatch.chdir(here)
    out = fresh / "steel.toml" if at_home else Path("steel.toml")
    code, text, _ = new(capsys, tmp_path / "steel", out, "--yes", *answers(metric__name="mean Dice"))
    assert code == 0
    [command] = re.findall("^its test: (.*)$", text, re.MULTILINE)
    if at_home:
        (tmp_path / "steel" / "test_images" / "cc3.jpg").unlink()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, check=False, cwd=here, env=environment
    )
    assert done.returncode == (1 if at_home else 0), done.stdout + done.stderr
    assert ("cc3" if at_home else "4 passed") in done.stdout


def test_without_a_terminal_open_questions_are_listed_and_nothing_is_written(tmp_path, capsys):
    folders.rsna(tmp_path / "rsna")
    out = tmp_path / "rsna.toml"
    code, _, error = new(capsys, tmp_path / "rsna", out)
    assert code == 2
    assert not out.exists()
    for key in ("slug", "metric.name", "images.intensity"):
        assert f"--answer '{key}=...'" in error
    code, _, error = new(capsys, tmp_path / "rsna", out, "--yes")
    assert code == 2, "no metric is usual for values"
    assert "--answer 'metric.name=...'" in error
    assert "--answer 'slug=...'" not in error


def test_files_that_are_there_are_kept(tmp_path, capsys):
    folders.severstal(tmp_path / "steel")
    out = tmp_path / "steel.toml"
    out.write_text("mine")
    code, _, error = new(capsys, tmp_path / "steel", out, "--yes", *answers(metric__name="mean Dice"))
    assert (code, out.read_text()) == (2, "mine")
    assert "--force" in error
    assert (
        new(capsys, tmp_path / "steel", out, "--yes", "--force", *answers(metric__name="mean Dice"))[0] == 0
    )


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--answer", "metric.name"], "no KEY=VALUE"),
        (["--answer", "metric.name=mean dice"], "use one of"),
        (["--answer", "kind=masks"], "use one of"),
    ],
)
def test_answers_that_are_none(tmp_path, capsys, more, words):
    folders.severstal(tmp_path / "steel")
    code, _, error = new(capsys, tmp_path / "steel", tmp_path / "a.toml", "--yes", *more)
    assert code == 2
    assert words in error


def test_a_folder_without_images_and_no_folder(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    code, _, error = new(capsys, tmp_path / "empty", tmp_path / "a.toml", "--yes")
    assert (code, "no images are here" in error) == (2, True)
    code, _, error = new(capsys, tmp_path / "none", tmp_path / "a.toml", "--yes")
    assert (code, "this is no folder" in error) == (2, True)


def sennet(root):
    """Slices of volumes as 16-bit grey TIFFs, mask images beside them: SenNet + HOA's layout."""
    random = np.random.default_rng(0)
    for part, volumes in (("train", ("kidney_1_dense", "kidney_2")), ("test", ("kidney_5", "kidney_6"))):
        for volume in volumes:
            for number in range(3):
                place = root / part / volume / "images" / f"{number:04}.tif"
                place.parent.mkdir(parents=True, exist_ok=True)
                tifffile.imwrite(place, random.integers(0, 60_000, (12, 15), dtype=np.uint16))
                if part == "train":
                    mask = root / part / volume / "labels" / f"{number:04}.tif"
                    mask.parent.mkdir(exist_ok=True)
                    tifffile.imwrite(mask, np.eye(12, 15, dtype=np.uint8) * 255)
    rows = [(f"{volume}_{number:04}", "1 0") for volume in ("kidney_5", "kidney_6") for number in range(3)]
    folders.table(root / "sample_submission.csv", ("id", "rle"), rows)


def test_slices_of_volumes_with_mask_images(tmp_path, capsys):
    sennet(tmp_path / "vessels")
    out = tmp_path / "vessels.toml"
    given = answers(slug="blood-vessel-segmentation", metric__name="mean Dice")
    code, text, error = new(capsys, tmp_path / "vessels", out, "--yes", *given)
    assert code == 0, error + text
    made = competitions.get(out)
    assert made.format.images.train == "train/{folder}/images/{name}.tif"
    assert made.format.images.test == "test/{folder}/images/{name}.tif"
    assert made.format.images.id == "{folder}_{name}"
    assert made.format.truth.file == "train/{folder}/labels/{name}.tif"
    assert made.format.images.intensity == "full range"
    assert made.test_ids(tmp_path / "vessels")[0] == "kidney_5_0000"


def bowl(root):
    """Each image in a folder of its own: the layout of the Data Science Bowl 2018."""
    for part in ("train", "test"):
        for image in ("aa1", "bb2", "cc3"):
            place = root / f"stage1_{part}" / f"{part}{image}" / "images" / f"{part}{image}.png"
            place.parent.mkdir(parents=True)
            place.write_bytes(png(np.arange(8 * 9 * 4).reshape(8, 9, 4) % 256))
    masks = [(f"train{image}", text) for image in ("aa1", "bb2") for text in ("1 2 9 2", "33 3 41 3")]
    folders.table(root / "stage1_train_labels.csv", ("ImageId", "EncodedPixels"), masks)
    rows = [(f"test{image}", "0 0") for image in ("aa1", "bb2", "cc3")]
    folders.table(root / "stage1_sample_submission.csv", ("ImageId", "EncodedPixels"), rows)


def test_an_image_in_a_folder_of_its_own(tmp_path, capsys):
    bowl(tmp_path / "bowl")
    out = tmp_path / "bowl.toml"
    given = answers(slug="data-science-bowl-2018", metric__name="mean precision", metric__iou="[0.5]")
    code, text, error = new(capsys, tmp_path / "bowl", out, "--yes", *given)
    assert code == 0, error + text
    made = competitions.get(out).format
    assert made.images.train == "stage1_train/{id}/images/{id}.png"
    assert made.images.test == "stage1_test/{id}/images/{id}.png"
    assert (made.kind, made.truth.file, made.truth.id) == ("instance", "stage1_train_labels.csv", "ImageId")
    assert made.truth.first == 1
    assert made.truth.order == "columns"
    assert made.submission.rows == "object"


def leaves(root):
    """Photos in a folder for each class, a table with words, probabilities in the submission."""
    for part, names in (("train", ("1", "2", "3")), ("test", ("4", "5"))):
        for number, image in enumerate(names):
            place = root / part / (f"class{number % 2}" if part == "train" else ".") / f"{image}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(png(np.arange(8 * 9 * 3).reshape(8, 9, 3) % 256))
    folders.table(root / "train.csv", ("id", "species"), [("1", "ash"), ("2", "oak"), ("3", "ash")])
    folders.table(
        root / "sample_submission.csv", ("id", "ash", "oak"), [("4", "0.5", "0.5"), ("5", "0.5", "0.5")]
    )


def test_words_in_the_truth_and_numbers_in_the_submission(tmp_path, capsys):
    leaves(tmp_path / "leaves")
    out = tmp_path / "leaves.toml"
    given = answers(metric__name="multi-class log loss", images__test="test/{id}.png")
    _, text, error = new(capsys, tmp_path / "leaves", out, "--yes", *given)
    made = tomllib_of(out) if out.exists() else {}
    assert made.get("kind") == "values", error + text
    assert made["classes"] == ["ash", "oak"]
    assert made["truth"]["value"] == "species"


def tomllib_of(path):
    import tomllib

    return tomllib.loads(path.read_text())


def test_the_answer_for_programs(tmp_path, capsys):
    folders.severstal(tmp_path / "steel")
    out = tmp_path / "steel.toml"
    code, text, _ = new(
        capsys, tmp_path / "steel", out, "--yes", "--json", *answers(metric__name="mean Dice")
    )
    told = json.loads(text)
    assert (code, told["ok"], told["definition"]) == (0, True, str(out))
    assert told["values"]["metric.name"] == {"value": "mean Dice", "why": "as you said"}


def test_questions_are_asked_in_a_terminal():
    question = Question("kind", "What?", choices=("a", "b"))
    seen = []
    assert command._ask(question, lambda text: seen.append(text) or " b ") == "b"
    assert seen == ["kind: What? (a | b): "]

    def ended(_):
        raise EOFError

    assert command._ask(question, ended) == ""


def test_a_wrong_answer_is_asked_for_again_and_those_before_are_kept(tmp_path):
    folders.severstal(tmp_path / "steel")
    out = tmp_path / "steel.toml"
    answers_given = ["severstal-steel", "mean dice", "global Dice", "rows", ""]
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "kit", "new-competition", str(tmp_path / "steel"), "--out", str(out)],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=ROOT,
    )
    os.close(slave)
    os.write(master, "".join(f"{answer}\n" for answer in answers_given).encode())
    told = b""
    try:
        while chunk := os.read(master, 1 << 16):
            told += chunk
    except OSError:  # the other end is closed
        pass
    os.close(master)
    assert process.wait(timeout=60) == 0, told.decode()
    assert "'mean dice' is none of the answers" in told.decode()
    made = tomllib_of(out)
    assert (made["slug"], made["metric"]["name"]) == ("severstal-steel", "global Dice")


def test_every_value_has_its_reason(tmp_path, capsys):
    folders.sartorius(tmp_path / "cells")
    out = tmp_path / "cells.toml"
    assert new(capsys, tmp_path / "cells", out, "--yes")[0] == 0
    lines = [line for line in out.read_text().splitlines() if " = " in line and not line.startswith("#")]
    text = out.read_text()
    for line in lines:
        before = text[: text.index(line)].rstrip("\n").splitlines()[-1]
        assert "  # " in line or before.startswith("# "), line


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"metric": "dice"}, "metric is a section of the definition and has no value of its own"),
        ({"images__bits": "many"}, "these answers make no definition"),
        ({"metric__nmae": "mean Dice"}, "these answers make no definition"),
    ],
)
def test_an_answer_that_makes_no_definition_is_named_before_a_file_is_there(tmp_path, capsys, given, told):
    folders.severstal(tmp_path / "steel")
    before = {*tmp_path.iterdir()}
    code, _, error = new(capsys, tmp_path / "steel", tmp_path / "steel.toml", "--yes", *answers(**given))
    assert code == 2
    text = " ".join(error.split())
    assert told in text
    assert "--answer" in text
    assert {*tmp_path.iterdir()} == before
