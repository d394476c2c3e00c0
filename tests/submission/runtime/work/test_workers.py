import os
import sys
import time

import pytest

from kit.plan.tasks import ValidateTask
from submission.runtime.result.report import RunReport
from submission.runtime.work.device import GIB, DeviceFacts, cpu_count
from submission.runtime.work.messages import Ready, Unusable, ValidateRequest, to_line
from submission.runtime.work.processes import WorkerProcess, WorkerProcesses
from submission.runtime.work.workers import Workers, cpu_workers

READY_LINE = to_line(Ready(device=DeviceFacts(device="cpu", model="CPU", torch="2"))).decode()


def unusable(problem: str) -> str:
    return to_line(Unusable(problem=problem, fix="choose another")).decode()


READY = f"import sys; print({READY_LINE!r}, end='', flush=True); sys.stdin.read()"
UNUSABLE_GPU = f"""
import sys
if sys.argv[-1] == "cpu":
    print({READY_LINE!r}, end="", flush=True)
    sys.stdin.read()
print({unusable("no kernel image for sm_60")!r}, end="", flush=True)
"""
ONE_UNUSABLE_ONE_DEAD = f"""
import os, sys, time
if sys.argv[-1] == "cpu":
    print({READY_LINE!r}, end="", flush=True)
elif os.environ["CUDA_VISIBLE_DEVICES"] == "0":
    print({unusable("fell off the bus")!r}, end="", flush=True)
    open({{told!r}}, "x").close()
else:
    while not os.path.exists({{told!r}}):
        time.sleep(0.01)
    sys.exit(1)
sys.stdin.read()
"""


@pytest.fixture
def make(tmp_path):
    made = []

    def start(program: str, *, device: str = "auto", count: int | None = 2, gpus: str = "") -> Workers:
        made.append(WorkerProcesses([sys.executable, "-c", program], dict(os.environ), tmp_path))
        return Workers(
            made[-1],
            RunReport(0.0),
            device=device,
            count=count,
            largest_weights=0,
            environment={"CUDA_VISIBLE_DEVICES": gpus},
        )

    yield start
    for processes in made:
        processes.kill_all()


def follow(workers: Workers, until) -> None:
    for _ in range(6000):
        workers.poll(0.1)
        if until():
            return
    raise AssertionError(workers.report.values)


def problems(workers: Workers) -> list[str]:
    return [problem["what"] for problem in workers.report.values["problems"]]


def test_without_a_gpu_as_many_cpu_workers_start_as_asked_for(make):
    workers = make(READY)
    workers.start()
    follow(workers, lambda: len(workers.processes.idle()) == 2)
    assert workers.broken is None
    assert workers.report.values["device"] == {"device": "cpu", "model": "CPU", "torch": "2"}


def test_gpus_that_do_not_compute_are_told_and_the_cpu_takes_over(make):
    workers = make(UNUSABLE_GPU, gpus="0,1")
    workers.start()
    assert [worker.device for worker in workers.processes.live] == ["cuda:0", "cuda:0"]
    follow(workers, lambda: len(workers.processes.idle()) == 2)
    assert [worker.device for worker in workers.processes.live] == ["cpu", "cpu"]
    assert sorted(problems(workers)) == [
        "worker 0: no kernel image for sm_60",
        "worker 1: no kernel image for sm_60",
    ]


def test_a_gpu_worker_that_dies_as_the_last_gpu_is_given_up_is_not_replaced(make, tmp_path):
    workers = make(ONE_UNUSABLE_ONE_DEAD.replace("{told!r}", repr(str(tmp_path / "told"))), gpus="0,1")
    workers.start()
    workers.processes.live[1].process.wait(600)  # both have happened before anybody looks
    follow(workers, lambda: len(workers.processes.idle()) == 2)
    assert [worker.device for worker in workers.processes.live] == ["cpu", "cpu"]


def test_without_room_for_a_worker_the_run_ends_and_tells_it(make, tmp_path):
    workers = make(READY)
    workers.processes.logs = tmp_path / "not there"
    workers.start()
    assert "workers cannot be started: No such file or directory" in workers.broken.problem
    assert len(problems(workers)) == 2


def test_a_gpu_that_was_insisted_on_and_does_not_compute_ends_the_run(make):
    workers = make(UNUSABLE_GPU, device="cuda", count=1, gpus="0")
    workers.start()
    follow(workers, lambda: workers.broken is not None)
    assert workers.broken.problem == "no kernel image for sm_60"


def test_a_gpu_that_was_insisted_on_and_is_not_there_ends_the_run(make):
    workers = make(READY, device="cuda")
    workers.start()
    assert workers.broken.problem == "no GPU is visible"


def test_workers_that_never_start_are_given_up_with_their_last_words(make, monkeypatch):
    monkeypatch.setattr("submission.runtime.work.workers._PAUSES", (0.1, 0.2, 0.4, 0.8))
    workers = make("import sys; sys.exit('ImportError: libtorch.so: cannot open shared object file')")
    workers.start()
    follow(workers, lambda: workers.broken is not None)
    assert (
        "workers do not start: worker ended with code 1: ImportError: libtorch.so" in workers.broken.problem
    )
    assert workers.processes.started < 12


def test_a_worker_that_hangs_is_replaced(make):
    workers = make(READY, count=1)
    workers.start()
    follow(workers, lambda: len(workers.processes.idle()) == 1)
    (worker,) = workers.processes.live
    assert workers.stalled(0.0) == [], "idle is not stalled"
    workers.processes.send(worker, ValidateTask(0, "f"), ValidateRequest(file="f", sizes="s"))
    assert workers.stalled(3600) == []
    assert workers.stalled(-1.0) == [worker]
    workers.replace(worker)
    follow(workers, lambda: len(workers.processes.idle()) == 1)
    assert workers.processes.live[0].number == 1


def test_cpu_workers_go_as_far_as_memory_does():
    assert cpu_workers(4, None, 10) == 4
    assert cpu_workers(4, 31 * GIB, 100 << 20) == 4
    assert cpu_workers(4, 5 * GIB, 300 << 20) == 2
    assert cpu_workers(4, 1 * GIB, 300 << 20) == 1


def test_cores_are_those_this_process_may_use():
    assert 1 <= cpu_count() <= (os.cpu_count() or 1)


DIES_AT_FIRST = f"""
import os, signal, sys
for number in range(4):
    try:
        os.close(os.open(os.path.join({{place!r}}, str(number)), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        continue
    os.kill(os.getpid(), signal.SIGKILL)
print({READY_LINE!r}, end="", flush=True)
sys.stdin.read()
"""
GPU_WORKERS_DIE = f"""
import sys
if sys.argv[-1] != "cpu":
    sys.exit("CUDA driver initialization failed")
print({READY_LINE!r}, end="", flush=True)
sys.stdin.read()
"""
BUSY = f"""
import sys
print({READY_LINE!r}, end="", flush=True)
sys.stdin.readline()
while True:
    pass
"""


def busy_worker(workers: Workers) -> WorkerProcess:
    """Start a worker and give it a task, of which it says nothing."""
    workers.start()
    follow(workers, lambda: len(workers.processes.idle()) == 1)
    (worker,) = workers.processes.live
    workers.processes.send(worker, ValidateTask(0, "f"), ValidateRequest(file="f", sizes="s"))
    return worker


def seen_computing(worker: WorkerProcess) -> None:
    while not worker.active:
        worker.look()
        time.sleep(0.01)


def test_workers_that_are_killed_at_their_start_are_started_again_one_at_a_time(make, tmp_path):
    workers = make(DIES_AT_FIRST.replace("{place!r}", repr(str(tmp_path))), count=2)
    workers.start()
    follow(workers, lambda: len(workers.processes.idle()) > 0)
    assert workers.broken is None
    told = [problem for problem in problems(workers) if "one worker is started in" in problem]
    assert told
    assert workers.wanted == len(workers.processes.live) == 1


def test_gpu_workers_that_die_before_they_are_ready_leave_the_work_to_the_cpu(make):
    workers = make(GPU_WORKERS_DIE, gpus="0")
    workers.start()
    follow(workers, lambda: len(workers.processes.idle()) == 2)
    assert [worker.device for worker in workers.processes.live] == ["cpu", "cpu"]
    assert any("code 1: CUDA driver initialization failed" in problem for problem in problems(workers))


def test_a_worker_that_works_alone_has_the_others_back_later(make):
    workers = make(READY, count=3)
    workers.start()
    follow(workers, lambda: len(workers.processes.idle()) == 3)
    first, *_ = workers.processes.live
    workers.leave_only(first)
    assert workers.processes.live == [first]
    workers.fill()
    follow(workers, lambda: len(workers.processes.idle()) == 3)
    assert sorted(worker.slot for worker in workers.processes.live) == [0, 1, 2]


def test_a_worker_on_the_cpu_helps_those_on_gpus_and_gets_nothing_else_to_do(make, monkeypatch):
    monkeypatch.setattr("submission.runtime.work.workers.cpu_count", lambda: 2)
    workers = make(READY, count=None, gpus="0,1")
    workers.start()
    follow(workers, lambda: len(workers.idle()) == 2)
    assert workers.may_help
    assert not workers.helped
    assert workers.helper() is None
    follow(workers, lambda: workers.helper() is not None)
    assert workers.helper().device == "cpu"
    assert len(workers.idle()) == workers.size == 2
    assert not make(READY, device="cuda", gpus="0").may_help


def test_where_a_core_is_left_a_helper_starts_beside_the_gpus_and_comes_back(make, monkeypatch):
    monkeypatch.setattr("submission.runtime.work.workers.cpu_count", lambda: 4)
    workers = make(READY, count=None, gpus="0,1")
    workers.start()
    follow(workers, lambda: len(workers.processes.idle()) == 3)
    assert workers.helped
    assert len(workers.idle()) == workers.size == workers.wanted == 2
    first, *_ = workers.idle()
    workers.leave_only(first)
    assert not workers.helped
    workers.fill()
    follow(workers, lambda: workers.helped)
    for worker in list(workers.processes.live):  # both GPUs turn out to be unusable
        if worker.device != "cpu":
            workers._give_up(worker, Unusable(problem="no kernel image", fix="choose another"))
    follow(workers, lambda: len(workers.idle()) == workers.wanted == 4)
    assert not workers.helped


def test_a_silent_worker_that_computes_has_four_times_as_long_as_one_that_hangs(make):
    for program in (READY, BUSY):
        workers = make(program, count=1)
        worker = busy_worker(workers)
        if program == BUSY:
            seen_computing(worker)
        worker.heard -= 2000
        assert workers.stalled(3000) == []
        assert workers.stalled(1000) == ([] if program == BUSY else [worker])
        assert workers.stalled(499) == [worker]


def test_a_gpu_worker_that_is_silent_in_the_middle_of_a_pass_hangs_even_if_it_computes(make):
    workers = make(BUSY, count=1, gpus="0")
    worker = busy_worker(workers)
    seen_computing(worker)
    worker.heard -= 2000
    assert workers.stalled(1000) == []
    worker.in_forward = True
    assert workers.stalled(3000) == []
    assert workers.stalled(1000) == [worker]
