"""Each message once, as a person sees it: what is wrong, where, what to do; and nothing that isn't so."""

import json

import pytest

from kit.errors import BAD_INPUT
from tests.kaggle_server.faults import Fault
from tests.kaggle_server.kernels import Run

SEND, SAVE = "competitions.CreateCodeSubmission", "kernels.SaveKernel"
T4 = ("--accelerator", "NvidiaTeslaT4")


def lose(name):
    return Fault("lost_output", "", argument=name)


@pytest.mark.parametrize(
    ("fault", "more", "words"),
    [
        (Fault("complete_without_score", "", argument="Kaggle Error"), (), "calls the submission kit-"),
        (Fault("submission_error", "", argument="Notebook Timeout"), (), "took too long"),
        (Fault("no_slots", ""), (), "daily submission allowance"),
        (
            Fault("status", SEND, argument=(403, None, "You must accept the rules")),
            (),
            "accept the competition's",
        ),
        (Fault("invalid_sources", "", argument="datasetDataSources"), (), "without dataset alice/"),
        (lose("submission.csv"), (), "Submission CSV Not Found"),
        (lose("report.json"), (), "nothing tells how it went"),
        (None, T4, "predict.py computed on cpu"),
        (None, ("--hidden-megapixels", "1e9"), "the first rung would take"),
        (None, ("--owner", "bob"), "credentials are those of alice"),
        (None, ("--target", "kaggle-2026-10"), "cannot be pinned"),
        (None, ("--image", "host/python:latest"), "names no image for certain"),
        (None, ("--competition", "another"), "without competition another"),
    ],
    ids=lambda value: f"{value.kind} {value.argument}" if isinstance(value, Fault) else None,
)
def test_a_message_says_what_is_wrong_and_what_to_do(kaggle, fault, more, words):
    there = kaggle(*([] if fault is None else [fault]))
    done = there.submit(*more)
    assert done.code == BAD_INPUT
    assert words in done.err
    assert done.err.rpartition("error: ")[2].count("fix:") == 1
    assert done.out == "", "nothing is called scored"
    assert there.world.key not in done.err + there.log.read_text() if there.log.exists() else True


def test_a_fault_of_the_run_is_not_submitted(kaggle, good_run):
    there = kaggle()
    report = {**good_run.report, "exit_code": 2, "problems": [{"what": "no member works"}]}
    files = {"submission.csv": b"id,predicted\n", "report.json": json.dumps(report).encode()}
    there.world.rooms["run"] = lambda *_: Run(files, [])
    done = there.submit()
    assert (done.code, "no member works" in done.err, there.faults.count(SEND)) == (BAD_INPUT, True, 0)


def test_a_budget_above_the_limit_is_told_before_the_push(kaggle):
    there = kaggle()
    done = there.submit("--hours", "8")
    assert done.code == BAD_INPUT
    assert "predict.py plans for 30600 s, and the competition stops it after 28800 s" in done.err
    assert "render with --budget 27072" in done.err
    assert there.faults.count(SAVE) == 0


def test_another_budget_of_the_script_is_held_against_the_limit(kaggle, kit_of_two, tmp_path):
    there = kaggle()
    script = tmp_path / "predict.py"
    own = ("--ensemble", kit_of_two.ensemble, "--bundle", kit_of_two.bundle, "--out", script)
    assert there.submit(argv=["render", *map(str, own), "--budget", "36000"]).code == 0
    for path, hours, seconds in (
        (script, (), 32400),
        (script.with_suffix(".ipynb"), ("--hours", "9.9"), 35640),
    ):
        refused = there.submit("--predict", path, *hours)
        assert refused.code == BAD_INPUT
        assert f"plans for 36000 s, and the competition stops it after {seconds} s" in refused.err
    accepted = there.submit("--predict", script, "--hours", "10", "--dry-run")
    assert (accepted.code, "would push alice/kit-kidney" in accepted.err) == (0, True), accepted.err
    assert there.faults.count(SAVE) == 0


def test_no_slot_is_left(kaggle):
    there = kaggle()
    there.competition.daily = 0
    done = there.submit()
    assert (done.code, "run this again after 00:00 UTC" in done.err) == (BAD_INPUT, True)
    assert there.faults.count(SEND) == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stage": "processing", "reason": "waiting"}, "is not verified: it is processing: waiting"),
        ({"fingerprint": "0" * 64}, "is of another bundle than predict.py was rendered for"),
        (None, "was not uploaded"),
    ],
)
def test_a_bundle_that_is_not_verified_is_not_attached(kaggle, change, words):
    there = kaggle()
    [path] = there.state.glob("*.json")
    if change is None:
        path.unlink()
    else:
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    done = there.submit()
    assert (done.code, words in done.err, there.faults.count("kernels.SaveKernel")) == (BAD_INPUT, True, 0)


def test_a_dataset_that_changed_since_is_not_attached(kaggle):
    there = kaggle()
    there.dataset.versions[0].files["manifest.json"] = b"{}"
    done = there.submit()
    assert (done.code, "is of another bundle than was verified" in done.err) == (BAD_INPUT, True)


def test_a_script_that_was_not_rendered_is_refused(kaggle, tmp_path):
    there = kaggle()
    script = tmp_path / "own.py"
    script.write_text("print(1)\n")
    done = there.submit(argv=["submit", "--predict", str(script), "--state", str(there.state)])
    assert (done.code, "this is no predict.py of the kit" in done.err) == (BAD_INPUT, True)
