"""Replies that answer nothing: a library may print a line that looks like one."""

import pytest

from kit.plan.tasks import FuseTask
from submission.runtime.result.report import RunReport
from submission.runtime.work.messages import MeanDone, RowDone
from submission.runtime.work.processes import Received, WorkerProcess
from submission.runtime.work.replies import ReplyHandler


@pytest.mark.parametrize(
    ("task", "reply"),
    [
        (None, RowDone(begin=0.0, end=1.0, file="row", doubt=0.5)),
        (FuseTask(0, "a"), MeanDone(begin=0.0, end=1.0, file="mean")),
    ],
    ids=["no task", "another task"],
)
def test_a_reply_that_answers_nothing_changes_nothing(tmp_path, task, reply):
    report = RunReport(0.0)
    worker = WorkerProcess(0, "cpu", 0, None, tmp_path / "log", task=task)
    before = dict(report.values)
    ReplyHandler(None, None, None, report, 99.0).handle(Received(worker, reply))
    assert worker.task == task
    assert report.values == before


def test_what_a_library_says_of_itself_is_reported_once(tmp_path):
    report = RunReport(0.0)
    handler = ReplyHandler(None, None, None, report, 99.0)
    handler._tell_once(["mmcv runs on its portable operators: no libcudart"])
    handler._tell_once(["mmcv runs on its portable operators: no libcudart", "another"])
    told = [problem["what"] for problem in report.values["problems"]]
    assert told == ["mmcv runs on its portable operators: no libcudart", "another"]
