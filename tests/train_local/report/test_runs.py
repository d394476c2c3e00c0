import json

import pytest

from train_local.monitor.progress import StatusFile
from train_local.report.runs import by_recipe, read_runs


def run(root, recipe, fold, *, lines=(), done=None, name=None):
    folder = root / recipe / (name or f"fold{fold}")
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"identity": "x", "recipe": {"name": recipe}, "fold": fold}))
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if done is not None:
        (folder / "done.json").write_text(json.dumps(done))
    return folder


def finished(metric):
    return {"complete": True, "metric": metric, "metric_name": "mean Dice"}


def test_mean_and_spread_of_the_folds(tmp_path):
    run(tmp_path, "unet", 0, done=finished(0.5))
    run(tmp_path, "unet", 1, done=finished(0.7))
    run(tmp_path, "unet", 2)
    run(tmp_path, "full-data", 0, done=finished(None))
    (full, unet) = by_recipe(read_runs(tmp_path))
    assert (full.recipe, full.mean, full.spread, full.finished) == ("full-data", None, None, 1)
    assert (unet.recipe, unet.finished) == ("unet", 2)
    assert unet.mean == pytest.approx(0.6)
    assert unet.spread == pytest.approx(0.1414, abs=1e-4)


def test_an_unfinished_run_shows_its_best_score_and_how_far_it_is(tmp_path):
    lines = [
        {"step": 1, "loss": 2.0, "lr": 0.1, "seconds": 3.5},
        {"step": 5, "metric": 0.25, "metric_name": "AP@0.6", "seconds": 20.0},
        {"step": 9, "metric": 0.125, "metric_name": "AP@0.6", "seconds": 40.0},
    ]
    folder = run(tmp_path, "unet", 0, lines=lines)
    StatusFile(folder, total=100, every=0).update(state="training", step=12)
    (record,) = read_runs(tmp_path)
    assert (record.metric, record.metric_name, record.seconds) == (0.25, "AP@0.6", 40.0)
    assert record.state == "not finished: step 12 of 100"
    StatusFile(folder, total=100, step=12, every=0).update(state="failed")
    assert read_runs(tmp_path)[0].state == "failed at step 12 of 100"


def test_a_run_that_goes_on_after_it_was_stopped_is_shown_as_it_is_now(tmp_path):
    lines = [{"step": 5, "metric": 0.2}, {"step": 9, "metric": 0.4}]
    folder = run(tmp_path, "unet", 0, lines=lines, done={**finished(0.2), "complete": False})
    assert read_runs(tmp_path)[0].state == "stopped early"
    StatusFile(folder, total=100, every=0).update(state="out of time", step=5)
    assert read_runs(tmp_path)[0].state == "stopped early at step 5 of 100"
    StatusFile(folder, total=100, step=5, every=0).update(state="training", step=10)
    (record,) = read_runs(tmp_path)
    assert (record.state, record.metric) == ("not finished: step 10 of 100", 0.4)


def test_runs_that_were_kept_aside_or_never_began_are_left_out(tmp_path):
    run(tmp_path, "unet", 0, name="fold0.was-12345678")
    (tmp_path / "unet" / "fold1").mkdir()
    assert read_runs(tmp_path) == []


@pytest.mark.parametrize("text", ["", "{", "[1]", '"done"'])
def test_a_damaged_file_counts_as_absent(tmp_path, text):
    folder = run(tmp_path, "unet", 0)
    (folder / "done.json").write_text(text)
    (folder / "log.jsonl").write_text('{"step": 1, "loss": 0.5}\n[2]\n{"step": 2, "lo')
    (record,) = read_runs(tmp_path)
    assert record.done == {}
    assert record.lines == [{"step": 1, "loss": 0.5}]
    assert record.state == "begun"
