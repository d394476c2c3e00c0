"""A run on a virtual clock: the real ladder and policy, workers whose tasks take what somebody says.

It does what `work.supervisor`, `work.dispatch` and `work.replies` do, event by event instead of in real time.
The forecast of the hidden run and the simulated worlds of `benchmarks.budget` are both made of it.
"""

from __future__ import annotations

import heapq
import itertools
import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from kit.plan.changes import Decision
from kit.plan.ladder import Ladder
from kit.plan.policy import Asking, Policy, Resources
from kit.plan.state import LadderState
from kit.plan.tasks import FuseTask, MeanTask, PassTask, Stage, Task, ValidateTask

_SHORTEST_TICK, _LONGEST_TICK = 0.5, 60.0
"""Seconds until a policy that had nothing for an idle worker is asked again, although nothing happened."""


class Events:
    """What will happen, by time; what is at the same time, in the order in which it was added."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()

    def at(self, second: float, event: Callable[[], None]) -> None:
        """Let something happen at a moment."""
        heapq.heappush(self._heap, (second, next(self._count), event))

    @property
    def next(self) -> float:
        """The second at which something happens next; infinite if nothing will."""
        return self._heap[0][0] if self._heap else math.inf

    def happen(self, until: float) -> None:
        """Let everything happen up to a moment."""
        while self.next <= until:
            heapq.heappop(self._heap)[2]()


@dataclass
class VirtualWorker:
    """A worker.

    Attributes:
        number: from 0.
        up: it lives.
        gone: it died and will not come back.
        loaded: member whose network it holds.
        task: that it does, None if it is idle.
        token: of the event that ends the task; other events of that task are void.
    """

    number: int
    up: bool = True
    gone: bool = False
    loaded: int | None = None
    task: Task | None = None
    token: int = -1


@dataclass(frozen=True)
class Work:
    """What a task takes.

    Attributes:
        seconds: without loading.
        load: seconds of loading the member.
        stage: at which it fails, None if it does not.
    """

    seconds: float
    load: float = 0.0
    stage: Stage | None = None


class VirtualRun(ABC):
    """One run. What is special about its machine stands in a subclass.

    Args:
        state: of the ladder.
        policy: decides what is done.
        workers: their number.
        deadline: second at which no more tasks end.
        free: bytes on the scratch disk.
        silence: seconds until a worker that hangs is replaced.

    Attributes:
        now: seconds since the start.
        validations: files that a worker has to check, before any other task.
        events: what will happen.
        wanted: workers that the policy counts on.
        installed: tasks may start.
        unprepared: members that are not verified yet.
        most_bytes: that the results took on the disk at any time.
    """

    def __init__(
        self,
        state: LadderState,
        policy: Policy,
        *,
        workers: int,
        deadline: float,
        free: float = math.inf,
        silence: float = 0.0,
    ) -> None:
        self.state, self.deadline, self.free, self.silence = state, deadline, free, silence
        self.now = self.most_bytes = 0.0
        self.ladder = Ladder(state, policy, self._measure, self.on_decision)
        self.workers = [VirtualWorker(number) for number in range(workers)]
        self.validations: deque[ValidateTask] = deque()
        self.events = Events()
        self.wanted = workers
        self.installed = False
        self.unprepared = 0
        self._tokens = itertools.count()
        self._tick, self._ticking = _SHORTEST_TICK, False
        self._files: dict[str, float] = {}
        self._used = 0.0

    # What a subclass says

    @abstractmethod
    def work(self, worker: VirtualWorker, task: Task) -> Work:
        """Return what a task takes that a worker starts now."""

    @abstractmethod
    def compose(self) -> None:
        """Queue files that got complete in `validations`."""

    def file_bytes(self, task: PassTask | MeanTask) -> float:
        """Return the bytes that the result of a task takes on the disk."""
        del task
        return 0.0

    def seen(self, task: FuseTask) -> tuple[float | None, Sequence[float]]:
        """Return the doubt of a new row, and the shares of windows left after it (`Rungs.note_row`)."""
        del task
        return None, ()

    def on_decision(self, decision: Decision) -> None:
        """Hear what the policy decided."""
        del decision

    def on_start(self, worker: VirtualWorker, task: Task, work: Work) -> None:
        """Hear which task a worker starts."""
        del worker, task, work

    def on_row(self, task: FuseTask) -> None:
        """Hear that a row is there."""
        del task

    def on_validated(self, task: ValidateTask) -> None:
        """Hear that a file is valid."""
        del task

    # What happens

    def set_up(self, installed: float, ready: Iterable[float]) -> None:
        """Let tasks be possible from one second on, and each member be ready at its own."""
        self.events.at(installed, self._install)
        for member, second in enumerate(ready):
            self.unprepared += 1
            self.events.at(second, lambda member=member: self._prepare(member))  # type: ignore[misc]

    def play(self) -> None:
        """Let the run go on to its end."""
        while self.events.next < self.deadline:
            self.now = self.events.next
            self.events.happen(self.now)
            self.compose()
            self._give_out()
            if self.over():
                return
        self.now = self.deadline

    def over(self) -> bool:
        """Whether nothing is left to do."""
        idle = not self.validations and not any(worker.task for worker in self.workers)
        return not self.unprepared and idle and self.installed and self.ladder.exhausted

    def get_ready(self, member: int) -> None:
        """Let the weights of a member be there."""
        self.state.ready.add(member)

    def fail(self, worker: VirtualWorker, stage: Stage) -> None:
        """Let the task of a worker fail."""
        task, worker.task, worker.token = worker.task, None, -1
        assert task is not None
        if not isinstance(task, ValidateTask):
            self.ladder.fail(task, stage, stage)

    def _install(self) -> None:
        self.installed = True

    def _prepare(self, member: int) -> None:
        self.unprepared -= 1
        self.get_ready(member)

    def _finish(self, worker: VirtualWorker, token: int, work: Work) -> None:
        if worker.token != token:
            return  # the worker died before
        if work.stage is not None:
            self.fail(worker, work.stage)
            return
        task, worker.task, worker.token = worker.task, None, -1
        match task:
            case PassTask():
                self._store(file := f"{task.index}/{task.image}", task)
                left = self.state.rungs.share_left(task.index, task.image)
                self.state.finished_pass(task, file, work.seconds, work.load, left)
            case MeanTask():
                self._store(file := f"mean {task.index}/{task.image}", task)
                self.state.finished_mean(task, file)
            case FuseTask():
                self.on_row(task)
                file = f"row {task.rung}/{task.image}"
                self.state.finished_row(task, file, work.seconds, *self.seen(task))
            case ValidateTask():
                self.on_validated(task)

    def _store(self, file: str, task: PassTask | MeanTask) -> None:
        if size := self.file_bytes(task):
            self._used += size - self._files.get(file, 0.0)
            self._files[file] = size
            self.most_bytes = max(self.most_bytes, self._used)

    # What is done

    def _measure(self) -> Resources:
        return Resources(self.deadline - self.now, self.free - self._used, self.wanted, silence=self.silence)

    def _give_out(self) -> None:
        if not self.installed:
            return
        for file in self.state.stored.obsolete:
            self._used -= self._files.pop(file, 0.0)
        self.state.stored.obsolete.clear()
        given = False
        for worker in self.workers:
            if not worker.up or worker.task is not None:
                continue
            task: Task | None = (
                self.validations.popleft()
                if self.validations
                else self.ladder.next_task(self._asking(worker))
            )
            if task is None:
                self._ask_again()
                break
            self._start(worker, task)
            given = True
        if given:
            self._tick = _SHORTEST_TICK

    def _asking(self, worker: VirtualWorker) -> Asking:
        others = {other.loaded for other in self.workers if other is not worker and other.loaded is not None}
        return Asking(loaded=worker.loaded, elsewhere=frozenset(others))

    def _start(self, worker: VirtualWorker, task: Task) -> None:
        work = self.work(worker, task)
        worker.task, worker.token = task, next(self._tokens)
        token = worker.token
        self.events.at(self.now + work.load + work.seconds, lambda: self._finish(worker, token, work))
        self.on_start(worker, task, work)

    def _ask_again(self) -> None:
        if not self._ticking:
            self._ticking = True
            self.events.at(self.now + self._tick, self._on_tick)
            self._tick = min(2 * self._tick, _LONGEST_TICK)

    def _on_tick(self) -> None:
        self._ticking = False
