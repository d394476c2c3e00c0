"""Who gets which task, with real processes that only note what they are told."""

import json
import os
import sys
import time
from types import SimpleNamespace

import pytest

from kit.competitions import get
from kit.images.info import ImageInfo
from kit.plan.ladder import Ladder, chosen_policy
from kit.plan.policy import Resources
from kit.plan.state import LadderState
from kit.plan.tasks import FuseTask, PassTask, ValidateTask
from submission.runtime.inputs.competition_data import Data
from submission.runtime.result.publishing import Publisher
from submission.runtime.result.report import RunReport
from submission.runtime.result.submission_file import Submission
from submission.runtime.work.device import DeviceFacts
from submission.runtime.work.dispatch import Dispatch
from submission.runtime.work.messages import Ready, to_line
from submission.runtime.work.processes import WorkerProcesses
from submission.runtime.work.requests import Requests
from submission.runtime.work.workers import Workers
from tests.kit.plan.ladders import ensemble_of

READY = to_line(Ready(device=DeviceFacts(device="cpu", model="CPU", torch="2"))).decode()
NOTING = f"""
import os, sys
print({READY!r}, end="", flush=True)
with open(os.path.join({{folder!r}}, str(os.getpid())), "w") as notes:
    for line in sys.stdin:
        notes.write(line)
        notes.flush()
"""
IMAGES = {"a": 4.0, "b": 3.0, "c": 2.0, "d": 1.0}


@pytest.fixture
def make(tmp_path, monkeypatch):
    started = []

    def run(*, gpus: str = "", cores: int = 4, count: int | None = None) -> SimpleNamespace:
        """Members 0 and 1, passes 0 and 1, rungs [0] and [0, 1]; all workers are ready."""
        monkeypatch.setattr("submission.runtime.work.workers.cpu_count", lambda: cores)
        state = LadderState(ensemble_of([0, 1], [1, 2]), IMAGES)
        state.ready |= {0, 1}
        ladder = Ladder(state, chosen_policy(state.ensemble), lambda: Resources(1e9, 1e15, 2))
        sizes = dict.fromkeys(IMAGES, (10, 10))
        submission = Submission(get("kidney"), list(IMAGES), sizes, tmp_path / "submission.csv")
        data = Data(
            tmp_path,
            {image: tmp_path / f"{image}.tif" for image in IMAGES},
            {},
            dict.fromkeys(IMAGES, ImageInfo()),
            submission,
            [],
        )
        report = RunReport(0.0)
        requests = Requests(state, data, tmp_path, None)
        requests.weights.update({0: "/mount/m0", 1: "/mount/m1"})
        publisher = Publisher(state, submission, report, scratch=tmp_path, until=time.monotonic() + 3600)
        (tmp_path / "notes").mkdir()
        program = NOTING.replace("{folder!r}", repr(str(tmp_path / "notes")))
        processes = WorkerProcesses([sys.executable, "-c", program], dict(os.environ), tmp_path)
        started.append(processes)
        workers = Workers(
            processes,
            report,
            device="auto",
            count=count,
            largest_weights=0,
            environment={"CUDA_VISIBLE_DEVICES": gpus},
        )
        workers.start()
        while len(processes.idle()) < len(processes.live):
            workers.poll(0.1)
        dispatch = Dispatch(ladder, publisher, requests, workers)
        return SimpleNamespace(dispatch=dispatch, workers=workers, state=state, publisher=publisher)

    yield run
    for processes in started:
        processes.kill_all()


def tasks(run) -> dict[str, list]:
    """Tasks by device, in the order of the workers."""
    found: dict[str, list] = {}
    for worker in run.workers.processes.live:
        found.setdefault(worker.device, []).append(worker.task)
    return found


def finish(run, number: int) -> None:
    """The worker with this place among the live ones has done its task."""
    worker = run.workers.processes.live[number]
    task, worker.task = worker.task, None
    if isinstance(task, PassTask):
        folder = run.dispatch.requests.scratch / "passes" / f"m{task.index}-0" / f"v{task.index}"
        run.state.finished_pass(task, str(folder / f"{task.image}.npy"), 1.0)
    elif isinstance(task, FuseTask):
        run.state.finished_row(task, f"row {task.rung}/{task.image}")


def told(run, tmp_path, count: int) -> list[dict]:
    """The first messages of all workers, when there are so many."""
    for _ in range(6000):
        lines = [line for path in (tmp_path / "notes").iterdir() for line in path.read_text().splitlines()]
        if len(lines) >= count:
            return [json.loads(line) for line in lines]
        time.sleep(0.01)
    raise AssertionError(lines)


def test_two_workers_take_the_images_of_a_pass_one_by_one(make):
    run = make(count=2)
    run.dispatch.give_out()
    assert tasks(run) == {"cpu": [PassTask(0, "a"), PassTask(0, "b")]}
    finish(run, 1)
    run.dispatch.give_out()
    assert tasks(run) == {"cpu": [PassTask(0, "a"), FuseTask(0, "b")]}, "without a helper rows come first"


def test_beside_gpus_a_helper_makes_rows_and_checks_while_the_gpus_do_passes(make):
    run = make(gpus="0,1")
    run.dispatch.give_out()
    assert tasks(run) == {"cpu": [None], "cuda:0": [PassTask(0, "a"), PassTask(0, "b")]}
    finish(run, 1)
    run.publisher.validations.append(ValidateTask(0, "file"))
    run.dispatch.give_out()
    assert tasks(run) == {"cpu": [ValidateTask(0, "file")], "cuda:0": [PassTask(0, "c"), PassTask(0, "b")]}
    finish(run, 0)
    run.dispatch.give_out()
    assert tasks(run)["cpu"] == [FuseTask(0, "a")]


def test_gpus_make_rows_where_the_helper_is_behind_or_no_pass_is_left(make):
    run = make(gpus="0,1")
    for _ in range(4):  # the helper begins its first row and never ends it
        run.dispatch.give_out()
        finish(run, 1)
        finish(run, 2)
    kinds = set()
    for _ in range(8):
        run.dispatch.give_out()
        kinds |= {type(task) for task in tasks(run)["cuda:0"]}
        finish(run, 1)
        finish(run, 2)
    assert kinds == {PassTask, FuseTask, type(None)}
    assert len(run.state.rungs.rows) == 7, "all rows but the one that the helper holds"


def test_a_busy_worker_is_told_once_in_a_task_what_comes_next(make, tmp_path):
    run = make(count=1)
    for _ in range(3):
        run.dispatch.give_out()
    messages = told(run, tmp_path, 2)
    assert [message["message"] for message in messages] == ["PassRequest", "Prepare"]
    assert messages[1]["files"] == [str(tmp_path / "b.tif")], "the member stays loaded"
    finish(run, 0)
    while not isinstance(tasks(run)["cpu"][0], PassTask) or tasks(run)["cpu"][0].image != "d":
        finish(run, 0)
        run.dispatch.give_out()
    last = [message for message in told(run, tmp_path, 11) if message["message"] == "Prepare"][-1]
    assert last["files"][0] == "/mount/m1", "after the last image the other member comes"


def test_two_workers_are_not_told_to_read_the_same_file(make, tmp_path):
    run = make(count=2)
    run.dispatch.give_out()
    files = [
        file
        for message in told(run, tmp_path, 3)
        if message["message"] == "Prepare"
        for file in message["files"]
    ]
    assert files == [str(tmp_path / "c.tif")]


def test_after_a_row_that_the_helper_made_alone_the_gpus_have_their_workers_back(make):
    run = make(gpus="0,1")
    helper = next(worker for worker in run.workers.processes.live if worker.device == "cpu")
    run.workers.leave_only(helper)
    assert run.workers.size == 0
    run.dispatch.give_out()
    while len(run.workers.idle()) < 2:
        run.workers.poll(0.1)
    run.dispatch.give_out()
    assert tasks(run)["cuda:0"] == [PassTask(0, "a"), PassTask(0, "b")]
