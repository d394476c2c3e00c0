"""The start-up hook in real processes of a program that knows nothing of it."""

import json
import os
import random
import signal
import subprocess
import sys

import pytest

from kit.errors import KitError
from kit.local.offline.faults.scene import Scene, Strike, struck


@pytest.fixture
def run(tmp_path):
    """Run lines of Python as a worker, or as the supervisor, of a run with these faults."""

    def run(code: str, *strikes: Strike, role: str = "worker", device: str = "cuda", **changes):
        hooks = tmp_path / "hooks"
        if not hooks.exists():
            scene = Scene(random.Random(0), strikes=list(strikes), **changes)
            run.variables = scene.write_hook(hooks, {"scratch": tmp_path})
        options = ["--worker", str(os.getpid()), "--device", device] if role == "worker" else ["--input", "x"]
        return subprocess.run(
            [sys.executable, "-c", code, *options],
            env={**os.environ, **run.variables},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_events_are_counted_over_all_processes_and_each_strike_is_noted(run, tmp_path):
    strike = Strike(fault="read-error", point="open", action="read error", after=1, times=2, on=".tiff")
    (tmp_path / "a.tiff").touch()
    code = "open('other.txt', 'w'); open('a.tiff')"
    ends = [run(code, strike) for _ in range(4)]
    assert [end.returncode for end in ends] == [0, 1, 1, 0]
    assert "Input/output error: 'a.tiff'" in ends[1].stderr
    assert struck(tmp_path / "hooks") == ["read-error", "read-error"]


def test_a_fault_of_workers_leaves_the_supervisor_alone_and_the_other_way_round(run, tmp_path):
    strikes = (
        Strike(fault="worker-killed", point="start", action="kill", times=9),
        Strike(fault="sigterm", point="put in place", action="terminate the supervisor", role="supervisor"),
    )
    assert run("", *strikes).returncode == -signal.SIGKILL
    assert run("", role="supervisor").returncode == 0
    replacing = "import os; open('new', 'w').close(); os.replace('new', 'old')"
    assert run(replacing, role="supervisor").returncode == -signal.SIGTERM
    assert struck(tmp_path / "hooks") == ["worker-killed", "sigterm"]


def test_a_fault_strikes_the_processes_of_one_device_only(run):
    strike = Strike(fault="gpu-lost", point="start", action="kill", times=9, only="1")
    code = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'])"
    assert run(code, strike, gpus="unusable").stdout == "0,1\n"
    run.variables["CUDA_VISIBLE_DEVICES"] = "1"
    assert run(code).returncode == -signal.SIGKILL


def test_a_worker_on_the_cpu_has_no_gpu_whose_memory_runs_out(run):
    strike = Strike(fault="gpu-memory", point="convolution", action="memory", argument=0, times=99)
    code = NETWORK + "print(compute(1, 8))"
    assert run(code, strike, gpus="pretended", device="cpu").stdout == "(1, 2, 6, 6)\n"
    assert "out of memory" in run(code).stdout


def test_the_wall_clock_jumps_and_the_monotonic_one_does_not(run):
    code = """
import time, datetime
before = time.monotonic()
while time.gmtime().tm_year < 2100: pass
print(time.monotonic() - before < 60, time.gmtime(0).tm_year, int(time.time_ns() / 1e9 - time.time()))
"""
    done = run(code, clock=(0.05, 4e9))
    assert done.stdout.split() == ["True", "1970", "0"], done.stderr


NETWORK = """
import torch
layer = torch.nn.Conv2d(3, 2, 3)
def compute(batch, side, device="cpu"):
    try:
        return tuple(layer.to(device)(torch.zeros(batch, 3, side, side).to(device)).shape)
    except RuntimeError as error:
        return str(error)[:30]
"""


def test_memory_holds_so_many_windows(run):
    strike = Strike(fault="gpu-memory", point="convolution", action="memory", argument=0.5, times=99)
    code = NETWORK + "print([compute(1, 64) if first else compute(1, 40) for first in (True, False)])"
    done = run(code, strike, gpus="pretended")
    assert done.stdout == "['CUDA out of memory. Tried to a', (1, 2, 38, 38)]\n", done.stderr


def test_pretended_gpus_compute_and_unusable_ones_do_not(run, tmp_path):
    code = NETWORK + "print(torch.cuda.is_available(), compute(1, 8, 'cuda:0'))"
    assert run(code, gpus="pretended").stdout == "True (1, 2, 6, 6)\n"
    plan = json.loads((tmp_path / "hooks" / "strikes.json").read_text())
    (tmp_path / "hooks" / "strikes.json").write_text(json.dumps({**plan, "gpus": "unusable"}))
    done = run(code)
    assert done.returncode == 1 or "(1, 2, 6, 6)" not in done.stdout


def test_after_a_bad_access_every_call_of_the_process_fails_and_a_new_process_is_well(run):
    strike = Strike(fault="poisoned-context", point="convolution", action="poison", after=1)
    code = NETWORK + "print([compute(1, 8) for _ in range(3)])"
    assert run(code, strike).stdout.count("illegal memory") == 2
    assert "illegal" not in run(code).stdout


def test_a_hook_that_fails_is_told_as_a_fault_of_the_kit(run, tmp_path):
    run("")
    (tmp_path / "hooks" / "strikes.json").write_text("{")
    assert run("print('starts')").stdout == "starts\n"
    with pytest.raises(KitError, match="the faults could not be planted"):
        struck(tmp_path / "hooks")
