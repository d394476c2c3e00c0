"""Training killed at any point and started again ends with the very same files."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kit.artefacts import sha256_file
from kit.local.sidecars import read_sidecar

HERE = Path(__file__).parent


def process(data, runs, *, seconds=0.0, die_at=0):
    command = [sys.executable, HERE / "trainer_process.py", data.root, runs, seconds, die_at]
    return subprocess.Popen(
        list(map(str, command)),
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parents[1])},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(running):
    _, messages = running.communicate(timeout=300)
    return running.returncode, messages


def result(runs):
    """Everything a run is judged by."""
    folder = runs / "blobs" / "fold0"
    oof = sorted((folder / "oof").rglob("*.npy"))
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return {
        "weights": sha256_file(folder / "weights.safetensors"),
        "metrics": read_sidecar(folder / "weights.safetensors", kind="weights")["metrics"],
        "oof": [(path.relative_to(folder), sha256_file(path)) for path in oof],
        "log": [{key: value for key, value in line.items() if key != "seconds"} for line in lines],
        "left over": [str(path) for path in runs.rglob("*.tmp")],
    }


@pytest.fixture(scope="module")
def undisturbed(blob_data, tmp_path_factory):
    runs = tmp_path_factory.mktemp("undisturbed")
    code, messages = finish(process(blob_data, runs, seconds=1e9))
    assert code == 0, messages
    return result(runs)


@pytest.mark.slow
def test_killed_at_many_writes_it_ends_with_the_same_files(blob_data, tmp_path, undisturbed):
    # Each start dies further into its own writes: claim, log, checkpoint, its JSON, weights, predictions.
    for number in (1, 4, 5, 14, 75):
        code, messages = finish(process(blob_data, tmp_path, die_at=number))
        assert code == -signal.SIGKILL, messages
    code, messages = finish(process(blob_data, tmp_path))
    assert code == 0, messages
    assert "going on from step" in messages
    assert result(tmp_path) == undisturbed


@pytest.mark.slow
def test_killed_from_outside_between_checkpoints_it_ends_with_the_same_files(
    blob_data, tmp_path, undisturbed
):
    log = tmp_path / "blobs" / "fold0" / "log.jsonl"
    for step in (1, 8, 20):
        running = process(blob_data, tmp_path, seconds=1e9)
        while running.poll() is None and f'"step": {step},' not in (log.read_text() if log.exists() else ""):
            time.sleep(0.02)
        assert running.poll() is None, running.stderr.read()
        running.kill()
        finish(running)
    code, messages = finish(process(blob_data, tmp_path, seconds=1e9))
    assert code == 0, messages
    assert result(tmp_path) == undisturbed
