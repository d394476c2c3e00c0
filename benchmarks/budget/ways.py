"""The ways that are compared: today's rule, a rung chosen by hand, a fixed order, the policy in use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.budget.events import Ended, Log
from benchmarks.budget.simulation import Simulation
from benchmarks.budget.whole_rungs import WholeRungs
from benchmarks.budget.world import World
from kit.ensemble import Ensemble
from kit.plan.changes import Consequence, Decision, StartRung
from kit.plan.failure_costs import failure_cost
from kit.plan.ladder import chosen_policy
from kit.plan.policy import Policy, Resources
from kit.plan.state import LadderState
from kit.plan.tasks import LadderTask, PassTask, Stage

HAND_SET = 1.6
"""Factor on the predicted time in the rule of thumb."""


class Straight:
    """A policy that goes through some rungs, whatever time they take, and gives nothing a second chance.

    Args:
        rungs: one after the other.
        first: images that the last of these rungs begins with.
    """

    def __init__(self, rungs: Sequence[int], first: Sequence[str] = ()) -> None:
        self.rungs, self.first = list(rungs), list(first)

    def decide(self, state: LadderState, resources: Resources) -> Decision | None:
        """Return a row that can be fused, else a pass of the rung at work, else start the next rung."""
        del resources
        if state.combinable:
            return state.combinable[0]
        passes = state.ensemble.passes
        waiting = False
        for index, image in self._open(state):
            if passes[index].member in state.ready:
                return PassTask(index, image, state.failures(PassTask(index, image)))
            waiting = True
        return None if waiting else self._next_rung(state)

    def after_failure(self, state: LadderState, task: LadderTask, stage: Stage, reason: str) -> Consequence:
        """Return what a failure costs, by the rules of `plan.failure_costs`."""
        return failure_cost(state, task, stage, reason)

    def exhausted(self, state: LadderState) -> bool:
        """Whether nothing runs and nothing is left."""
        at_work = state.running or state.combinable or next(self._open(state), None) is not None
        return not at_work and self._next_rung(state) is None

    def _next_rung(self, state: LadderState) -> StartRung | None:
        rung = next((rung for rung in self.rungs if rung not in state.rungs.started), None)
        return None if rung is None or not state.live_images() else StartRung(rung)

    def _open(self, state: LadderState) -> Iterator[tuple[int, str]]:
        at_work = [rung for rung in self.rungs if rung in state.rungs.started]
        passes = [index for rung in at_work[-1:] for index in state.live_passes(rung)]
        if len(at_work) == len(self.rungs):
            for index in passes:
                images = set(state.images_to_do(index))
                yield from ((index, image) for image in self.first if image in images)
        for index in passes:
            if (image := next(state.images_to_do(index), None)) is not None:
                yield index, image


@dataclass(frozen=True)
class Way:
    """A way to run an ensemble.

    Attributes:
        name: in the table.
        policy: makes the policy for a world.
        mixes: rows of an unfinished rung count at the end, if rows of different rungs may stand in one file.
    """

    name: str
    policy: Callable[[World], Policy]
    mixes: bool = False

    def run(self, world: World, log: Log | None = None) -> Ended:
        """Return how a run in a world ends."""
        mixes = self.mixes and world.truth.mixes
        return Simulation(world, self.policy(world), mixes=mixes, log=log).run()


def by_hand(world: World) -> int:
    """Return the rung that somebody would choose: the highest whose predicted time fits with a margin.

    Its time is predicted with the ensemble's own costs, for the test set that it was planned for.
    """
    ensemble: Ensemble = world.ensemble
    workers = len(world.machine.devices)
    chosen = 0
    for number, rung in enumerate(ensemble.rungs):
        rate = sum(ensemble.passes[index].seconds_per_megapixel for index in rung.passes)
        if rate * world.planned / workers * HAND_SET <= world.deadline:
            chosen = number
    return chosen


OURS = "ours"
WAYS = (
    Way("whole rungs", lambda world: WholeRungs(world.ensemble)),
    Way("by hand", lambda world: Straight([by_hand(world)])),
    Way("fixed order", lambda world: Straight(range(len(world.ensemble.rungs)))),
    Way(OURS, lambda world: chosen_policy(world.ensemble), mixes=True),
)
