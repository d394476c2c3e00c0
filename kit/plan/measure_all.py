"""A policy that measures: every member first under its cheapest view, then all passes, and all rows."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from kit.ensemble import Ensemble
from kit.plan.changes import Consequence, Decision, StartRung
from kit.plan.disk_space import DiskSpace
from kit.plan.failure_costs import failure_cost
from kit.plan.policy import Resources
from kit.plan.state import LadderState
from kit.plan.tasks import LadderTask, PassTask, Stage


class MeasureAll:
    """A policy that does some passes in their order, and all rows that they allow.

    Args:
        order: passes and images.
    """

    def __init__(self, order: Iterable[tuple[int, str]]) -> None:
        self._order = deque(order)

    def decide(self, state: LadderState, resources: Resources) -> Decision | None:
        """Return a row, else the next pass whose result has room on the disk."""
        for rung in range(len(state.ensemble.rungs)):
            if rung not in state.rungs.started:
                return StartRung(rung)
        if state.combinable:
            return state.combinable[0]
        space = DiskSpace(state.ensemble, state.megapixels)
        running = [(task.index, task.image) for task in state.running if isinstance(task, PassTask)]
        while self._order:
            index, image = self._order.popleft()
            ready = state.ensemble.passes[index].member in state.ready and state.to_do.has(index, image)
            if ready and space.missing_now(index, image, free=resources.free, running=running) is None:
                return PassTask(index, image)
        return None

    def after_failure(self, state: LadderState, task: LadderTask, stage: Stage, reason: str) -> Consequence:
        """Return what a failure costs, by the rules of `plan.failure_costs`."""
        return failure_cost(state, task, stage, reason)

    def exhausted(self, state: LadderState) -> bool:
        """Whether all is done."""
        return not (self._order or state.running or state.combinable)


def order_of(ensemble: Ensemble, images: list[str], workers: int) -> Iterator[tuple[int, str]]:
    """Yield passes and images: first the cheapest pass of every member over one image for each worker.

    Args:
        ensemble: its passes.
        images: the smallest first.
        workers: that compute in parallel.
    """
    # Members A with passes 0 and 1 and B with pass 2, two workers, images w to z:
    #     0w 0x 2w 2x | 1w 1x | 0y 0z 1y 1z 2y 2z
    passes = range(len(ensemble.passes))
    owner = [item.member for item in ensemble.passes]
    cheapest = {
        owner[index]: index
        for index in sorted(passes, key=lambda index: -ensemble.passes[index].seconds_per_megapixel)
    }
    firsts = [index for index in passes if cheapest[owner[index]] == index]
    rest = sorted((index for index in passes if index not in firsts), key=lambda index: owner[index])
    for begin in range(0, len(images), workers):
        for index in [*firsts, *rest] if begin == 0 else sorted(passes, key=lambda index: owner[index]):
            yield from ((index, image) for image in images[begin : begin + workers])
