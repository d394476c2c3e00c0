"""The definitions in docs/competitions/shapes/ on folders that fit them: checked, validated, scored."""

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile

from kit import competitions
from kit.__main__ import main
from kit.local.competitions.check import check
from kit.local.competitions.labelled import LabelledData
from kit.local.competitions.submission_files import write_submission
from kit.local.program import run_cli

SHAPES = Path(__file__).parents[3] / "docs" / "competitions" / "shapes"
HEIGHT, WIDTH = 10, 12
TRAIN, TEST = ("a", "b"), ("c", "d")


def images(root):
    for split, ids in (("train", TRAIN), ("test", TEST)):
        (root / split).mkdir(parents=True)
        for image in ids:
            pixels = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
            tifffile.imwrite(root / split / f"{image}.tif", pixels, photometric="rgb")


def organs(root):
    label_HW = np.zeros((HEIGHT, WIDTH), np.uint8)
    label_HW[:4, :5], label_HW[6:, 6:] = 1, 2
    for folder, ids in (("train_masks", TRAIN), ("test_masks", TEST)):
        (root / folder).mkdir()
        for image in ids:
            own_HW = label_HW if image != "d" else np.where(label_HW == 1, 1, 0).astype(np.uint8)
            assert cv2.imwrite(str(root / folder / f"{image}.png"), own_HW)
    rows = [(image, name, "1 1") for image in TEST for name in ("stomach", "bowel")]
    pd.DataFrame(rows, columns=["id", "class", "predicted"]).to_csv(
        root / "sample_submission.csv", index=False
    )


def boxes(root):
    polygon = {
        "c": [[1, 1, 6, 1, 3, 5]],
        "d": [[0, 0, 4, 0, 4, 4, 0, 4]],
        "a": [[2, 2, 9, 2, 9, 9]],
        "b": [[0, 0, 3, 0, 3, 3]],
    }
    for name, ids in (("train.json", TRAIN), ("test.json", TEST)):
        value = {
            "images": [
                {"id": n, "file_name": f"{i}.tif", "height": HEIGHT, "width": WIDTH}
                for n, i in enumerate(ids)
            ],
            "annotations": [
                {"id": n, "image_id": n, "category_id": 1 + n, "segmentation": polygon[i], "iscrowd": 0}
                for n, i in enumerate(ids)
            ],
            "categories": [{"id": 1, "name": "opacity"}, {"id": 2, "name": "nodule"}],
        }
        (root / name).write_text(json.dumps(value))
    pd.DataFrame({"image_id": TEST, "PredictionString": ""}).to_csv(
        root / "sample_submission.csv", index=False
    )


def values(root, column, tables, suffix="csv"):
    train, test, sample = tables
    for name, ids, told in (
        ("train", TRAIN, train),
        ("solution", TEST, test),
        ("sample_submission", TEST, sample),
    ):
        names = [column] if not isinstance(told, dict) else list(told)
        cells = [told] if not isinstance(told, dict) else list(told.values())
        frame = pd.DataFrame({"id": ids, **dict(zip(names, cells, strict=True))})
        path = root / f"{name}.{suffix}"
        frame.to_parquet(path, index=False) if suffix == "parquet" else frame.to_csv(path, index=False)


def species(root):
    third = {name: [1 / 3] * 2 for name in ("ash", "beech", "oak")}
    values(root, "species", (["ash", "oak"], ["oak", "beech"], third))


def age(root):
    values(root, "years", ([40.5, 61.0], [33.0, 52.25], [50.0, 50.0]), "parquet")


def grades(root):
    values(root, "grade", (["none", "severe"], ["mild", "none"], ["none", "none"]))


def ears(root):
    held = {"a": ["[1.0, 2.0, 5.0, 6.0]"], "b": [], "c": ["[2, 1, 4, 5]", "[7, 3, 5, 5]"], "d": []}
    for name, ids in (("train", TRAIN), ("solution", TEST)):
        rows = [(image, WIDTH, HEIGHT, box) for image in ids for box in held[image]]
        pd.DataFrame(rows, columns=["image_id", "width", "height", "bbox"]).to_csv(
            root / f"{name}.csv", index=False
        )
    sample = pd.DataFrame({"image_id": TEST, "PredictionString": "1.0 0 0 5 5"})
    sample.to_csv(root / "sample_submission.csv", index=False)


FOLDERS = {"ears": ears, "organs": organs, "boxes": boxes, "species": species, "age": age, "grades": grades}


def test_every_definition_of_the_folder_is_tried():
    assert {path.stem for path in SHAPES.glob("*.toml")} == set(FOLDERS)


@pytest.fixture(params=sorted(FOLDERS))
def example(request, tmp_path):
    """Name, competition, folder."""
    images(tmp_path / "data")
    FOLDERS[request.param](tmp_path / "data")
    return request.param, competitions.get(SHAPES / f"{request.param}.toml"), tmp_path / "data"


def run(capsys, verb, name, data, path):
    command = [
        verb,
        "--competition",
        str(SHAPES / f"{name}.toml"),
        "--data",
        str(data),
        "--submission",
        str(path),
    ]
    code = run_cli(main, [*command, "--json"])
    told = capsys.readouterr()
    return code, json.loads(told.out) if told.out else told.err


def test_the_folder_is_good_and_its_truth_is_valid_and_perfect(example, tmp_path, capsys):
    name, competition, data = example
    labelled = LabelledData(competition, data)
    report = check(labelled)
    assert [str(finding) for finding in report.findings if finding.level != "note"] == []
    assert competition.test_ids(data) == list(TEST) == competition.listing(data).ids
    truth = labelled.truth(TEST)
    rows = [row for image, found in truth.items() for row in competition.rows(image, found)]
    write_submission(tmp_path / "s.csv", competition.columns, rows)
    code, told = run(capsys, "validate", name, data, tmp_path / "s.csv")
    assert (code, told["ok"]) == (0, True), told
    code, told = run(capsys, "score", name, data, tmp_path / "s.csv")
    assert code == 0, told
    assert told["value"] == pytest.approx(0.0 if not told["higher_is_better"] else 1.0, abs=1e-12)


def score(name, data, tmp_path, capsys, text):
    (tmp_path / "s.csv").write_text(text)
    code, told = run(capsys, "score", name, data, tmp_path / "s.csv")
    assert code == 0, told
    return told["value"]


ANSWERS = {
    # c: of 4 x 5 pixels 4 x 3 are found, an IoU of 0.6: right at 0.5 alone; the other box is missed.
    # d has no box, and none is found: 1.
    "ears": ("image_id,PredictionString\nc,0.9 2 1 4 3\nd,\n", (1 / 4 + 1) / 2),
    # Stomach: truth 20 + 20 pixels, found 20 + 0: 2 * 20 / 60. Bowel: truth 24 + 0, found nothing: 0.
    "organs": (
        "id,class,predicted\nc,stomach,1 4 11 4 21 4 31 4 41 4\nc,bowel,\nd,stomach,\nd,bowel,\n",
        (40 / 60 + 0) / 2,
    ),
    # The triangle's box is 1, 1 to 6, 5 (20 pixels); 10 of them are an IoU of 0.5. The nodule is found as an
    # opacity.
    "boxes": ("image_id,PredictionString\nc,0 0.9 1 1 6 3\nd,0 0.5 0 0 4 4\n", (1 + 0) / 2),
    "species": ("id,ash,beech,oak\nc,0.2,0.2,0.6\nd,0.5,0.25,0.25\n", -(math.log(0.6) + math.log(0.25)) / 2),
    "age": ("id,years\nc,36\nd,48.25\n", math.sqrt((3**2 + 4**2) / 2)),
    "grades": ("id,grade\nc,severe\nd,severe\n", (1 + 2) / 2),
}


def test_the_score_is_what_one_computes_by_hand(example, tmp_path, capsys):
    name, _, data = example
    text, expected = ANSWERS[name]
    assert score(name, data, tmp_path, capsys, text) == pytest.approx(expected)


def test_a_parquet_submission_is_read_as_a_csv_is(tmp_path, capsys):
    images(tmp_path / "data")
    age(tmp_path / "data")
    pd.DataFrame({"id": TEST, "years": [36.0, 48.25]}).to_parquet(tmp_path / "s.parquet", index=False)
    code, told = run(capsys, "score", "age", tmp_path / "data", tmp_path / "s.parquet")
    assert (code, told["value"]) == (0, pytest.approx(math.sqrt(12.5)))


FAULTS = {
    "a class that is none": (
        "grades",
        "id,grade\nc,mlid\nd,none\n",
        "value is 'mlid', no class",
        "did you mean 'mild'?",
    ),
    "a class twice": (
        "organs",
        "id,class,predicted\nc,bowel,\nc,bowel,\nd,stomach,\nd,bowel,\n",
        "c, class bowel is there twice",
        "",
    ),
    "a row that is missing": (
        "organs",
        "id,class,predicted\nc,bowel,\nd,stomach,\nd,bowel,\n",
        "1 id is missing: c, class stomach",
        "",
    ),
    "an unknown class": (
        "organs",
        "id,class,predicted\nc,liver,\n",
        "class is 'liver'",
        "use one of: stomach, bowel",
    ),
    "a label that is none": (
        "boxes",
        "image_id,PredictionString\nc,2 0.9 1 1 6 3\nd,\n",
        "label is '2', it has to be 0 or 1",
        "",
    ),
    "a box of nothing": ("boxes", "image_id,PredictionString\nc,0 0.9 6 1 1 3\nd,\n", "holds no pixel", ""),
    "half a box": (
        "boxes",
        "image_id,PredictionString\nc,0 0.9 1 1 6\nd,\n",
        "5 parts, which is no multiple of 6",
        "",
    ),
    "a corner that is no number": (
        "boxes",
        "image_id,PredictionString\nc,0 0.9 x 1 6 3\nd,\n",
        "a corner of a box is 'x'",
        "",
    ),
    "no number": ("age", "id,years\nc,old\nd,4\n", "value is 'old', no number", ""),
    "other columns": (
        "species",
        "id,ash,beech\nc,1,0\nd,0,1\n",
        "columns are 'id,ash,beech'",
        "id,ash,beech,oak",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_kaggle_refuses_is_an_error(fault, tmp_path, capsys):
    name, text, problem, fix = FAULTS[fault]
    images(tmp_path / "data")
    FOLDERS[name](tmp_path / "data")
    (tmp_path / "s.csv").write_text(text)
    code, told = run(capsys, "validate", name, tmp_path / "data", tmp_path / "s.csv")
    assert code == 2
    errors = [finding for finding in told["findings"] if finding["level"] == "error"]
    assert any(problem in error["message"] and fix in error["fix"] for error in errors), errors


def test_a_class_that_is_never_predicted_is_an_alarm(tmp_path, capsys):
    images(tmp_path / "data")
    for name, missing in (
        ("organs", "the class 'bowel'"),
        ("grades", "the class 'mild'"),
        ("boxes", "the class 'nodule'"),
    ):
        data = tmp_path / name
        images(data)
        FOLDERS[name](data)
        (tmp_path / "s.csv").write_text(ANSWERS[name][0])
        _, told = run(capsys, "validate", name, data, tmp_path / "s.csv")
        alarms = [finding["message"] for finding in told["findings"] if finding["level"] == "alarm"]
        assert any(missing in alarm or "'none'" in alarm for alarm in alarms), (name, alarms)
