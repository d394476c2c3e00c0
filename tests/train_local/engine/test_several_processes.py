"""Processes that train together give what one process gives, and say which of them failed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from train_local.engine import checkpoint

HERE = Path(__file__).parents[1]


def started(data, runs, count, victim=-1):
    command = [sys.executable, HERE / "several_processes.py", data.root, runs, count, victim]
    return subprocess.Popen(
        list(map(str, command)),
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_two_processes_equal_one_that_accumulates(blob_data, tmp_path):
    running = [started(blob_data, tmp_path / str(count), count) for count in (1, 2)]
    ended = [process.communicate(timeout=600) for process in running]
    assert [process.returncode for process in running] == [0, 0], ended
    alone, together = [json.loads(out) for out, _ in ended]
    assert (alone["processes"], together["processes"]) == (1, 2)
    assert alone["step"] == together["step"] == 10
    folders = [tmp_path / str(count) / "blobs" / "fold0" for count in (1, 2)]
    states = [
        checkpoint.load(folder / "checkpoints", identity=alone["identity"])["network"] for folder in folders
    ]
    for name, value in states[0].items():
        assert (value - states[1][name]).abs().max() <= 1e-6, name
    first = load_file(folders[0] / "best.safetensors")
    assert max(float((states[0][f"network.{name}"] - first[name]).abs().max()) for name in first) > 1e-3
    assert alone["metric"] == pytest.approx(together["metric"], abs=1e-4)
    lines = [
        [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()] for folder in folders
    ]
    for one, other in zip(*lines, strict=True):
        assert one.get("loss") == pytest.approx(other.get("loss"), abs=1e-5), "the mean over all processes"
    for folder in folders:
        files = json.loads((folder / "oof" / "oof.json").read_text())["files"]
        assert {view: sorted(ids) for view, ids in files.items()} == {
            view: sorted(blob_data.fold(0).valid) for view in ("identity", "hflip")
        }
        assert not (folder / "evaluation").exists()


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_the_message_names_the_process_that_was_killed_and_memory(blob_data, tmp_path, victim):
    process = started(blob_data, tmp_path, 2, victim)
    _, messages = process.communicate(timeout=300)
    assert process.returncode == 2, messages
    assert f"training process {victim} of 2 was killed (signal 9)" in messages
    assert "memory ran out" in messages
    assert "run the same command again: finished jobs are kept" in messages
    assert "Traceback" not in messages
