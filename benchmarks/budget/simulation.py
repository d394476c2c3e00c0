"""One simulated run: the real ladder with a policy, workers whose tasks end when the world says so.

It does what `work.supervisor`, `work.dispatch` and `work.replies` do, event by event instead of in real time.
"""

from __future__ import annotations

import heapq
import inspect
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.budget.publication import Publication
from benchmarks.budget.world import World
from submission.runtime.plan.changes import Decision
from submission.runtime.plan.ladder import Ladder
from submission.runtime.plan.policy import Policy, Resources
from submission.runtime.plan.set_aside import pending
from submission.runtime.plan.state import LadderState
from submission.runtime.plan.tasks import FuseTask, PassTask, Stage, Task, ValidateTask

_SHORTEST_TICK, _LONGEST_TICK = 0.5, 60.0
"""Seconds until a policy that had nothing for an idle worker is asked again, although nothing happened."""
_FAILS_AFTER = 0.5
"""Part of its time after which a task fails."""
_KILLING: frozenset[Stage] = frozenset({"crash", "memory", "stall"})
"""Failures that cost the worker, too."""
_MISSED = 4.0
"""Restarts after which a worker that stays away is no longer counted."""
_MEASURES_ALL = "load" in inspect.signature(LadderState.finished_pass).parameters


@dataclass
class Worker:
    """A simulated worker.

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
class Span:
    """What a worker did: a task from one second to another, with the stage at which it failed."""

    worker: int
    task: Task
    begin: float
    end: float
    stage: Stage | None


@dataclass(frozen=True)
class Ended:
    """How a run ended.

    Attributes:
        score: of the file that is there at the end.
        seconds: at which the process ended.
        late: the last file was not there in time.
        rows: image -> passes that the row of the file was fused from.
        file: what the file is, in words.
    """

    score: float
    seconds: float
    late: bool
    rows: dict[int, tuple[int, ...]]
    file: str


@dataclass
class Log:
    """What a run did, for tests and for people.

    Attributes:
        spans: of the workers.
        decisions: second and decision, without tasks.
    """

    spans: list[Span] = field(default_factory=list)
    decisions: list[tuple[float, Decision]] = field(default_factory=list)


class Simulation:
    """One run.

    Args:
        world: decides what happens.
        policy: decides what is done.
        mixes: at the end the rows of an unfinished rung count, too.
        log: is told everything.

    Attributes:
        now: seconds since the start.
        state: of the ladder.
    """

    def __init__(self, world: World, policy: Policy, *, mixes: bool, log: Log | None = None) -> None:
        self.world, self.machine, self.log = world, world.machine, log
        self.now = 0.0
        self.state = LadderState(world.ensemble, world.images)
        self.ladder = Ladder(self.state, policy, self._measure, self._on_decision)
        self.publication = Publication(world, self.state, mixes=mixes)
        self.workers = [Worker(number) for number in range(len(self.machine.devices))]
        self._numbers = {image: number for number, image in enumerate(world.images)}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._prepared = 0
        self._installed = False
        self._tick, self._ticking = _SHORTEST_TICK, False
        self._wanted = len(self.workers)

    def run(self) -> Ended:
        """Return how the run ends."""
        self._schedule_world()
        deadline, events = self.world.deadline, self._events
        while events and events[0][0] < deadline:
            self.now = events[0][0]
            while events and events[0][0] <= self.now:
                heapq.heappop(events)[2]()
            self.publication.compose()
            self._give_out()
            if self._over():
                break
        else:
            self.now = deadline
        return self._end()

    def _schedule_world(self) -> None:
        set_up = self.machine.set_up
        self._at(set_up.installed, self._install)
        for member, second in enumerate(set_up.ready):
            self._at(second, lambda member=member: self._get_ready(member))  # type: ignore[misc]
        for worker, device in zip(self.workers, self.machine.devices, strict=True):
            if device.lost is not None:
                self._at(device.lost, lambda worker=worker, back=device.back: self._lose(worker, back))  # type: ignore[misc]

    def _at(self, second: float, event: Callable[[], None]) -> int:
        token = next(self._count)
        heapq.heappush(self._events, (second, token, event))
        return token

    # What happens

    def _install(self) -> None:
        self._installed = True

    def _get_ready(self, member: int) -> None:
        self._prepared += 1
        if member in self.machine.set_up.absent:
            self.ladder.drop_member(member, "its weights are damaged")
            self.publication.changed = True
        else:
            self.state.ready.add(member)

    def _lose(self, worker: Worker, back: float | None) -> None:
        if worker.gone or not worker.up:
            return
        self._die(worker, back)
        if worker.task is not None:
            self._fail(worker, "crash")

    def _die(self, worker: Worker, back: float | None) -> None:
        worker.up, worker.loaded = False, None
        if back is not None:
            self._at(self.now + back, lambda: self._revive(worker))
            return
        worker.gone = True
        # The supervisor starts it again and again before it goes on with the others.
        self._at(self.now + _MISSED * self.machine.restart, self._count_workers)

    def _revive(self, worker: Worker) -> None:
        worker.up = True

    def _count_workers(self) -> None:
        self._wanted = max(1, sum(not worker.gone for worker in self.workers))

    def _finish(self, worker: Worker, token: int, seconds: float, load: float, stage: Stage | None) -> None:
        if worker.token != token:
            return  # the worker died before
        if stage is not None:
            if stage in _KILLING:
                self._die(worker, self.machine.restart)
            self._fail(worker, stage)
            return
        task, worker.task, worker.token = worker.task, None, -1
        match task:
            case PassTask():
                more = (load,) if _MEASURES_ALL else ()
                self.state.finished_pass(task, f"{task.index}/{task.image}", seconds, *more)
            case FuseTask():
                self.publication.note_row(task)
                more = (seconds,) if _MEASURES_ALL else ()
                self.state.finished_row(task, f"row {task.rung}/{task.image}", *more)
                self.publication.changed = True
            case ValidateTask():
                self.publication.publish_validated(task)
            case _:
                raise AssertionError(task)  # a disk without limits needs no running means
        self.state.stored.obsolete.clear()

    def _fail(self, worker: Worker, stage: Stage) -> None:
        task, worker.task, worker.token = worker.task, None, -1
        assert task is not None
        if not isinstance(task, ValidateTask):
            self.ladder.fail(task, stage, stage)
            self.publication.changed = True

    # What is done

    def _measure(self) -> Resources:
        return Resources(
            seconds=self.world.deadline - self.now,
            free=math.inf,
            workers=self._wanted,
            silence=self.machine.silence,
        )

    def _on_decision(self, decision: Decision) -> None:
        if not isinstance(decision, PassTask | FuseTask):
            self.publication.changed = True
            if self.log is not None:
                self.log.decisions.append((self.now, decision))

    def _give_out(self) -> None:
        if not self._installed:
            return
        given = False
        for worker in self.workers:
            if not worker.up or worker.task is not None:
                continue
            validations = self.publication.validations
            task: Task | None = validations.popleft() if validations else self.ladder.next_task()
            if task is None:
                self._ask_again()
                break
            self._start(worker, task)
            given = True
        if given:
            self._tick = _SHORTEST_TICK

    def _ask_again(self) -> None:
        if not self._ticking:
            self._ticking = True
            self._at(self.now + self._tick, self._on_tick)
            self._tick = min(2 * self._tick, _LONGEST_TICK)

    def _on_tick(self) -> None:
        self._ticking = False

    def _start(self, worker: Worker, task: Task) -> None:
        machine, load = self.machine, 0.0
        stage: Stage | None = None
        match task:
            case PassTask():
                member, image = self.world.ensemble.passes[task.index].member, self._numbers[task.image]
                stage = machine.faults.of(member, task.index, image, task.attempt)
                if worker.loaded != member:
                    load = float(machine.loads[member])
                    worker.loaded = None if stage == "load" else member
                seconds = machine.pass_seconds(task.index, image, task.attempt)
            case FuseTask():
                passes = len(self.state.live_passes(task.rung))
                seconds = float(machine.fuse[self._numbers[task.image]]) * passes
            case _:
                seconds = machine.ending.validate
        seconds *= machine.devices[worker.number].slowness * machine.drift.at(self.now)
        if stage == "stall":
            seconds = machine.silence
        elif stage == "load":
            seconds = 0.0
        elif stage is not None:
            seconds *= _FAILS_AFTER
        end = self.now + load + seconds
        worker.task = task
        worker.token = token = next(self._count)
        self._at(end, lambda: self._finish(worker, token, seconds, load, stage))
        if self.log is not None:
            self.log.spans.append(Span(worker.number, task, self.now, end, stage))

    def _over(self) -> bool:
        losses, prepared = self.state.losses, self._prepared == len(self.machine.set_up.ready)
        if all(worker.gone for worker in self.workers) and self._installed:
            return True
        if len(losses.members.keys() - losses.stages.keys()) == len(self.world.ensemble.members):
            return True
        if len(losses.images) == len(self.world.images) and not pending(self.state):
            return True
        idle = not self.publication.validations and not any(worker.task for worker in self.workers)
        return prepared and idle and self._installed and self.ladder.exhausted

    def _end(self) -> Ended:
        end = self.publication.finish(self.now)
        return Ended(
            score=self.world.truth.of_file(end.rows),
            seconds=end.seconds,
            late=end.late,
            rows=end.rows,
            file=end.file,
        )
