"""A worker of the rendered predict.py, asked directly: tasks done twice, hints, imports and loads."""

import os
from pathlib import Path

import pytest

from kit import ensemble as ensembles
from kit.images.info import ImageInfo
from kit.plan.tasks import FuseTask, MeanTask, PassTask
from submission.runtime.work.messages import (
    FirstForward,
    FuseRequest,
    MeanRequest,
    PassRequest,
    Prepare,
    Progress,
    Ready,
    StoredResult,
    to_line,
)
from submission.runtime.work.processes import WorkerProcesses, worker_command


@pytest.fixture
def ask(kit_of_two, tmp_path):
    """Send a request to one worker, with hints behind it; return the reply."""
    processes = WorkerProcesses(worker_command(kit_of_two.script), dict(os.environ), tmp_path)
    worker = processes.start("cpu", 0, {})

    def reply():
        while True:
            for received in processes.poll(1.0):
                if not isinstance(received.message, FirstForward | Progress):
                    return received.message

    def run(task, request, *hints):
        processes.send(worker, task, request)
        for hint in hints:
            worker.process.stdin.write(to_line(hint))
        worker.process.stdin.flush()
        answer = reply()
        worker.task = None
        return answer

    assert isinstance(reply(), Ready)
    yield run
    processes.kill_all()


def stamp(file: str) -> tuple[bytes, int]:
    return Path(file).read_bytes(), Path(file).stat().st_mtime_ns


def test_a_task_done_twice_gives_the_same_file_and_hints_change_nothing(
    ask, kit_of_two, competition, tmp_path
):
    plan = ensembles.load(kit_of_two.ensemble)
    image = competition / "test" / "bbb.tiff"

    def of_pass(index: int) -> tuple[PassTask, PassRequest]:
        request = PassRequest(
            index=index,
            image="bbb",
            path=str(image),
            weights=str(kit_of_two.weights / plan.members[index].weights),
            out=str(tmp_path / "passes"),
            batch_size=None,
            info=ImageInfo(),
        )
        return PassTask(index, "bbb"), request

    hints = [
        Prepare(files=(str(kit_of_two.weights / plan.members[1].weights), str(image))),
        Prepare(files=("/not there", str(kit_of_two.weights))),
    ]
    first = ask(*of_pass(0), *hints)
    before = stamp(first.file)
    again = ask(*of_pass(0))
    other = ask(*of_pass(1))
    assert (again.file, stamp(again.file)) == (first.file, before)
    # A process imports once; it loads when the member changes.
    assert first.imports > 0
    assert first.load > 0
    assert (again.imports, again.load) == (0, 0)
    assert other.imports == 0
    assert other.load > 0

    mean = MeanRequest(files=(first.file, other.file), weights=(1.0, 1.0), target=str(tmp_path / "mean.npy"))
    stamps = []
    for _ in range(2):
        ask(MeanTask(1, "bbb"), mean)
        stamps.append(stamp(mean.target))
    assert stamps[0] == stamps[1]

    row = FuseRequest(
        rung=1,
        image="bbb",
        size=(150, 170),
        info=ImageInfo(),
        folder=str(tmp_path),
        name=Path(first.file).name,
        results=tuple(
            StoredResult(index=index, place=str(Path(file).parent.relative_to(tmp_path)), weight=1.0)
            for index, file in enumerate((first.file, other.file))
        ),
        row=str(tmp_path / "bbb.row.json"),
        confident=str(tmp_path / "bbb.blocks"),
    )
    rows = []
    for _ in range(2):
        ask(FuseTask(1, "bbb"), row)
        rows.append(Path(row.row).read_bytes())
    assert rows[0] == rows[1] != b""
    assert not list(tmp_path.rglob(".*.tmp")), "no part of a file is left"
