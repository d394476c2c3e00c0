"""Training killed at any point and started again ends with the very same files."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from kit.artefacts import sha256_file
from kit.local.sidecars import read_sidecar

HERE = Path(__file__).parents[1]


def processes(data, *jobs):
    """Train in a process for each job, one after the other; return exit codes and messages."""
    done = subprocess.run(
        [sys.executable, HERE / "trainer_process.py", data.root, *map(json.dumps, jobs)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]


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


def test_killed_at_any_point_it_ends_with_the_same_files(blob_data, tmp_path):
    # Each start dies further into its own writes: claim, log, checkpoint, its JSON, weights, predictions.
    writes = [{"runs": str(tmp_path / "writes"), "die_at": number} for number in (1, 4, 5, 14, 75)]
    # Between checkpoints, which are not due for years, each dies further on.
    steps = [{"runs": str(tmp_path / "steps"), "seconds": 1e9, "die_behind": number} for number in (1, 8, 20)]
    ends = [
        {"runs": str(tmp_path / name), "seconds": seconds}
        for name, seconds in (("writes", 0.0), ("steps", 1e9), ("undisturbed", 1e9))
    ]
    done = processes(blob_data, *writes, *steps, *ends)
    for code, messages in done[:-3]:
        assert code == -signal.SIGKILL, messages
    for code, messages in done[-3:]:
        assert code == 0, messages
    assert "going on from step" in done[-3][1]
    undisturbed = result(tmp_path / "undisturbed")
    assert result(tmp_path / "writes") == undisturbed
    assert result(tmp_path / "steps") == undisturbed
