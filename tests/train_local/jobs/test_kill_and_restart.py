"""`train-all` killed at any moment and started again ends with the very same files, and then does nothing."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kit.artefacts import sha256_file

HERE = Path(__file__).parent
JOBS = ("early-stage1.fold0", "late.fold0", "early-stage1.fold1", "late.fold1", "ensemble")


def train_all(prepared, runs):
    command = [
        sys.executable,
        HERE / "blob_cli.py",
        "train-all",
        "--prepared",
        prepared,
        "--out",
        runs,
    ]
    return subprocess.Popen(
        list(map(str, [*command, "--device", "cpu", "--checkpoint-seconds", "0"])),
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parents[2])},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(running):
    _, messages = running.communicate(timeout=900)
    return running.returncode, messages


def result(runs):
    """Everything that a graph is judged by."""
    kidney = runs / "kidney"
    found = {
        path.relative_to(runs).as_posix(): sha256_file(path)
        for pattern in (
            "*/fold*/*.safetensors",
            "*/fold*/oof/**/*.npy",
            "ensemble.json",
            "weights/*.safetensors",
        )
        for path in sorted(kidney.glob(pattern))
    }
    found["identities"] = {
        path.relative_to(runs).as_posix(): json.loads(path.read_text())["identity"]
        for path in sorted(kidney.glob("**/done.json"))
    }
    found["left over"] = sorted(str(path) for path in runs.rglob("*.tmp"))
    return found


def kill_and_restart(prepared, runs, moments):
    """Kill `train-all` after each of so many seconds, then let it end; return its last messages."""
    for seconds in moments:
        running = train_all(prepared, runs)
        time.sleep(seconds)
        running.kill()
        finish(running)
    code, messages = finish(train_all(prepared, runs))
    assert code == 0, messages
    return messages


@pytest.fixture(scope="module")
def undisturbed(blob_data, tmp_path_factory):
    runs = tmp_path_factory.mktemp("undisturbed")
    code, messages = finish(train_all(blob_data.root, runs))
    assert code == 0, messages
    return runs


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_the_same_files(blob_data, tmp_path, undisturbed):
    chosen = random.Random(7)
    kill_and_restart(blob_data.root, tmp_path, [chosen.uniform(0.5, 14) for _ in range(5)])
    assert result(tmp_path) == result(undisturbed)
    assert len(result(undisturbed)["identities"]) == len(JOBS)


@pytest.mark.slow
def test_a_second_call_does_nothing_and_two_at_once_are_told_apart(blob_data, undisturbed, wait_for):
    before = {path: path.stat().st_mtime_ns for path in undisturbed.rglob("*") if path.is_file()}
    code, messages = finish(train_all(blob_data.root, undisturbed))
    assert (code, messages.strip()) == (0, f"all {len(JOBS)} jobs are done")
    changed = {path.name for path, date in before.items() if path.stat().st_mtime_ns != date}
    assert changed <= {".train-all.lock"}


@pytest.mark.slow
def test_the_second_of_two_says_who_runs_and_an_interrupt_ends_the_first(blob_data, tmp_path, wait_for):
    first = train_all(blob_data.root, tmp_path)
    log = tmp_path / "kidney" / "logs" / "early-stage1.fold0.log"
    wait_for(log.is_file)
    code, messages = finish(train_all(blob_data.root, tmp_path))
    assert code == 2
    assert f"another process works here: process {first.pid} on " in messages
    first.terminate()
    code, messages = finish(first)
    assert code == 130
    assert "to go on: " in messages
