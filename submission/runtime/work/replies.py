"""What the supervisor does with the replies of workers: notes results, counts failures, writes the report."""

from __future__ import annotations

import time
from collections.abc import Sequence

from kit.artefacts import remove_leftovers
from kit.plan.ladder import Ladder
from kit.plan.set_aside import comes_back
from kit.plan.tasks import FuseTask, MeanTask, PassTask, Stage, Task, ValidateTask
from submission.runtime.result import wording
from submission.runtime.result.publishing import Publisher
from submission.runtime.result.report import RunReport
from submission.runtime.work.device import memory_kills
from submission.runtime.work.ends import how_it_ended
from submission.runtime.work.messages import (
    Done,
    Exited,
    Failed,
    FirstForward,
    MeanDone,
    PassDone,
    RowDone,
    Validated,
)
from submission.runtime.work.output_watch import OutputWatch
from submission.runtime.work.processes import Received, WorkerProcess
from submission.runtime.work.requests import Requests

_SILENCE = 60.0
"""Seconds between progress lines while a pass goes on."""
_SHOWN_LINES = 12
"""Lines of a traceback in the log."""
_SHOWN_NOTES = 20
"""Images whose notes the log shows."""
_KINDS: dict[type[Task], tuple[str, type[Done]]] = {
    PassTask: ("pass", PassDone),
    MeanTask: ("running mean", MeanDone),
    FuseTask: ("fuse", RowDone),
    ValidateTask: ("validate", Validated),
}
"""Names of the kinds of tasks in report.json, and the replies that answer them."""


class ReplyHandler:
    """Handles replies.

    Args:
        ladder: its tasks end here.
        requests: knows the files of results.
        publisher: gets validated files.
        report: records tasks and problems.
        deadline: monotonic time at which the last task has to be finished.

    Attributes:
        forward_seconds: inside networks so far, over all workers.
        setbacks: image -> reason of its last task that failed or was not started.
    """

    def __init__(
        self, ladder: Ladder, requests: Requests, publisher: Publisher, report: RunReport, deadline: float
    ) -> None:
        self.ladder, self.requests, self.publisher, self.report = ladder, requests, publisher, report
        self.deadline = deadline
        self.forward_seconds = 0.0
        self.setbacks: dict[str, str] = {}
        self._last_progress = time.monotonic()
        self._memory_kills = memory_kills()
        self._shown: set[str] = set()
        self._outputs: OutputWatch | None = None

    def handle(self, received: Received) -> None:
        """Handle one message about a task."""
        worker, message = received.worker, received.message
        match message:
            case FirstForward(at=at):
                self._note_first_forward(at)
            case PassDone() | MeanDone() | RowDone() | Validated():
                self._finish(worker, message)
            case Failed():
                self.fail(worker, message.stage, message.problem, message.trace)
            case Exited(code=code) if worker.task is not None:
                kills, self._memory_kills = self._memory_kills, memory_kills()
                end = how_it_ended(code, worker.tail(), memory_killed=self._memory_kills > kills)
                self.fail(worker, end.stage, end.problem, end.trace)
            case _:
                pass  # progress is a sign of life; `WorkerProcess.heard` has its time

    def fail(self, worker: WorkerProcess, stage: Stage, problem: str, trace: str | None = None) -> None:
        """Note that a worker's task failed, whether or not the worker still lives."""
        task, worker.task = worker.task, None
        if task is None:
            self.report.problem(wording.worker_problem(worker.number, problem))
            return
        self._record(worker, task, worker.started, time.monotonic(), failed=stage)
        if isinstance(task, ValidateTask):
            self.report.problem(wording.rung_not_validated(task.rung, problem), trace=trace)
            return
        self.setbacks[task.image] = problem
        # A worker that died while it wrote a map left a temporary file of up to 2 bytes per pixel.
        if isinstance(task, PassTask):
            remove_leftovers(self.requests.result_file(task))
        state = self.ladder.state
        consequence = self.ladder.fail(task, stage, problem)
        again = comes_back(state, consequence)
        follows = wording.what_follows(consequence, state.ensemble, state.rungs.rows, again=again)
        told = wording.task_failed(task, problem, follows, state.ensemble)
        self.report.problem(told, stage=stage, trace=trace)
        if trace and trace not in self._shown:
            # Each trace goes to the log once; report.json has them all.
            self._shown.add(trace)
            lines = trace.splitlines()
            # Python's report of a signal begins with the last call, a traceback ends with it.
            shown = lines[:_SHOWN_LINES] if lines[0].startswith("Fatal") else lines[-_SHOWN_LINES:]
            self.report.say("\n".join(shown))

    def _note_first_forward(self, at: float) -> None:
        if not any(event["name"] == "first_forward" for event in self.report.values["events"]):
            self.report.event("first_forward", at=at)
            self.report.say(wording.first_forward(self.report.elapsed(at)))

    def _finish(self, worker: WorkerProcess, done: Done) -> None:
        task = worker.task
        if task is None or type(done) is not _KINDS[type(task)][1]:
            return  # a line that some library printed: it answers nothing that was asked
        worker.task = None
        facts = {}
        if isinstance(done, PassDone):
            names = ("forward", "skipped", "windows", "gpu_bytes")
            facts = {name: value for name in names if (value := getattr(done, name)) is not None}
            facts |= {name: value for name in ("load", "imports") if (value := getattr(done, name))}
            facts |= {"left": done.left} if done.left < 1 else {}
        self._record(worker, task, done.begin, done.end, **facts)
        state = self.ladder.state
        match task, done:
            case PassTask(), PassDone():
                # Importing and loading happen once, not per image: they would spoil the seconds per
                # megapixel.
                self.forward_seconds += done.forward
                self._note(task.image, done.notes)
                self._tell_once(done.remarks)
                self.requests.keep_halved(task, done.halvings)
                self._outputs = self._outputs or OutputWatch(state)
                alarms = self._outputs.note(
                    task.index, task.image, done.mark, plain=done.plain, left=done.left
                )
                for alarm in alarms:
                    self.report.problem(alarm)
                seconds = done.end - done.begin - done.load - done.imports
                state.finished_pass(task, done.file, seconds, done.load, done.left)
                self._tell_progress(task.index)
            case MeanTask(), MeanDone():
                state.finished_mean(task, done.file)
            case FuseTask(), RowDone():
                state.finished_row(task, done.file, done.end - done.begin, done.doubt, done.left)
            case ValidateTask(), Validated():
                self._finish_validation(task, done)

    def _finish_validation(self, task: ValidateTask, done: Validated) -> None:
        for finding in done.findings:
            if finding.level != "note":
                self.report.problem(wording.rung_found(task.rung, finding.text))
        if done.ok:
            self.publisher.publish_validated(task)

    def _note(self, image: str, notes: Sequence[str]) -> None:
        """Tell once per image what its reader assumed."""
        told = self.report.values.setdefault("notes", {})
        if not notes or image in told:
            return
        told[image] = list(notes)
        if len(told) <= _SHOWN_NOTES:
            self.report.say(wording.read_with(image, notes))
        elif len(told) == _SHOWN_NOTES + 1:
            self.report.say(wording.MORE_NOTES)

    def _tell_once(self, remarks: Sequence[str]) -> None:
        """Report what libraries say of themselves: every worker says it with every task."""
        for remark in remarks:
            if remark not in self._shown:
                self._shown.add(remark)
                self.report.problem(remark)

    def _tell_progress(self, index: int) -> None:
        """Print one line when a pass is complete, and one per minute before."""
        state = self.ladder.state
        running = sum(isinstance(task, PassTask) and task.index == index for task in state.running)
        missing, now = running + state.to_do.number(index), time.monotonic()
        if missing and now - self._last_progress < _SILENCE:
            return
        done = state.finished_images(index)
        images = done + missing
        self._last_progress = now
        rate, left = state.costs.per_megapixel(index), self.deadline - now
        self.report.say(
            wording.progress(state.ensemble, index, done=done, images=images, rate=rate, left=left)
        )

    def _record(
        self, worker: WorkerProcess, task: Task, begin: float, end: float, **facts: float | str
    ) -> None:
        """Add a task to report.json."""
        self.report.values.setdefault("tasks", []).append(
            {
                "worker": worker.number,
                "kind": _KINDS[type(task)][0],
                "index": task.index if isinstance(task, PassTask | MeanTask) else task.rung,
                "image": None if isinstance(task, ValidateTask) else task.image,
                "begin": round(self.report.elapsed(begin), 3),
                "end": round(self.report.elapsed(end), 3),
                **facts,
            }
        )
