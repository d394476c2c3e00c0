"""Some faults through the rendered predict.py; `nox -s faults -- --runs 300` draws all of them at random."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kit.local.offline import sandbox
from kit.local.offline.faults.catalogue import named, scene_of
from kit.local.offline.faults.scene import Strike
from tests.faults import running, tiny
from tests.once import once


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The tiny script, and submission.csv of a run without faults."""

    def make(folder):
        (folder / "reference.csv").write_text(running.undisturbed(tiny.make(folder), folder / "undisturbed"))

    folder = once(tmp_path_factory, "tiny", make)
    return tiny.make(folder), (folder / "reference.csv").read_text()


@pytest.fixture
def run(made, tmp_path):
    """Run predict.py under faults by name, and further strikes; return the end, the report and the log."""

    def run(*names, strikes=(), gpus=None):
        faults = named(names)
        scene = scene_of(faults, random.Random(5))
        scene.strikes += strikes
        scene.gpus = gpus
        works, reason = sandbox.possible(tmp_path)
        if scene.needs_namespaces and not (works and Path("/dev/fuse").exists()):
            pytest.skip(reason)
        schedule = running.Schedule(5, faults, scene, running.LONG)
        end = running.run(schedule, made[0], tmp_path / "run", made[1])
        assert end.wrong == []
        return end, tiny.report_of(tmp_path / "run"), (tmp_path / "run" / "log.txt").read_text()

    return run


def test_outputs_that_say_nothing_are_told_of_and_no_number_costs_the_member(run):
    end, report, log = run("constant-output", "nan-output")
    assert end.code == 0
    problems = " ".join(problem["what"] for problem in report["problems"])
    assert "gives the same everywhere in 3 of 3 images" in problems
    assert "the network returned probabilities that are not numbers" in problems
    assert "dropped     member" in log


def test_a_difficult_mount_a_clock_that_jumps_and_no_stdout_change_no_row(run):
    end, report, _ = run("short-reads", "clock-jump", "stdout-closed", "identical-output")
    assert (end.code, end.rungs) == (0, 3)
    assert "the same output" in str(report["problems"])


def test_a_signal_while_a_rung_is_put_in_place_leaves_its_rows(run):
    # The fallback and its completion are put in place before; the third file is that of a rung.
    strike = Strike(
        fault="sigterm-while-writing",
        point="put in place",
        action="terminate the supervisor",
        after=2,
        role="supervisor",
        on="submission.csv",
    )
    end, report, _ = run(strikes=(strike,))
    assert (end.code, end.struck) == (0, ["sigterm-while-writing"])
    assert all(image["row"].startswith("rung") for image in report["images"])


@pytest.mark.parametrize(
    ("wrong", "silent", "limit", "worst", "then"),
    [
        (["the row is another"], True, running.STALL, 1.0, None),
        (["the row is another"], True, running.STALL, 5.0, 5 * running.STALL),
        (["the row is another"], True, 5 * running.STALL, 4.0, None),
        (["the row is another"], True, 5 * running.STALL, 6.0, 6 * running.STALL),
        (["the row is another"], False, running.STALL, 5.0, None),
        ([], True, running.STALL, 5.0, None),
    ],
)
def test_a_silence_counts_unless_the_machine_paused_for_longer(wrong, silent, limit, worst, then):
    assert running.longer_limit(running.End(wrong=wrong, silent=silent), limit, worst) == then


MEASURE = """
from tests.faults.pace import Pace
with Pace() as pace:
    print("begun", flush=True)
    input()
print(pace.worst)
"""


def test_a_machine_that_stands_still_is_noticed():
    with subprocess.Popen(
        [sys.executable, "-c", MEASURE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGSTOP)
        time.sleep(1)
        process.send_signal(signal.SIGCONT)
        told, _ = process.communicate("\n", timeout=600)
    assert float(told) >= 2


def test_a_worker_that_hangs_is_found_by_its_silence(run):
    end, report, _ = run(strikes=(Strike(fault="hang", point="convolution", action="stop", after=3),))
    assert (end.code, end.struck) == (0, ["hang"])
    assert end.silent
    assert "no sign of life for" in str(report["problems"])
