"""Gives tasks to idle workers, and tells busy ones what probably comes next."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from kit.plan.ladder import Ladder
from kit.plan.policy import Asking
from kit.plan.set_aside import is_hard
from kit.plan.tasks import LadderTask, PassTask, Task
from submission.runtime.result.publishing import Publisher
from submission.runtime.work.processes import WorkerProcess
from submission.runtime.work.requests import Requests
from submission.runtime.work.workers import Workers

_BACKLOG = 2
"""Rows and means that wait for the helper. Where more wait, workers on GPUs make some, too."""
_NAMED_LAST = 16
"""Weights and images that workers were told to read last, for a task or ahead: none is told twice."""


class Dispatch:
    """Gives tasks to workers.

    Args:
        ladder: has the tasks.
        publisher: has files to be validated, which come first.
        requests: makes the requests.
        workers: get them.
    """

    # A machine with two GPUs and four cores has two workers and a helper on the CPU:
    #     helper     rows, means and checks; nothing else, except what failed on the GPUs several times
    #     workers    passes; rows only where the helper is behind or no pass is left
    # Without GPUs all workers do everything, rows first.
    def __init__(self, ladder: Ladder, publisher: Publisher, requests: Requests, workers: Workers) -> None:
        self.ladder, self.publisher = ladder, publisher
        self.requests, self.workers = requests, workers
        self._for_cpu: PassTask | None = None
        self._named: deque[str] = deque(maxlen=_NAMED_LAST)

    def give_out(self) -> None:
        """Give a task to every idle worker, as far as there are tasks."""
        if self._for_cpu is not None:
            self._give_to_cpu(self._for_cpu)
            return
        # A row that was made alone, for want of memory, may have ended all but the helper.
        if self.workers.helped and not self.workers.size and not self.workers.processes.busy():
            self.workers.fill()
        # The helper comes first: the rows that it takes are no work for a GPU.
        idle = sorted(self.workers.processes.idle(), key=self.workers.helps, reverse=True)
        for worker in idle:
            if worker not in self.workers.processes.live:
                continue  # it had to make room
            task = self._next_task(worker)
            if task is None:
                continue
            if isinstance(task, LadderTask) and is_hard(self.ladder.state, task):
                latest = self.ladder.state.chances.latest
                if latest is not None and self.ladder.state.losses.stages.get(latest) == "memory":
                    self.workers.leave_only(worker)
                again = latest is not None and self.ladder.state.chances.given[latest] > 1
                if again and isinstance(task, PassTask) and self.workers.may_help:
                    self._for_cpu = task
                    return
            elif isinstance(task, PassTask):
                self.workers.fill()
            self._send(worker, task)
        self._prepare()

    def _next_task(self, worker: WorkerProcess) -> Task | None:
        asking, ladder = self._asking(worker), self.ladder
        validations, waiting = self.publisher.validations, len(ladder.state.combinable)
        if self.workers.helped and not self.workers.helps(worker) and waiting <= _BACKLOG:
            task = ladder.next_task(replace(asking, kinds="passes"))
            if task is not None:
                return task
        return validations.popleft() if validations else ladder.next_task(asking)

    def _asking(self, worker: WorkerProcess) -> Asking:
        others = (other.loaded for other in self.workers.processes.live if other is not worker)
        return Asking(
            kinds="rows" if self.workers.helps(worker) else "all",
            loaded=worker.loaded,
            elsewhere=frozenset(member for member in others if member is not None),
        )

    def _prepare(self) -> None:
        """Tell each busy worker, once in a task, which files the pass after this one will probably read."""
        for worker in self.workers.processes.live:
            if worker.prepared or not isinstance(worker.task, PassTask):
                continue
            task = self.ladder.likely_next(replace(self._asking(worker), kinds="passes"))
            files = () if task is None else self.requests.files(task)
            files = [file for file in files if file not in self._named]
            self._named.extend(files)
            self.workers.processes.prepare(worker, files)

    def _give_to_cpu(self, task: PassTask) -> None:
        """Let the CPU try a pass that failed on GPUs several times."""
        worker = self.workers.helper()
        if worker is None and self.workers.may_help:
            return  # it is starting
        worker = worker or next(iter(self.workers.idle()), None)
        if worker is not None:
            self._for_cpu = None
            self._send(worker, task)

    def _send(self, worker: WorkerProcess, task: Task) -> None:
        self.workers.processes.send(worker, task, self.requests.request(task))
        if isinstance(task, PassTask):
            worker.loaded = self.ladder.state.ensemble.passes[task.index].member
            self._named.extend(self.requests.files(task))
