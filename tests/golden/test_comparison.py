import base64
import csv
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from kit.competitions import get
from kit.errors import KitError
from kit.local.pages.overlays import PREDICTION_RGB, TRUTH_RGB
from tests.golden import comparison
from tests.html_page import Page

GOLDEN = Path(__file__).parent
NAMES = ["kidney", "vasculature"]


def rows_of(name):
    with (GOLDEN / name / "expected.csv").open(newline="") as table:
        return list(csv.DictReader(table))


def write(path, rows):
    with path.open("w", newline="") as table:
        writer = csv.DictWriter(table, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def judged(name, got):
    return comparison.compare(GOLDEN / name / "expected.csv", got, get(name), GOLDEN / name / "data")


@pytest.mark.parametrize("name", NAMES)
def test_the_expected_file_agrees_with_itself(name):
    report = judged(name, GOLDEN / name / "expected.csv")
    assert report.problems == []
    assert (report.lowest_iou, report.largest_score_difference) == (1.0, 0.0)
    assert report.images == len(rows_of(name))
    assert report.instances >= report.images


def test_a_few_changed_pixels_of_a_mask_are_found(tmp_path):
    rows = rows_of("kidney")
    start, length, rest = rows[0]["predicted"].split(" ", 2)
    area = sum(int(word) for word in rows[0]["predicted"].split()[1::2])
    assert int(length) < area / 500
    rows[0]["predicted"] = f"{start} 1 {rest}"
    assert judged("kidney", write(tmp_path / "got.csv", rows)).problems == []
    rows[0]["predicted"] = " ".join(rows[0]["predicted"].split()[: len(rest.split()) // 2 * 2 - 40])
    report = judged("kidney", write(tmp_path / "got.csv", rows))
    assert len(report.problems) == 1
    assert report.problems[0].startswith(f"{rows[0]['id']}: mask IoU 0.9")
    with pytest.raises(KitError, match="differs from the golden submission") as caught:
        report.require_ok(tmp_path / "got.csv")
    assert str(tmp_path / "got.csv") in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_a_difference_is_shown_as_a_picture_that_the_message_names(tmp_path, name):
    rows, column = rows_of(name), "predicted" if name == "kidney" else "prediction_string"
    words = rows[0][column].split()
    rows[0][column] = " ".join(words[:-40] if name == "kidney" else words[:-3])
    got, picture = write(tmp_path / "got.csv", rows), tmp_path / "pictures" / "difference.html"
    data = GOLDEN / name / "data"
    with pytest.raises(KitError, match="differs from the golden submission") as caught:
        comparison.compare_and_show(GOLDEN / name / "expected.csv", got, get(name), data, picture)
    assert f"look at {picture}" in str(caught.value)
    page = Page(picture.read_text())
    assert [image["alt"].partition(", ")[2][:10] for image in page.images] == [
        "expected",
        "found",
        "difference",
    ]
    assert all(image["alt"].startswith(rows[0]["id"]) for image in page.images)
    expected, found, difference = (decoded(image["src"]) for image in page.images)
    green, red = (np.abs(difference - colour).max(axis=2) < 60 for colour in (TRUTH_RGB, PREDICTION_RGB))
    assert green.any(), "what is lacking is green"
    assert not red.any(), "nothing is surplus"
    changed = np.abs(expected - found).max(axis=2) > 60
    assert changed[green].mean() > 0 or changed.any()
    assert any(" pixels are expected and were not found, 0 were found" in text for text in page.texts)


def test_the_right_submission_leaves_no_picture(tmp_path):
    expected = GOLDEN / "kidney" / "expected.csv"
    picture = tmp_path / "difference.html"
    report = comparison.compare_and_show(
        expected, expected, get("kidney"), GOLDEN / "kidney" / "data", picture
    )
    assert report.problems == []
    assert not picture.exists()


def decoded(uri):
    data = np.frombuffer(base64.b64decode(uri.partition(",")[2]), np.uint8)
    return cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1].astype(int)


def changed(words, change):
    """The "0 score mask" triples of a row, changed and joined again."""
    triples = [words[index : index + 3] for index in range(0, len(words), 3)]
    return " ".join(word for triple in change(triples) for word in triple)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda t: t[:-1], "instances instead of"),
        (lambda t: [[t[0][0], f"{float(t[0][1]) - 2e-4:.6f}", t[0][2]], *t[1:]], "score differs by 0.0002"),
        (lambda t: [[t[0][0], t[0][1], t[1][2]], *t[1:]], "mask IoU"),
    ],
)
def test_a_lost_or_changed_instance_is_found(tmp_path, change, problem):
    rows = rows_of("vasculature")
    rows[0]["prediction_string"] = changed(rows[0]["prediction_string"].split(), change)
    report = judged("vasculature", write(tmp_path / "got.csv", rows))
    assert any(problem in found for found in report.problems)


def test_instances_whose_order_changed_are_still_the_same(tmp_path):
    rows = rows_of("vasculature")
    rows[0]["prediction_string"] = changed(rows[0]["prediction_string"].split(), lambda t: t[::-1])
    assert judged("vasculature", write(tmp_path / "got.csv", rows)).problems == []


def test_missing_ids_are_a_problem(tmp_path):
    report = judged("kidney", write(tmp_path / "got.csv", rows_of("kidney")[:1]))
    assert report.problems == ["ids ['interleaved'] instead of ['interleaved', 'planar']"]


def test_other_weights_than_the_golden_ones_are_refused(tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "ensemble.json").write_bytes((GOLDEN / "kidney" / "ensemble.json").read_bytes())
    plan = json.loads((tmp_path / "ensemble.json").read_text())
    for member in plan["members"]:
        (tmp_path / "weights" / member["weights"]).write_bytes(b"something else")
    with pytest.raises(KitError, match="are not those of the golden ensemble"):
        comparison.weights_dataset(tmp_path / "ensemble.json", tmp_path / "bundle")


def test_a_folder_without_golden_ensembles_is_told(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tests.golden", "--golden", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "this folder holds no golden ensemble" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_predict_py_gives_the_golden_submission_however_it_is_run(tmp_path, name):
    # `nox -s golden` does the first run twice; here the one with two workers shows that the bytes stay.
    runs = [run for run in comparison.RUNS if run != "one worker again"]
    result = comparison.run_golden(GOLDEN / name, tmp_path, python=Path(sys.executable), runs=runs)
    assert list(result) == runs
    assert result["one worker"]["sha256"] == result["two workers"]["sha256"]
