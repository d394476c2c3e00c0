"""When members and images that were set aside come back, and what that costs."""

from __future__ import annotations

from kit.plan.changes import BringBack, Decision, GiveUp, Item
from kit.plan.disk_space import DiskSpace
from kit.plan.policy import Resources
from kit.plan.set_aside import pending
from kit.plan.state import LadderState


def last_chance(state: LadderState, resources: Resources) -> Decision | None:
    """Bring back what was set aside, one after the other; give up what has no time or no room."""
    if state.running:
        return None
    rung = max(state.rungs.started)
    for item in pending(state):
        # Rows that exist only get better by a member: that has to fit as a whole.
        if isinstance(item, int) and state.rungs.rows:
            if seconds_of(item, state, rung, resources) * state.ensemble.slowdown > resources.seconds:
                return GiveUp(item)
        elif isinstance(item, str) and not _has_room(item, state, rung, resources):
            return GiveUp(item)
        if state.chances.due(item, resources.seconds):
            return BringBack(item, resources.seconds)
    return None


def _has_room(image: str, state: LadderState, rung: int, resources: Resources) -> bool:
    if state.losses.stages[image] != "disk":
        return True
    space, free = DiskSpace(state.ensemble, state.megapixels), resources.free
    return all(
        space.missing_now(index, image, free=free, running=()) is None for index in state.live_passes(rung)
    )


def seconds_of(item: Item, state: LadderState, rung: int, resources: Resources) -> float:
    """Predict what it takes more to bring back a member or an image for a rung, and a try that hangs."""
    hangs = resources.silence if state.losses.stages[item] == "stall" else 0.0
    if isinstance(item, str):
        return hangs + _seconds(state, state.live_passes(rung), [item], resources)
    passes = state.ensemble.passes
    own = {index for index in state.ensemble.rungs[rung].passes if passes[index].member == item}
    # Results of other passes are kept only as long as a rung may start: later all have to be made again.
    again = own if state.rungs.may_start else own.union(state.live_passes(rung))
    return hangs + _seconds(state, sorted(again), state.rungs.going_on(rung, state.live_images()), resources)


def _seconds(state: LadderState, passes: list[int], images: list[str], resources: Resources) -> float:
    megapixels = {image: state.megapixels[image] for image in images}
    return state.costs.seconds(passes, megapixels, resources.workers)
