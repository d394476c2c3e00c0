"""Tell of members and images that were set aside whether they may come back, and which task decides it."""

from __future__ import annotations

from kit.plan.changes import Consequence, Item, LoseMember, TryAgain
from kit.plan.state import LadderState
from kit.plan.tasks import TRIES, LadderTask, PassTask


def is_hard(state: LadderState, task: LadderTask) -> bool:
    """Whether a task has failed so often, or its member has, that it is tried alone."""
    if state.failures(task) >= TRIES:
        return True
    return isinstance(task, PassTask) and _has_a_chance(state, state.ensemble.passes[task.index].member)


def pending(state: LadderState) -> list[Item]:
    """Return the members and images that may still come back, the most valuable first."""
    if not state.losses.stages:
        return []
    return state.chances.pending(state.ready, images=len(state.losses.images) < len(state.megapixels))


def comes_back(state: LadderState, consequence: Consequence) -> bool:
    """Whether what a failure costs may come back."""
    if isinstance(consequence, TryAgain):
        return False
    item = consequence.member if isinstance(consequence, LoseMember) else consequence.image
    return state.chances.left(item)


def hard_pass(state: LadderState) -> tuple[int, str] | None:
    """Return the pass and image that decide whether what got the last chance is back; None once it is."""
    # A pass that failed on the image tells it. Of a member any pass does, over the smallest image.
    item = state.chances.latest
    if isinstance(item, str):
        hard = (index for index in state.to_do.passes(item) if is_hard(state, PassTask(index, item)))
        return next(((index, item) for index in hard), None)
    if item is not None and _has_a_chance(state, item):
        for index, pass_ in enumerate(state.ensemble.passes):
            if pass_.member == item and (image := state.to_do.smallest(index)) is not None:
                return index, image
    return None


def failed_for_others(state: LadderState, task: PassTask) -> bool:
    """Whether other members failed on a pass's image, too, and none succeeded on it."""
    done = any(state.stored.was_done(index, task.image) for index in range(len(state.ensemble.passes)))
    return state.failure_counts.members(task.image) > 1 and not done


def _has_a_chance(state: LadderState, member: int) -> bool:
    return state.chances.given[member] > 0 and not state.losses.successes[member]
