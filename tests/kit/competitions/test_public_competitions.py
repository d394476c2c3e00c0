"""The three definitions in docs/competitions/ on folders of their layout: checked, validated, scored."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest

from kit import competitions
from kit.__main__ import main
from kit.competitions import row_forms
from kit.local.competitions.check import check
from kit.local.competitions.labelled import LabelledData
from kit.local.competitions.submission_files import write_submission
from kit.local.program import run_cli
from tests.kit.competitions import public_folders as folders

DOCS = Path(__file__).parents[3] / "docs" / "competitions"
IDS = {
    "severstal": lambda image: f"{image}.jpg",
    "sartorius": lambda image: image,
    "rsna-hemorrhage": lambda image: f"ID_{image}",
}


def test_every_definition_of_the_folder_is_tried():
    assert {path.stem for path in DOCS.glob("*.toml")} == set(folders.FOLDERS)


@pytest.fixture(params=sorted(folders.FOLDERS))
def example(request, tmp_path):
    """Name, competition, folder."""
    folders.FOLDERS[request.param](tmp_path / "data")
    return request.param, competitions.get(DOCS / f"{request.param}.toml"), tmp_path / "data"


def run(capsys, verb, name, data, path, *more):
    command = [verb, "--competition", str(DOCS / f"{name}.toml"), "--data", str(data)]
    code = run_cli(main, [*command, "--submission", str(path), "--json", *more])
    told = capsys.readouterr()
    return code, json.loads(told.out) if told.out else told.err


def write(path, header, rows):
    folders.table(path, header, rows)
    return path


def test_the_folder_is_good(example):
    name, competition, data = example
    labelled = LabelledData(competition, data)
    report = check(labelled)
    assert [str(finding) for finding in report.findings if finding.level != "note"] == []
    ids = [IDS[name](image) for image in folders.TEST]
    assert competition.test_ids(data) == ids == competition.listing(data).ids
    assert labelled.train_ids() == [IDS[name](image) for image in folders.TRAIN]


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_truth_written_as_a_submission_is_valid_and_perfect(example, tmp_path, capsys, split):
    name, competition, data = example
    ids = [IDS[name](image) for image in (folders.TRAIN if split == "train" else folders.TEST)]
    truth = LabelledData(competition, data).truth(ids)
    rows = [row for image, found in truth.items() for row in competition.rows(image, found)]
    write_submission(tmp_path / "s.csv", competition.columns, rows)
    code, told = run(capsys, "validate", name, data, tmp_path / "s.csv")
    assert (code, told["ok"]) == (0, True), told
    code, told = run(capsys, "score", name, data, tmp_path / "s.csv")
    perfect = 0.0 if name == "rsna-hemorrhage" else 1.0
    if (name, split) == ("sartorius", "train"):
        # Cells of the truth overlap in one pixel, which one of them has to give up: 8 of 9 pixels are an IoU
        # of 0.89, enough for eight of the ten thresholds. (2 cells at 8 thresholds, 1 of 3 at two, 1.0 for
        # bb2.)
        perfect = ((8 * 1 + 2 * 1 / 3) / 10 + 1) / 2
    assert told["value"] == pytest.approx(perfect, abs=1e-12)
    assert told["higher_is_better"] == (name != "rsna-hemorrhage")


def test_the_sample_submission_is_valid_and_raises_alarms(example, capsys):
    name, competition, data = example
    code, told = run(capsys, "validate", name, data, data / competition.format.submission.sample)
    assert (code, told["ok"]) == (0, True)
    assert any(finding["level"] == "alarm" for finding in told["findings"])


def test_severstal_scores_each_pair_of_image_and_class(tmp_path, capsys):
    folders.severstal(tmp_path / "data")
    # cc3: class 1 has 8 pixels, of which the prediction finds 4 and adds 4: 2 * 4 / (8 + 8) = 0.5. Class 2 is
    # predicted where there is none: 0. Class 3 is empty in both: 1. Class 4 is missed: 0. dd4 is right: 4.
    found = {("cc3", 1): folders.box(1, 1, 5, 3).copy(), ("cc3", 2): folders.box(0, 0, 1, 1)}
    found["cc3", 1][:, 1], found["cc3", 1][1:5, 3] = False, True
    rows = [
        (f"{image}.jpg_{n}", folders.pairs(found[image, n], "columns") if (image, n) in found else "")
        for image in folders.TEST
        for n in (1, 2, 3, 4)
    ]
    path = write(tmp_path / "s.csv", ("ImageId_ClassId", "EncodedPixels"), rows)
    code, told = run(capsys, "score", "severstal", tmp_path / "data", path)
    assert (code, told["metric"]) == (0, "mean Dice")
    assert told["value"] == pytest.approx((0.5 + 0 + 1 + 0 + 4) / 8)
    assert told["per_image"] == {"cc3.jpg": pytest.approx(1.5 / 4), "dd4.jpg": 1.0}


def test_sartorius_scores_hits_over_hits_and_misses_and_false_ones(tmp_path, capsys):
    folders.sartorius(tmp_path / "data")
    # cc3: a cell of 10 pixels is found with 8 of them (IoU 0.8: 6 thresholds are below it), one of 12 pixels
    # is missed, a false one is added. Up to 0.75: 1 / (1 + 1 + 1), from 0.8 on: 0 / 4. dd4 is found exactly.
    rows = [
        ("cc3", folders.pairs(folders.box(0, 0, 2, 4), "rows")),
        ("cc3", folders.pairs(folders.box(5, 8, 7, 10), "rows")),
        ("dd4", folders.pairs(folders.box(0, 8, 4, 12), "rows")),
    ]
    path = write(tmp_path / "s.csv", ("id", "predicted"), rows)
    code, told = run(capsys, "score", "sartorius", tmp_path / "data", path)
    assert (code, told["metric"]) == (0, "mean precision@0.5:0.95")
    assert told["value"] == pytest.approx((6 / 10 * 1 / 3 + 1) / 2)


def test_sartorius_refuses_cells_that_share_pixels(tmp_path, capsys):
    folders.sartorius(tmp_path / "data")
    rows = [
        ("cc3", folders.pairs(folders.box(0, 0, 2, 4), "rows")),
        ("cc3", folders.pairs(folders.box(1, 3, 4, 5), "rows")),
        ("dd4", ""),
    ]
    path = write(tmp_path / "s.csv", ("id", "predicted"), rows)
    code, told = run(capsys, "validate", "sartorius", tmp_path / "data", path)
    assert code == 2
    [error] = [finding for finding in told["findings"] if finding["level"] == "error"]
    assert "share pixels" in error["message"]
    assert error["where"].endswith("s.csv:3 (id cc3)")


def test_rsna_weights_any_twice(tmp_path, capsys):
    folders.rsna(tmp_path / "data")
    given = {"any": 0.8, "subarachnoid": 0.6}
    rows = [(f"ID_{image}_{kind}", given.get(kind, 0.1)) for image in folders.TEST for kind in folders.KINDS]
    path = write(tmp_path / "s.csv", ("ID", "Label"), rows)
    code, told = run(capsys, "score", "rsna-hemorrhage", tmp_path / "data", path)
    assert (code, told["metric"]) == (0, "log loss")
    loss = 0.0
    for image in folders.TEST:
        for kind, true in zip(folders.KINDS, folders.BLEEDING[image], strict=True):
            chance = given.get(kind, 0.1)
            loss -= (2 if kind == "any" else 1) / 7 / 2 * math.log(chance if true else 1 - chance)
    assert told["value"] == pytest.approx(loss)


FAULTS = {
    "severstal": [
        ("cc3.jpg_4,", None, "1 id is missing: cc3.jpg_4", ""),
        ("cc3.jpg_4,", "cc3.jpg_5,", "ImageId_ClassId is 'cc3.jpg_5', not {id}_{class}", "called 1, 2, 3, 4"),
        ("cc3.jpg_4,", "cc3.jpg_3,", "cc3.jpg_3 is there twice", "one row for each"),
        ("cc3.jpg_4,", "cc3.jpg_4,5 4 3 2", "", ""),
    ],
    "rsna-hemorrhage": [
        ("ID_dd4_any,", "ID_dd4_any,", "value is '', no number", "finite number"),
        ("ID_dd4_any,", "ID_dd4_any,nan", "value is 'nan', no number", "finite number"),
        ("ID_dd4_any,", "ID_dd4_any,1_0", "value is '1_0', no number", "finite number"),
        ("ID_dd4_any,", "ID_dd4_any,\u0661", "no number", "finite number"),
        ("ID_dd4_any,", None, "1 id is missing: ID_dd4_any", ""),
        ("ID_dd4_any,", "ID_ee5_any,0", "1 id is not among the images to predict: ID_ee5_any", ""),
    ],
}


@pytest.mark.parametrize(
    ("name", "fault"), [(name, fault) for name, all_ in FAULTS.items() for fault in all_]
)
def test_what_kaggle_refuses_is_an_error(tmp_path, capsys, name, fault):
    old, new, problem, fix = fault
    folders.FOLDERS[name](tmp_path / "data")
    competition = competitions.get(DOCS / f"{name}.toml")
    lines = (tmp_path / "data" / competition.format.submission.sample).read_text().splitlines()
    kept = [line if not line.startswith(old) else new for line in lines]
    (tmp_path / "s.csv").write_text("\n".join(line for line in kept if line is not None) + "\n")
    code, told = run(capsys, "validate", name, tmp_path / "data", tmp_path / "s.csv")
    assert code == 2
    errors = [finding for finding in told["findings"] if finding["level"] == "error"]
    assert any(problem in error["message"] and fix in error["fix"] for error in errors), errors


@pytest.mark.parametrize("name", sorted(folders.FOLDERS))
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "file is empty"),
        (b"a;b\n1;2\n", "columns are 'a;b'"),
        ("id,x\n1,2\n".encode("utf-16"), "not a readable CSV file"),
        (b"{header}\n", "a header but no rows"),
        (b"{header}\n../../etc,1 1\n", "../../etc"),
        (b"{header}\n,1 1\n", ""),
    ],
)
def test_a_file_that_is_no_submission_is_told_as_one(tmp_path, capsys, name, content, words):
    folders.FOLDERS[name](tmp_path / "data")
    competition = competitions.get(DOCS / f"{name}.toml")
    path = tmp_path / "s.csv"
    path.write_bytes(content.replace(b"{header}", ",".join(competition.columns).encode()))
    code, told = run(capsys, "validate", name, tmp_path / "data", path)
    assert code == 2
    errors = [finding for finding in told["findings"] if finding["level"] == "error"]
    assert any(words in error["message"] for error in errors), errors
    assert all("s.csv" in error["where"] for error in errors)


def test_what_is_valid_and_absurd_is_an_alarm(tmp_path, capsys):
    folders.rsna(tmp_path / "data")
    rows = [(f"ID_{i}_{kind}", 2 if i == "cc3" else 0.5) for i in folders.TEST for kind in folders.KINDS]
    rows = [(name, 0.25 if name.endswith("any") else value) for name, value in rows]
    path = write(tmp_path / "s.csv", ("ID", "Label"), rows)
    _, told = run(capsys, "validate", "rsna-hemorrhage", tmp_path / "data", path)
    alarms = [finding["message"] for finding in told["findings"] if finding["level"] == "alarm"]
    assert "all 2 values of any are 0.25" in alarms
    assert "epidural is no probability in 1 of 2 rows, such as 2" in alarms


def test_fallback_rows_are_those_of_the_sample_and_in_its_order(example):
    _, competition, data = example
    listing = competition.listing(data)
    sample = row_forms.by_key(competition.format, listing)
    size = (folders.HEIGHT, folders.WIDTH)
    rows = [row for image in listing.ids for row in competition.empty_rows(image, size, sample)]
    rows = row_forms.ordered(competition.format, rows, sample)
    with (data / competition.format.submission.sample).open(newline="") as stream:
        given = list(csv.DictReader(stream))
    key = competition.columns[0]
    assert [row[key] for row in rows] == [row[key] for row in given]
    if competition.kind == "values":
        assert rows == given
    else:
        assert {row[competition.columns[-1]] for row in rows} == {""}


def test_two_cells_share_no_pixel_in_what_is_written(tmp_path):
    folders.sartorius(tmp_path)
    competition = competitions.get(DOCS / "sartorius.toml")
    truth = LabelledData(competition, tmp_path).truth(["aa1"])["aa1"]
    masks = [row["predicted"] for row in competition.rows("aa1", truth)]
    numbers = np.zeros(folders.HEIGHT * folders.WIDTH + 1, int)
    for text in masks:
        starts, lengths = np.array(text.split(), int).reshape(-1, 2).T
        for start, length in zip(starts, lengths, strict=True):
            numbers[start : start + length] += 1
    assert (numbers.max(), numbers.sum()) == (1, 9 + 9 - 1)
