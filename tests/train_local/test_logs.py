import json

from kit.local.sidecars import read_json_lines
from train_local.logs import Log


def test_a_log_that_goes_on_forgets_what_came_after_its_checkpoint(tmp_path):
    with Log(tmp_path, step=0) as log:
        for step in (1, 2, 3):
            log.write(step, loss=1.0 / step, seconds=step)
    path = tmp_path / "log.jsonl"
    with path.open("a") as stream:
        stream.write('{"step": 4, "lo')
    assert [entry["step"] for entry in read_json_lines(path)] == [1, 2, 3], (
        "a line cut off by a kill is left out"
    )
    with Log(tmp_path, step=2) as log:
        log.write(3, metric=0.5, metric_name="mean Dice")
        log.sync()
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"step": 1, "loss": 1.0, "seconds": 1},
        {"step": 2, "loss": 0.5, "seconds": 2},
        {"step": 3, "metric": 0.5, "metric_name": "mean Dice"},
    ]


def test_tensorboard_has_the_same_numbers(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with Log(tmp_path, step=0) as log:
        log.write(1, loss=0.25, metric_name="mean Dice")
        log.write(2, loss=0.125)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert events.Tags()["scalars"] == ["loss"]
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(1, 0.25), (2, 0.125)]


def test_no_log_is_an_empty_one(tmp_path):
    assert read_json_lines(tmp_path / "log.jsonl") == []
