"""The rule of earlier versions, for comparison: do one rung over all images, then start the next if it fits.

Simulated disks are large enough, so that what the rule did on small ones is left out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from kit.ensemble import Ensemble
from kit.plan.changes import (
    BringBack,
    Consequence,
    Decision,
    GiveUp,
    Item,
    RefuseRung,
    StartRung,
)
from kit.plan.failure_costs import failure_cost
from kit.plan.policy import Resources
from kit.plan.set_aside import hard_pass, is_hard, pending
from kit.plan.state import LadderState
from kit.plan.tasks import TRIES, LadderTask, PassTask, Stage

SLOWDOWN = 1.6
"""Factor on the predicted time of a rung before it starts."""


class WholeRungs:
    """A policy that starts rungs one after the other, each as a whole or not at all.

    Args:
        ensemble: members, passes and rungs.
    """

    def __init__(self, ensemble: Ensemble) -> None:
        self.ensemble = ensemble

    def decide(self, state: LadderState, resources: Resources) -> Decision | None:
        """Return the most urgent of: a row, a pass of a started rung, another chance, a next rung."""
        if any(is_hard(state, task) for task in state.running):
            return None
        if state.combinable:
            task = next((task for task in state.combinable if not is_hard(state, task)), state.combinable[0])
            return None if state.running and is_hard(state, task) else task
        if not state.rungs.started:
            return StartRung(0)
        if next(self._open_passes(state), None) is not None:
            return self._next_pass(state)
        return self._next_rung_or_chance(state, resources)

    def after_failure(self, state: LadderState, task: LadderTask, stage: Stage, reason: str) -> Consequence:
        """Return what a failure costs, by the rules of `plan.failure_costs`."""
        return failure_cost(state, task, stage, reason)

    def exhausted(self, state: LadderState) -> bool:
        """Whether nothing runs, nothing is left to start, and nothing gets another chance."""
        at_work = state.running or state.combinable or next(self._open_passes(state), None) is not None
        return not at_work and not self._may_start(state) and not pending(state)

    def _may_start(self, state: LadderState) -> bool:
        passes = state.live_passes(len(self.ensemble.rungs) - 1)
        return state.rungs.may_start and bool(passes and state.live_images())

    def _open_passes(self, state: LadderState) -> Iterator[tuple[int, str]]:
        """Yield the passes that still have an image to do, in their order, each with the largest image."""
        for index in sorted(_passes_of(state, state.rungs.started)):
            if (image := next(iter(state.images_to_do(index)), None)) is not None:
                yield index, image

    def _next_pass(self, state: LadderState) -> Decision | None:
        passes = self.ensemble.passes
        ready = (found for found in self._open_passes(state) if passes[found[0]].member in state.ready)
        found = hard_pass(state) or next(ready, None)
        if found is None:
            return None
        task = PassTask(*found, state.failures(PassTask(*found)))
        if is_hard(state, task):
            return None if state.running else PassTask(*found, max(task.attempt, TRIES))
        return task

    def _next_rung_or_chance(self, state: LadderState, resources: Resources) -> Decision | None:
        """Start the next rung if it fits; before it and at the end, give what was set aside a chance."""
        if not self._may_start(state):
            return self._last_chance(state, resources)
        rung = len(state.rungs.started)
        new = set(state.live_passes(rung)) - _passes_of(state, state.rungs.started)
        seconds = _seconds(state, new, state.live_images(), resources)
        # With 400 s left and a factor of 1.6, 240 s predicted (384 s) fit; 260 s (416 s) do not.
        if seconds * SLOWDOWN > resources.seconds:
            return RefuseRung(rung, seconds=seconds)
        for item in pending(state):
            fits = (seconds + self._more(item, state, rung, resources)) * SLOWDOWN <= resources.seconds
            if fits and not state.chances.given[item]:
                return None if state.running else BringBack(item, resources.seconds)
        return StartRung(rung)

    def _last_chance(self, state: LadderState, resources: Resources) -> Decision | None:
        """Bring back what was set aside, one after the other; give up what has no time."""
        if state.running:
            return None
        rung = max(state.rungs.started)
        for item in pending(state):
            if isinstance(item, int) and state.rungs.rows:
                seconds = self._more(item, state, rung, resources)
                if seconds * SLOWDOWN > resources.seconds:
                    return GiveUp(item)
            if state.chances.due(item, resources.seconds):
                return BringBack(item, resources.seconds)
        return None

    def _more(self, item: Item, state: LadderState, rung: int, resources: Resources) -> float:
        """Predict what it takes more to bring back a member or an image for a rung."""
        hangs = resources.silence if state.losses.stages[item] == "stall" else 0.0
        if isinstance(item, str):
            return hangs + _seconds(state, state.live_passes(rung), [item], resources)
        passes, live = self.ensemble.passes, state.live_passes(rung)
        own = {index for index in self.ensemble.rungs[rung].passes if passes[index].member == item}
        again = own if state.rungs.may_start else own.union(live)
        return hangs + _seconds(state, again, state.live_images(), resources)


def _passes_of(state: LadderState, rungs: Collection[int]) -> set[int]:
    return {index for rung in rungs for index in state.live_passes(rung)}


def _seconds(
    state: LadderState, passes: Collection[int], images: Collection[str], resources: Resources
) -> float:
    """Return the work divided by the workers, but no less than the longest task."""
    if not passes or not images:
        return 0.0
    rates = [state.costs.per_megapixel(index) for index in passes]
    sizes = [state.megapixels[image] for image in images]
    return max(sum(rates) * sum(sizes) / max(resources.workers, 1), max(rates) * max(sizes))
