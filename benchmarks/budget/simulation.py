"""One simulated run: the real ladder with a policy, workers whose tasks end when the world says so.

It does what `work.supervisor`, `work.dispatch` and `work.replies` do, event by event instead of in real time.
"""

from __future__ import annotations

import itertools
import math

from benchmarks.budget.events import Ended, Events, Log, Span, Work, Worker, pass_work
from benchmarks.budget.publication import Publication
from benchmarks.budget.world import World
from submission.runtime.plan.changes import Decision
from submission.runtime.plan.ladder import Ladder
from submission.runtime.plan.policy import Asking, Policy, Resources
from submission.runtime.plan.set_aside import pending
from submission.runtime.plan.state import LadderState
from submission.runtime.plan.tasks import FuseTask, PassTask, Stage, Task, ValidateTask

_SHORTEST_TICK, _LONGEST_TICK = 0.5, 60.0
"""Seconds until a policy that had nothing for an idle worker is asked again, although nothing happened."""
_KILLING: frozenset[Stage] = frozenset({"crash", "memory", "stall"})
"""Failures that cost the worker, too."""
_MISSED = 4.0
"""Restarts after which a worker that stays away is no longer counted."""


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
        self._events = Events()
        self._tokens = itertools.count()
        self._prepared = 0
        self._installed = False
        self._tick, self._ticking = _SHORTEST_TICK, False
        self._wanted = len(self.workers)

    def run(self) -> Ended:
        """Return how the run ends."""
        self._schedule_world()
        deadline, events = self.world.deadline, self._events
        while events.next < deadline:
            self.now = events.next
            events.happen(self.now)
            self.publication.compose()
            self._give_out()
            if self._over():
                break
        else:
            self.now = deadline
        return self.publication.finish(self.now)

    def _schedule_world(self) -> None:
        set_up = self.machine.set_up
        self._events.at(set_up.installed, self._install)
        for member, second in enumerate(set_up.ready):
            self._events.at(second, lambda member=member: self._get_ready(member))  # type: ignore[misc]
        for worker, device in zip(self.workers, self.machine.devices, strict=True):
            if device.lost is not None:
                self._events.at(device.lost, lambda worker=worker, back=device.back: self._lose(worker, back))  # type: ignore[misc]

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
            self._events.at(self.now + back, lambda: self._revive(worker))
            return
        worker.gone = True
        # The supervisor starts it again and again before it goes on with the others.
        self._events.at(self.now + _MISSED * self.machine.restart, self._count_workers)

    def _revive(self, worker: Worker) -> None:
        worker.up = True

    def _count_workers(self) -> None:
        self._wanted = max(1, sum(not worker.gone for worker in self.workers))

    def _finish(self, worker: Worker, token: int, work: Work) -> None:
        if worker.token != token:
            return  # the worker died before
        if work.stage is not None:
            if work.stage in _KILLING:
                self._die(worker, self.machine.restart)
            self._fail(worker, work.stage)
            return
        task, worker.task, worker.token = worker.task, None, -1
        match task:
            case PassTask():
                self.state.finished_pass(task, f"{task.index}/{task.image}", work.seconds, work.load)
            case FuseTask():
                self.publication.note_row(task)
                self.state.finished_row(task, f"row {task.rung}/{task.image}", work.seconds)
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
            task: Task | None = (
                validations.popleft() if validations else self.ladder.next_task(self._asking(worker))
            )
            if task is None:
                self._ask_again()
                break
            self._start(worker, task)
            given = True
        if given:
            self._tick = _SHORTEST_TICK

    def _asking(self, worker: Worker) -> Asking:
        others = {other.loaded for other in self.workers if other is not worker and other.loaded is not None}
        return Asking(loaded=worker.loaded, elsewhere=frozenset(others))

    def _ask_again(self) -> None:
        if not self._ticking:
            self._ticking = True
            self._events.at(self.now + self._tick, self._on_tick)
            self._tick = min(2 * self._tick, _LONGEST_TICK)

    def _on_tick(self) -> None:
        self._ticking = False

    def _start(self, worker: Worker, task: Task) -> None:
        work = self._work(worker, task)
        end = self.now + work.load + work.seconds
        worker.task, worker.token = task, next(self._tokens)
        token = worker.token
        self._events.at(end, lambda: self._finish(worker, token, work))
        if self.log is not None:
            self.log.spans.append(Span(worker.number, task, self.now, end, work.stage))

    def _work(self, worker: Worker, task: Task) -> Work:
        machine = self.machine
        factor = machine.devices[worker.number].slowness * machine.drift.at(self.now)
        if isinstance(task, PassTask):
            member, image = self.world.ensemble.passes[task.index].member, self._numbers[task.image]
            work = pass_work(machine, member, task, image, factor, loaded=worker.loaded == member)
            worker.loaded = None if work.stage == "load" else member
            return work
        if isinstance(task, FuseTask):
            passes = len(self.state.live_passes(task.rung))
            return Work(seconds=float(machine.fuse[self._numbers[task.image]]) * passes * factor)
        return Work(seconds=machine.ending.validate * factor)

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
