"""The dry run at the end of a commit run, in the rendered predict.py."""

import json
import os
import signal
import subprocess
import sys

import pytest

from kit.competitions import get
from submission.runtime.result.hidden_run import lines
from submission.runtime.work.dry_run import dry_run_seconds

BEGINS = "A dry run of the hidden run follows"


@pytest.fixture(scope="module")
def trained_on(tmp_path_factory, kit_of_two, tools):
    """A commit run that has no test image, but two of the training's, one of which is damaged."""
    folder = tmp_path_factory.mktemp("trained-on")
    data = tools.write_kidney(folder / tools.slug, {"one": (200, 280), "two": (150, 170), "bad": (90, 90)})
    (data / "test").rename(data / "train")
    (data / "train" / "bad.tiff").write_bytes(b"no image")
    (data / "sample_submission.csv").write_text("id,predicted\n")
    (data / "test").mkdir()
    root = tools.mount(folder / "input", kit_of_two, data)
    size = ("--hidden-images", "20", "--hidden-megapixels", "2.5")
    return tools.run(kit_of_two.script, root, folder / "out", "--workers", "2", "--dry-run", "300", *size)


def test_every_member_is_measured_on_training_images_and_the_hidden_run_is_forecast(trained_on):
    assert trained_on.code == 0, trained_on.text
    assert BEGINS in trained_on.text
    told = trained_on.report["hidden_run"]
    assert (told["members_measured"], told["images_measured"]) == (2, 2), trained_on.text
    assert (told["images"], told["megapixels"], told["rung"], told["cv"]) == (20, 2.5, 1, 0.51)
    measured = told["measured"]
    assert measured["workers"] == 2
    assert all(seconds > 0 for seconds in measured["loads"])
    assert all(sum(line) > 0 for line in (*measured["passes"], measured["rows"]))
    # The set-up is part of the time, and so are the rungs in their order.
    first, last = told["rung_seconds"]["0"], told["rung_seconds"]["1"]
    assert measured["installed"] < first <= last <= told["run_seconds"]  # tiny passes take less than 0.1 s
    assert 1 <= told["slower_same_rung"] <= told["slower_first_rung"]
    # Of the memory at one moment: the workers of the run have ended when those of the dry run work.
    assert 1 << 27 < told["memory_peak"] < told["memory_total"]
    report = trained_on.report
    assert told["memory_peak"] >= report["memory_peak"] == max(size for _, size in report["memory"])
    assert report["memory_peak"] <= sum(report["memory_peaks"].values())
    assert report["memory_peaks"].keys() >= {"supervisor", "worker 0", "worker 1"}
    assert told["disk_free"] > told["disk"] > 0
    assert (told["safe"], told["why"]) == (True, [])


def test_people_read_the_same(trained_on):
    for line in lines(trained_on.report["hidden_run"], SimpleEnsemble):
        assert line in trained_on.text
    assert "verdict     safe to submit" in trained_on.text


class SimpleEnsemble:
    """As many members and rungs as the run has."""

    members = rungs = (0, 1)


def test_it_writes_nothing_into_the_working_folder(trained_on):
    assert {path.name for path in trained_on.output.iterdir()} == {"submission.csv", "report.json"}
    assert trained_on.csv == "id,predicted\n"
    assert trained_on.report["state"] == "fallback"


def test_a_signal_in_it_ends_it_and_leaves_submission_and_exit_code(kit_of_two, mount, tmp_path, good_run):
    output = tmp_path / "out"
    output.mkdir()
    own = ("--input", mount, "--output", output, "--device", "cpu", "--workers", "1", "--dry-run", "300")
    command = [sys.executable, kit_of_two.script, *own]
    with subprocess.Popen(
        [*map(str, command)], cwd=output, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        said = []
        for line in process.stdout:
            said.append(line)
            if BEGINS in line:
                before = json.loads((output / "report.json").read_text())
                os.kill(process.pid, signal.SIGTERM)
        code = process.wait()
    assert code == 0, "".join(said)
    assert "no forecast: a signal ended it" in "".join(said)
    assert (output / "submission.csv").read_text() == good_run.csv
    report = json.loads((output / "report.json").read_text())
    assert report == before | {"hidden_run": {"problem": "a signal ended it"}}


@pytest.mark.parametrize(
    ("variables", "asked", "budget", "seconds"),
    [
        ({}, None, 30600.0, 0.0),
        ({}, 50.0, 30600.0, 50.0),
        ({"KAGGLE_KERNEL_RUN_TYPE": "Batch"}, None, 30600.0, 600.0),
        ({"KAGGLE_KERNEL_RUN_TYPE": "Batch"}, None, 3600.0, 72.0),
        ({"KAGGLE_KERNEL_RUN_TYPE": "Batch"}, 0.0, 30600.0, 0.0),
        ({"KAGGLE_KERNEL_RUN_TYPE": "Batch", "KAGGLE_IS_COMPETITION_RERUN": "1"}, 50.0, 30600.0, 0.0),
    ],
)
def test_only_a_commit_run_is_followed_by_one(monkeypatch, variables, asked, budget, seconds):
    for name in ("KAGGLE_KERNEL_RUN_TYPE", "KAGGLE_IS_COMPETITION_RERUN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert dry_run_seconds(asked, budget) == seconds


def test_the_competitions_say_how_large_their_hidden_set_is_where_somebody_knows():
    known = {name: get(name).format for name in ("kidney", "body", "vasculature")}
    assert {name: form.hidden_images for name, form in known.items()} == {
        "kidney": None,
        "body": 550,
        "vasculature": 650,
    }
    assert known["vasculature"].hidden_megapixels == pytest.approx(650 * 512 * 512 / 1e6, rel=0.001)
