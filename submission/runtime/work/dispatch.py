"""Gives tasks to idle workers."""

from __future__ import annotations

from submission.runtime.plan.ladder import Ladder
from submission.runtime.plan.set_aside import is_hard
from submission.runtime.plan.tasks import LadderTask, PassTask, Task
from submission.runtime.result.publishing import Publisher
from submission.runtime.work.processes import WorkerProcess
from submission.runtime.work.requests import Requests
from submission.runtime.work.workers import Workers


class Dispatch:
    """Gives tasks to workers.

    Args:
        ladder: has the tasks.
        publisher: has files to be validated, which come first.
        requests: makes the requests.
        workers: get them.
    """

    def __init__(self, ladder: Ladder, publisher: Publisher, requests: Requests, workers: Workers) -> None:
        self.ladder, self.publisher = ladder, publisher
        self.requests, self.workers = requests, workers
        self._for_cpu: PassTask | None = None

    def give_out(self) -> None:
        """Give a task to every idle worker, as far as there are tasks."""
        if self._for_cpu is not None:
            self._give_to_cpu(self._for_cpu)
            return
        for worker in self.workers.idle():
            if worker not in self.workers.processes.live:
                continue  # it had to make room
            validations = self.publisher.validations
            task: Task | None = validations.popleft() if validations else self.ladder.next_task()
            if task is None:
                return
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
