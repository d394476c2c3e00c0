"""The benchmark of workers: what it reads from a report, and a slide on a slow mount."""

import os
import subprocess
import sys

import pytest
import tifffile

from benchmarks import child, dry_run
from benchmarks.tiny_submission import slide_HWC
from benchmarks.workers import done_by, phase
from benchmarks.workers_memory import peaks_below


def task(worker, begin, end, **more):
    return {"worker": worker, "begin": begin, "end": end, **more}


def test_idle_time_is_between_the_tasks_of_a_worker_and_not_after_its_last():
    tasks = [
        task(0, 10.0, 12.0, load=0.5, imports=1.0),
        task(1, 10.5, 19.0),
        task(0, 12.1, 15.0, load=0.25),
    ]
    found = phase({"tasks": tasks})
    assert found == {"seconds": 9.0, "loads": 1.75, "idle": pytest.approx(0.1)}


def test_a_slide_on_a_slow_mount_is_read_by_all_ways(tmp_path):
    slide = slide_HWC(0, (256, 256), noise=True)
    tifffile.imwrite(tmp_path / "slide.tif", slide, photometric="rgb", rowsperstrip=64)
    request = {"folder": str(tmp_path), "megabytes_per_s": 1.0, "streams": 4, "few": 1}
    found = child.call("benchmarks.workers_step", request, what="reading a slide")
    assert found.keys() == {"slide", "cpu", "few", "streams"}
    assert all(seconds > 0 for seconds in found.values())


@pytest.mark.parametrize(("seconds", "rungs"), [(5.0, 0), (8.0, 1), (11.0, 1), (13.0, 3), (1e9, 3)])
def test_a_rung_is_done_once_its_file_has_a_row_of_it_for_every_image(seconds, rungs):
    events = [
        {"name": "start", "seconds": 0.1},
        {"name": "rung", "rung": 0, "part": False, "seconds": 8.0},
        {"name": "rung", "rung": 2, "part": True, "seconds": 10.0},
        {"name": "rung", "rung": 2, "part": False, "seconds": 12.5},
    ]
    assert done_by({"events": events}, seconds) == rungs


def test_the_most_memory_of_a_child_of_a_child_is_found_after_it_gave_it_back():
    # The inner process takes 200 MB, gives them back, and waits for the end of its standard input.
    inner = "import sys; a = bytearray(200_000_000); del a; print(1, flush=True); sys.stdin.read()"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    command = [sys.executable, "-c", outer]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        found = peaks_below(process.pid)
        process.stdin.close()
    assert len(found) == 2
    assert found[process.pid] < 150e6
    assert max(found.values()) > 200e6
    assert os.getpid() not in found


def test_slides_of_all_parts_come_from_one_distribution_and_are_the_same_each_time():
    hidden = dry_run.slides("slide", 400, seed=2)
    assert hidden == dry_run.slides("slide", 400, seed=2)
    assert hidden != dry_run.slides("slide", 400, seed=3)
    sides = [side for size in hidden.values() for side in size]
    assert min(sides) >= 400
    assert max(sides) <= 1000
    assert 680 < sum(sides) / len(sides) < 720
