"""One simulated run: the real ladder with a policy, workers whose tasks end when the world says so."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.budget.events import Ended, Log, Span, pass_work
from benchmarks.budget.publication import Publication
from benchmarks.budget.world import World
from kit.plan.changes import Decision
from kit.plan.policy import Policy
from kit.plan.set_aside import pending
from kit.plan.state import LadderState
from kit.plan.tasks import FuseTask, PassTask, Stage, Task, ValidateTask
from kit.plan.virtual_run import VirtualRun, VirtualWorker, Work

_KILLING: frozenset[Stage] = frozenset({"crash", "memory", "stall"})
"""Failures that cost the worker, too."""
_MISSED = 4.0
"""Restarts after which a worker that stays away is no longer counted."""


class Simulation(VirtualRun):
    """One run.

    Args:
        world: decides what happens.
        policy: decides what is done.
        mixes: at the end the rows of an unfinished rung count, too.
        log: is told everything.
    """

    def __init__(self, world: World, policy: Policy, *, mixes: bool, log: Log | None = None) -> None:
        self.world, self.machine, self.log = world, world.machine, log
        super().__init__(
            LadderState(world.ensemble, world.images),
            policy,
            workers=len(world.machine.devices),
            deadline=world.deadline,
            silence=world.machine.silence,
        )
        self.publication = Publication(world, self.state, mixes=mixes)
        self.validations = self.publication.validations
        self._numbers = {image: number for number, image in enumerate(world.images)}

    def run(self) -> Ended:
        """Return how the run ends."""
        self.set_up(self.machine.set_up.installed, self.machine.set_up.ready)
        for worker, device in zip(self.workers, self.machine.devices, strict=True):
            if device.lost is not None:
                self.events.at(device.lost, lambda worker=worker, back=device.back: self._lose(worker, back))  # type: ignore[misc]
        self.play()
        return self.publication.finish(self.now)

    def compose(self) -> None:
        """Queue the validation of every rung that got complete."""
        self.publication.compose()

    # What happens

    def get_ready(self, member: int) -> None:
        """Let the weights of a member be there, or be found damaged."""
        if member in self.machine.set_up.absent:
            self.ladder.drop_member(member, "its weights are damaged")
            self.publication.changed = True
        else:
            super().get_ready(member)

    def fail(self, worker: VirtualWorker, stage: Stage) -> None:
        """Let the task of a worker fail, which may cost the worker."""
        if worker.up and stage in _KILLING:
            self._die(worker, self.machine.restart)
        self.publication.changed |= not isinstance(worker.task, ValidateTask)
        super().fail(worker, stage)

    def seen(self, task: FuseTask) -> tuple[float, Sequence[float]]:
        """Return the doubt of a row; no rung of these worlds lets windows be skipped."""
        return float(self.world.stopping.doubts[task.rung, self._numbers[task.image]]), ()

    def on_row(self, task: FuseTask) -> None:
        """Note that a row is there."""
        self.publication.note_row(task)
        self.publication.changed = True

    def on_validated(self, task: ValidateTask) -> None:
        """Publish a valid file."""
        self.publication.publish_validated(task)

    def on_decision(self, decision: Decision) -> None:
        """Log what the policy decided, unless it is a task."""
        if not isinstance(decision, PassTask | FuseTask):
            self.publication.changed = True
            if self.log is not None:
                self.log.decisions.append((self.now, decision))

    def on_start(self, worker: VirtualWorker, task: Task, work: Work) -> None:
        """Log which task a worker starts."""
        if self.log is not None:
            end = self.now + work.load + work.seconds
            self.log.spans.append(Span(worker.number, task, self.now, end, work.stage))

    def _lose(self, worker: VirtualWorker, back: float | None) -> None:
        if worker.gone or not worker.up:
            return
        self._die(worker, back)
        if worker.task is not None:
            self.fail(worker, "crash")

    def _die(self, worker: VirtualWorker, back: float | None) -> None:
        worker.up, worker.loaded = False, None
        if back is not None:
            self.events.at(self.now + back, lambda: self._revive(worker))
            return
        worker.gone = True
        # The supervisor starts it again and again before it goes on with the others.
        self.events.at(self.now + _MISSED * self.machine.restart, self._count_workers)

    def _revive(self, worker: VirtualWorker) -> None:
        worker.up = True

    def _count_workers(self) -> None:
        self.wanted = max(1, sum(not worker.gone for worker in self.workers))

    # What is done

    def work(self, worker: VirtualWorker, task: Task) -> Work:
        """Return what a task takes in this world."""
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
        assert isinstance(task, ValidateTask)  # a disk without limits needs no running means
        return Work(seconds=machine.ending.validate * factor)

    def over(self) -> bool:
        """Whether nothing is left that could be done."""
        losses = self.state.losses
        if all(worker.gone for worker in self.workers) and self.installed:
            return True
        if len(losses.members.keys() - losses.stages.keys()) == len(self.world.ensemble.members):
            return True
        if len(losses.images) == len(self.world.images) and not pending(self.state):
            return True
        return super().over()
