"""`new-competition` on layouts of public competitions: right definitions, or what is not supported."""

import json

import pytest

from kit import competitions
from kit.__main__ import main
from kit.local.competitions.labelled import LabelledData
from kit.local.competitions.submission_files import write_submission
from kit.local.program import run_cli
from tests.kit.local.new_competition import layouts

MAP_AT_5 = """
def score(solution, submission, row_id_column_name):
    total = 0.0
    for true, guess in zip(solution.predictions, submission.predictions):
        places = guess.split()[:5]
        total += 1 / (1 + places.index(true)) if true in places else 0.0
    return total / len(solution)
"""
BOX = "{xmin} {ymin} {width} {height}"
FAR = "{xmin} {ymin} {xmax} {ymax}"
WRITTEN = {
    layouts.madison: (
        {},
        {
            "images.train": "train/{part1}/{folder}/scans/slice_{name}_{rest}.png",
            "images.id": "{folder}_slice_{name}",
            "classes": ("stomach", "large_bowel", "small_bowel"),
            "truth.class_column": "class",
            "truth.order": "rows",
            "submission.class_column": "class",
        },
    ),
    layouts.madison_without_test: ({}, {"submission.class_column": "class", "submission.mask": "predicted"}),
    layouts.breasts: (
        {"metric.name": "log loss"},
        {
            "images.train": "train_images/{id}/*.dcm",
            "images.test": "test_images/{id}/*.dcm",
            "classes": ("L", "R"),
            "truth.id": "patient_id",
            "truth.class_column": "laterality",
            "truth.value": "cancer",
            "submission.row_id": "{id}_{class}",
        },
    ),
    layouts.wheat: (
        {"metric.name": "mean precision"},
        {
            "kind": "instance",
            "truth.form": "boxes",
            "truth.mask": "bbox",
            "truth.box": BOX,
            "truth.unlisted": "empty",
            "submission.instance": "{score} " + BOX,
            "metadata.columns.width": "width",
        },
    ),
    layouts.pneumonia: (
        {"metric.name": "mean precision"},
        {
            "truth.columns": ("x", "y", "width", "height"),
            "truth.box": BOX,
            "submission.instance": "{score} " + BOX,
            "metadata.columns.width": "",
        },
    ),
    layouts.chests: (
        {"submission.empty": "14 1 0 0 1 1"},
        {
            "classes": ("0", "3"),
            "truth.class_column": "class_id",
            "truth.columns": ("x_min", "y_min", "x_max", "y_max"),
            "submission.instance": "{label} {score} " + FAR,
        },
    ),
    layouts.starfish: (
        {"submission.mask": "annotations"},
        {"images.id": "{folder}-{name}", "truth.mask": "annotations", "truth.box": BOX},
    ),
    layouts.lungs: (
        {},
        {
            "kind": "semantic",
            "truth.rows": "object",
            "truth.mask": " EncodedPixels",
            "truth.empty": "-1",
            "submission.empty": "-1",
        },
    ),
    layouts.nuclei: (
        {"submission.overlap": "false"},
        {
            "kind": "instance",
            "images.train": "stage1_train/{id}/images/{id}.png",
            "submission.rows": "object",
            "submission.encoding": "pairs",
        },
    ),
    layouts.biomass: (
        {"metric.name": "RMSE"},
        {
            "classes": layouts.GRAMS,
            "truth.row_id": "{id}__{class}",
            "truth.value": "target",
            "submission.row_id": "{id}__{class}",
        },
    ),
    layouts.planet: (
        {"metric.name": "F-beta", "metric.beta": "2", "metric.average": "samples"},
        {
            "classes": ("agriculture", "clear", "cloudy", "haze", "primary", "road", "water"),
            "targets": ("tags",),
        },
    ),
    layouts.grades: ({"metric.name": "quadratic kappa"}, {"targets": ("diagnosis",), "classes": ()}),
    layouts.leaves: (
        {"metric.name": "AUC"},
        {"images.train": "images/{id}.jpg", "images.test": "images/{id}.jpg"},
    ),
    layouts.seedlings: (
        {"metric.name": "F-beta", "metric.average": "micro"},
        {
            "images.train": "train/{part1}/{id}",
            "images.test": "test/{id}",
            "images.format": "png",
            "classes": ("Black-grass", "Charlock", "Sugar beet"),
            "targets": ("species",),
        },
    ),
    layouts.traps: (
        {"metric.name": "F-beta", "truth.value": "category_id", "classes": '["0", "2", "372"]'},
        {"targets": ("Predicted",), "truth.id": "file_name", "submission.id": "Id"},
    ),
    layouts.cells: (
        {"truth.scored": "['cell']"},
        {
            "kind": "instance",
            "truth.form": "coco",
            "truth.file": "annotations.json",
            "truth.scored": ("cell",),
            "submission.encoding": "coco",
        },
    ),
    layouts.vessels: (
        {"truth.scored": "['blood_vessel']", "metric.iou": "[0.6]"},
        {
            "kind": "instance",
            "truth.form": "polygons",
            "truth.file": "polygons.jsonl",
            "submission.mask": "prediction_string",
            "submission.height": "height",
            "submission.label": "0",
        },
    ),
    layouts.moles: (
        {"metric.name": "AUC"},
        {
            "images.train": "jpeg/train/{id}.jpg",
            "images.test": "jpeg/test/{id}.jpg",
            "metadata.columns.group": "patient_id",
            "metadata.columns.height": "image_height",
        },
    ),
    layouts.whales: (
        {
            "metric.file": "map5.py",
            "metric.higher_is_better": "true",
            "truth.value": "individual_id",
            "classes": '["1a71fbb72250", "60008f293a2b", "cadddb1636b9"]',
        },
        {"targets": ("predictions",), "metric.name": None},
    ),
}
"""Layout -> what a user answers, and what the definition has to say."""
LOSSES = ("log loss", "RMSE")


def new(capsys, layout, tmp_path, answers, data=None):
    data = data or tmp_path / "data"
    layout(data)
    words = [word for key, value in answers.items() for word in ("--answer", f"{key}={value}")]
    command = ["new-competition", str(data), "--out", str(tmp_path / "new.toml"), "--yes"]
    code = run_cli(main, [*command, *words])
    told = capsys.readouterr()
    return code, told.out, told.err


def value_of(definition, key):
    found = definition
    for name in key.split("."):
        found = getattr(found, name)
    return found


@pytest.mark.parametrize("layout", WRITTEN, ids=lambda layout: layout.__name__)
def test_the_definition_is_right_and_its_truth_is_perfect_as_a_submission(tmp_path, capsys, layout):
    (tmp_path / "data").mkdir()
    (tmp_path / "map5.py").write_text(MAP_AT_5)
    answers, expected = WRITTEN[layout]
    code, out, err = new(capsys, layout, tmp_path, answers)
    assert code == 0, out + err
    found = competitions.get(tmp_path / "new.toml")
    assert {key: value_of(found.format, key) for key in expected} == expected
    errors = [line for line in out.splitlines() if line.startswith(("error", "alarm"))]
    assert [line for line in errors if "no image to predict" not in line] == []
    # What the truth is, written as a submission, has the best score there is.
    labelled = LabelledData(found, tmp_path / "data")
    truth = labelled.truth(labelled.train_ids())
    rows = [row for image, item in truth.items() for row in found.rows(image, item)]
    write_submission(tmp_path / "s.csv", found.columns, rows)
    given = ["--competition", str(tmp_path / "new.toml"), "--data", str(tmp_path / "data"), "--json"]
    assert run_cli(main, ["score", *given, "--submission", str(tmp_path / "s.csv")]) == 0
    best = 0.0 if answers.get("metric.name") in LOSSES else 1.0
    assert json.loads(capsys.readouterr().out)["value"] == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        (layouts.ink, ("masks of test/{id}/surface_volume/*.tif", "not supported")),
        (layouts.spines, ("has 3 values: normal_mild, moderate, severe", "not supported")),
        (layouts.contrails, ("no images are here; the folder holds 2 .npy, 1 .json", "cannot read .npy")),
        (layouts.birds, ("no images are here; the folder holds 1 .ogg", "has nothing for .ogg")),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_not_supported_is_said(tmp_path, capsys, layout, words):
    (tmp_path / "data").mkdir()
    code, _, err = new(capsys, layout, tmp_path, {})
    assert code == 2
    for word in words:
        assert word in err
    assert not (tmp_path / "new.toml").exists()


def test_a_metric_that_the_truth_does_not_fit_is_told_by_the_check(tmp_path, capsys):
    (tmp_path / "data").mkdir()
    code, out, _ = new(capsys, layouts.grades, tmp_path, {"metric.name": "log loss"})
    assert code == 2
    assert "error: truth of log loss is neither 0 nor 1: diagnosis is 2" in out


@pytest.mark.parametrize("form", ["latin-1", "utf-16"])
def test_a_table_that_cannot_be_read_is_left_out_and_said(tmp_path, capsys, form):
    layouts.grades(tmp_path)
    (tmp_path / "notes.csv").write_bytes("a,b\n\u00e9,1\n".encode(form))
    code, out, err = new(capsys, lambda _: None, tmp_path, {"metric.name": "accuracy"}, data=tmp_path)
    assert (code, "left out: " in err, "notes.csv" in err) == (0, True, True), out + err


def test_columns_without_commas_are_the_reason_of_open_questions(tmp_path, capsys):
    layouts.grades(tmp_path)
    path = tmp_path / "train.csv"
    path.write_text(path.read_text().replace(",", ";"))
    code, _, err = new(capsys, lambda _: None, tmp_path, {"metric.name": "accuracy"}, data=tmp_path)
    assert code == 2
    assert "train.csv: columns of the table are not divided by commas, but by ';'" in err


def test_without_a_sample_the_targets_are_asked_for(tmp_path, capsys):
    layouts.grades(tmp_path)
    (tmp_path / "sample_submission.csv").unlink()
    given = {"metric.name": "accuracy"}
    code, _, err = new(capsys, lambda _: None, tmp_path, given, data=tmp_path)
    assert (code, "--answer 'targets=...'" in err) == (2, True)
    given |= {"targets": "['diagnosis']", "submission.id": "id_code"}
    code, out, err = new(capsys, lambda _: None, tmp_path, given, data=tmp_path)
    assert code == 0, out + err


def test_a_folder_above_the_competition_s_is_refused(tmp_path, capsys):
    (tmp_path / "data" / "inner").mkdir(parents=True)
    code, _, err = new(capsys, lambda root: layouts.grades(root / "inner"), tmp_path, {})
    assert code == 2
    assert f"name that folder: {tmp_path / 'data' / 'inner'}" in err


def test_a_metric_of_one_s_own_can_be_answered(tmp_path, capsys):
    (tmp_path / "data").mkdir()
    code, _, err = new(capsys, layouts.grades, tmp_path, {})
    assert (code, "own: one in a Python file" in err) == (2, True)
    code, _, err = new(capsys, layouts.grades, tmp_path, {"metric.name": "own"})
    assert (code, "--answer 'metric.file=...' --answer 'metric.higher_is_better=...'" in err) == (2, True)
    code, _, err = new(capsys, layouts.grades, tmp_path, {"metric.file": "map5.py"})
    assert (code, "--answer 'metric.higher_is_better=...'" in err) == (2, True)
