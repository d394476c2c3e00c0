import os
import sys
import time

import pytest

from submission.runtime.work.workers import Crew, cpu_workers
from submission.runtime.work.device import GIB, cpu_count
from submission.runtime.result.report import Journal
from submission.runtime.work.processes import Pool

READY = (
    "import json, sys; print(json.dumps({'event': 'ready', 'model': 'CPU'}), flush=True); sys.stdin.read()"
)
UNUSABLE_GPU = """
import json, sys
device = sys.argv[-1]
if device == "cpu":
    print(json.dumps({"event": "ready", "model": "CPU"}), flush=True)
    sys.stdin.read()
problem = {"event": "unusable", "problem": "no kernel image for sm_60", "fix": "choose another"}
print(json.dumps(problem), flush=True)
"""

ONE_UNUSABLE_ONE_DEAD = """
import json, os, sys, time
if sys.argv[-1] == "cpu":
    print(json.dumps({"event": "ready", "model": "CPU"}), flush=True)
elif os.environ["CUDA_VISIBLE_DEVICES"] == "0":
    print(json.dumps({"event": "unusable", "problem": "fell off the bus"}), flush=True)
else:
    time.sleep(0.5)
    sys.exit(1)
sys.stdin.read()
"""


@pytest.fixture
def crew(tmp_path):
    pools = []

    def make(program: str, *, device: str = "auto", count: int | None = 2, gpus: str = "") -> Crew:
        pools.append(Pool([sys.executable, "-c", program], dict(os.environ), tmp_path))
        return Crew(
            pools[-1],
            Journal(0.0),
            device=device,
            count=count,
            largest_weights=0,
            environment={"CUDA_VISIBLE_DEVICES": gpus},
        )

    yield make
    for pool in pools:
        pool.kill_all()


def follow(crew: Crew, until) -> None:
    for _ in range(300):
        crew.poll(0.1)
        if until():
            return
    raise AssertionError(crew.journal.report)


def problems(crew: Crew) -> list[str]:
    return [problem["what"] for problem in crew.journal.report["problems"]]


def test_without_a_gpu_as_many_cpu_workers_start_as_asked_for(crew):
    team = crew(READY)
    team.start()
    follow(team, lambda: len(team.pool.idle()) == 2)
    assert team.broken is None
    assert team.journal.report["device"] == {"model": "CPU"}


def test_gpus_that_do_not_compute_are_told_and_the_cpu_takes_over(crew):
    team = crew(UNUSABLE_GPU, gpus="0,1")
    team.start()
    assert [worker.device for worker in team.pool.workers] == ["cuda:0", "cuda:0"]
    follow(team, lambda: len(team.pool.idle()) == 2)
    assert [worker.device for worker in team.pool.workers] == ["cpu", "cpu"]
    assert sorted(problems(team)) == [
        "worker 0: no kernel image for sm_60",
        "worker 1: no kernel image for sm_60",
    ]


def test_a_gpu_worker_that_dies_as_the_last_gpu_is_given_up_is_not_replaced(crew):
    team = crew(ONE_UNUSABLE_ONE_DEAD, gpus="0,1")
    team.start()
    time.sleep(2)  # both have happened before anybody looks
    follow(team, lambda: len(team.pool.idle()) == 2)
    assert [worker.device for worker in team.pool.workers] == ["cpu", "cpu"]


def test_without_room_for_a_worker_the_run_ends_and_tells_it(crew, tmp_path):
    team = crew(READY)
    team.pool.logs = tmp_path / "not there"
    team.start()
    assert "workers cannot be started: No such file or directory" in team.broken.problem
    assert len(problems(team)) == 2


def test_a_gpu_that_was_insisted_on_and_does_not_compute_ends_the_run(crew):
    team = crew(UNUSABLE_GPU, device="cuda", count=1, gpus="0")
    team.start()
    follow(team, lambda: team.broken is not None)
    assert team.broken.problem == "no kernel image for sm_60"


def test_a_gpu_that_was_insisted_on_and_is_not_there_ends_the_run(crew):
    team = crew(READY, device="cuda")
    team.start()
    assert team.broken.problem == "no GPU is visible"


def test_workers_that_never_start_are_given_up_with_their_last_words(crew):
    team = crew("import sys; sys.exit('ImportError: libtorch.so: cannot open shared object file')")
    team.start()
    follow(team, lambda: team.broken is not None)
    assert "workers do not start: ImportError: libtorch.so" in team.broken.problem
    assert team.pool.spawned < 12


def test_a_worker_that_hangs_is_replaced(crew):
    team = crew(READY, count=1)
    team.start()
    follow(team, lambda: len(team.pool.idle()) == 1)
    (worker,) = team.pool.workers
    assert team.stalled(0.0) == [], "idle is not stalled"
    team.pool.send(worker, "job", {})
    assert team.stalled(3600) == []
    assert team.stalled(-1.0) == [worker]
    team.replace(worker)
    follow(team, lambda: len(team.pool.idle()) == 1)
    assert team.pool.workers[0].number == 1


def test_cpu_workers_go_as_far_as_memory_does():
    assert cpu_workers(4, None, 10) == 4
    assert cpu_workers(4, 31 * GIB, 100 << 20) == 4
    assert cpu_workers(4, 5 * GIB, 300 << 20) == 2
    assert cpu_workers(4, 1 * GIB, 300 << 20) == 1


def test_cores_are_those_this_process_may_use():
    assert 1 <= cpu_count() <= (os.cpu_count() or 1)
