"""The benchmark of workers: what it reads from a report, and a slide on a slow mount."""

import pytest
import tifffile

from benchmarks import child
from benchmarks.tiny_submission import slide_HWC
from benchmarks.workers import phase


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
