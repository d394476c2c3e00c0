import json

import numpy as np

from kit.local.sidecars import read_json_lines
from train_local.monitor.logs import Log


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
    with path.open("a") as stream:
        stream.write('\n5\n{"loss": 1}\n{"step": "1"}\n')  # of somebody's editor
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


def events_of(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder / "tensorboard")).Reload()


def test_tensorboard_shows_the_config_pictures_and_what_differs_from_start_to_start(tmp_path):
    with Log(tmp_path, step=0, config={"recipe": {"name": "unet", "lr": 0.5}}) as log:
        log.watch(10, steps_per_second=2.0, memory_mb=512.0, data_share=None)
        log.show(10, {"held out/aa": np.full((4, 6, 3), 200, np.uint8)})
        log.write(10, loss=0.25)
    events = events_of(tmp_path)
    assert events.Tags()["scalars"] == ["process/steps_per_second", "process/memory_mb", "loss"]
    assert events.Scalars("process/memory_mb")[0].value == 512.0
    (picture,) = events.Images("held out/aa")
    assert (picture.step, picture.height, picture.width) == (10, 4, 6)
    (text,) = events.Tensors("config/text_summary")
    assert b'"lr": 0.5' in text.tensor_proto.string_val[0]
    assert read_json_lines(tmp_path / "log.jsonl") == [{"step": 10, "loss": 0.25}], (
        "the same after any restart"
    )
