import json
import subprocess
import sys
from pathlib import Path

import pytest

from train_local.monitor.progress import STATUS, Clock, StatusFile, read_status

ROOT = Path(__file__).parents[3]


def written(folder):
    return json.loads((folder / STATUS).read_text())


def test_a_status_says_where_the_process_is(tmp_path):
    status = StatusFile(
        tmp_path, total=100, step=10, device="cuda", gpu="1", memory_mb=lambda: 512.0, every=0.0
    )
    assert read_status(tmp_path).state == "starting"
    status.update(state="training")
    for step in range(11, 21):
        status.update(step=step, data_share=0.25)
    status.update(metric=0.5, best_metric=0.75)
    found = read_status(tmp_path)
    assert (found.state, found.step, found.total, found.device, found.gpu) == (
        "training",
        20,
        100,
        "cuda",
        "1",
    )
    assert (found.metric, found.best_metric, found.memory_mb, found.data_share) == (0.5, 0.75, 512.0, 0.25)
    assert found.steps_per_second > 0
    assert found.eta_seconds > 0
    assert found.updated > 1e9
    status.update(state="finished", step=100)
    assert read_status(tmp_path).eta_seconds == 0
    assert [path.name for path in tmp_path.iterdir()] == [STATUS], "no temporary file stays"


def test_between_its_times_only_a_new_state_is_written(tmp_path):
    status = StatusFile(tmp_path, total=10, every=1e9)
    status.update(step=1)
    assert written(tmp_path)["step"] == 0
    status.update(state="validating")
    assert (written(tmp_path)["state"], written(tmp_path)["step"]) == ("validating", 1)


def test_speed_leaves_validations_out_and_the_remaining_time_does_not(tmp_path, monkeypatch):
    now = 0.0
    monkeypatch.setattr("train_local.monitor.progress.time.monotonic", lambda: now)
    status = StatusFile(tmp_path, total=21, every=0.0)
    status.update(state="training")
    for step in range(1, 12):
        now += 1.0  # a step takes a second
        status.update(step=step)
        if step == 6:
            status.update(state="validating")
            now += 10.0
            status.update(state="training", metric=0.5)
    found = read_status(tmp_path)
    assert found.steps_per_second == pytest.approx(1.0)
    assert found.eta_seconds == pytest.approx(20.0), "10 steps and a validation took 20 s, 10 steps are left"


def test_a_metric_that_is_no_number_is_none(tmp_path):
    StatusFile(tmp_path, total=1, every=0.0).update(metric=float("nan"))
    assert read_status(tmp_path).metric is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"state": "trai',
        "[]",
        "7",
        '{"state": "dancing", "step": 1, "total": 2}',
        '{"step": 1}',
        "[" * 5000,
    ],
)
def test_a_broken_status_is_none(tmp_path, text):
    (tmp_path / STATUS).write_text(text)
    assert read_status(tmp_path) is None


def test_no_status_is_none_and_unknown_fields_are_left_out(tmp_path):
    assert read_status(tmp_path) is None
    (tmp_path / STATUS).mkdir()
    assert read_status(tmp_path) is None, "a folder of that name"
    (tmp_path / STATUS).rmdir()
    (tmp_path / STATUS).write_text('{"state": "training", "step": 1, "total": 2, "watts": 300}')
    assert read_status(tmp_path).step == 1


def test_a_folder_that_is_gone_does_not_end_the_training(tmp_path):
    status = StatusFile(tmp_path / "run", total=1, every=0.0)
    status.update(state="training", step=1)
    assert read_status(tmp_path / "run") is None


def test_reading_a_status_loads_no_torch():
    code = "import sys, train_local.monitor.progress; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_the_share_of_waiting_for_data():
    clock = Clock()
    assert clock.data_share is None
    clock.spent.update(data=1.0, step=3.0, evaluation=100.0)
    assert clock.data_share == 0.25
