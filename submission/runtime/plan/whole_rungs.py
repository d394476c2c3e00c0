"""The policy in use: do one rung over all images, then start the next if it fits."""

from __future__ import annotations

from collections.abc import Iterator

from kit.ensemble import Ensemble
from submission.runtime.plan.changes import (
    BringBack,
    Consequence,
    Decision,
    GiveUp,
    Item,
    LeaveOut,
    RefuseRung,
    StartRung,
    UseRunningMeans,
)
from submission.runtime.plan.disk_space import DiskSpace
from submission.runtime.plan.failure_costs import failure_cost
from submission.runtime.plan.policy import Resources
from submission.runtime.plan.set_aside import hard_pass, is_hard, pending
from submission.runtime.plan.state import LadderState
from submission.runtime.plan.tasks import TRIES, LadderTask, PassTask, Stage


class WholeRungs:
    """Starts rungs one after the other, each as a whole or not at all.

    Args:
        ensemble: members, passes and rungs.
    """

    def __init__(self, ensemble: Ensemble) -> None:
        self.ensemble = ensemble

    def decide(self, state: LadderState, resources: Resources) -> Decision | None:
        """Return the most urgent of: a row or mean, a pass of a started rung, another chance, a next rung."""
        if any(is_hard(state, task) for task in state.running):
            return None
        # Rows come first: they are short, they make the submission better at once, and they free the disk.
        if state.combinable:
            task = next((task for task in state.combinable if not is_hard(state, task)), state.combinable[0])
            return None if state.running and is_hard(state, task) else task
        if not state.rungs.started:
            return self._first_rung(state, resources)
        if self._has_open_pass(state):
            return self._next_pass(state, resources)
        return self._next_rung_or_chance(state, resources)

    def after_failure(self, state: LadderState, task: LadderTask, stage: Stage, reason: str) -> Consequence:
        """Return what a failure costs, by the rules of `plan.failure_costs`."""
        return failure_cost(state, task, stage, reason)

    def exhausted(self, state: LadderState) -> bool:
        """Whether nothing runs, nothing is left to start, and nothing gets another chance."""
        at_work = state.running or state.combinable or self._has_open_pass(state)
        chances = any(state.losses.stages[item] != "disk" for item in pending(state))
        return not at_work and not self._may_start(state) and not chances

    def _may_start(self, state: LadderState) -> bool:
        """Whether a further rung may start; without a member or an image it would be an empty one."""
        rungs = state.rungs
        return rungs.may_start and bool(
            state.live_passes(len(self.ensemble.rungs) - 1) and state.live_images()
        )

    def _open_passes(self, state: LadderState) -> Iterator[tuple[int, str]]:
        """Yield the passes that still have an image to do, in their order, each with the largest image."""
        for index in sorted({index for rung in state.rungs.started for index in state.live_passes(rung)}):
            if (image := next(state.images_to_do(index), None)) is not None:
                yield index, image

    def _has_open_pass(self, state: LadderState) -> bool:
        return next(self._open_passes(state), None) is not None

    def _next_pass(self, state: LadderState, resources: Resources) -> Decision | None:
        passes = self.ensemble.passes
        # Passes of members whose weights are still being verified are skipped, not waited for.
        ready = (found for found in self._open_passes(state) if passes[found[0]].member in state.ready)
        index, image = hard_pass(state) or next(ready, (None, ""))
        if index is None:
            return None
        task = PassTask(index, image, state.failures(PassTask(index, image)))
        if is_hard(state, task):
            if state.running:
                return None
            task = PassTask(index, image, max(task.attempt, TRIES))
        # `free` does not yet know the results that are being written now; they are counted on top. Example:
        # 28 MB free, 90 % of it usable; a map of 18 MB fits, but not beside another of 8 MB.
        running = [(task.index, task.image) for task in state.running if isinstance(task, PassTask)]
        reason = self._space(state).missing_now(index, image, free=resources.free, running=running)
        if reason is None:
            return task
        if state.running:
            return None  # a running task may make room
        return LeaveOut(index, image, "disk", reason)

    def _next_rung_or_chance(self, state: LadderState, resources: Resources) -> Decision | None:
        """Start the next rung if it fits; before it and at the end, give what was set aside a chance."""
        if not self._may_start(state):
            return self._last_chance(state, resources)
        rung, images = len(state.rungs.started), state.live_images()
        new = [index for index in state.live_passes(rung) if index not in state.live_passes(rung - 1)]
        # Rungs are nested: only the passes that the rung adds take time. With passes [0, 1] done and a rung
        # of [0, 1, 2, 3], the predicted time is that of passes 2 and 3 over all live images.
        seconds = self._seconds(state, new, images, resources)
        # With 400 s left and a slowdown of 1.6, 240 s predicted (384 s) fit; 260 s (416 s) do not.
        if seconds * self.ensemble.slowdown > resources.seconds:
            return RefuseRung(rung, seconds=seconds)
        if (reason := self._missing(state, new, images, resources)) is not None:
            return RefuseRung(rung, reason=reason)
        # With 400 s left and 200 s predicted (320 s), a member that takes 40 s more (384 s) comes back first;
        # one that takes 60 s more (416 s) has to wait until the rung is done.
        for item in pending(state):
            more = self._seconds_of(item, state, rung, resources)
            fits = (seconds + more) * self.ensemble.slowdown <= resources.seconds
            if fits and not state.chances.given[item] and state.losses.stages[item] != "disk":
                return None if state.running else BringBack(item, resources.seconds)
        return StartRung(rung)

    def _last_chance(self, state: LadderState, resources: Resources) -> Decision | None:
        """Bring back what was set aside, one after the other; give up what has no time or no room."""
        if state.running:
            return None
        rung = max(state.rungs.started)
        for item in pending(state):
            # Rows that exist only get better by a member: that has to fit as a whole.
            if isinstance(item, int) and state.rungs.rows:
                if (
                    self._seconds_of(item, state, rung, resources) * self.ensemble.slowdown
                    > resources.seconds
                ):
                    return GiveUp(item)
            elif isinstance(item, str) and not self._has_room(item, state, rung, resources):
                return GiveUp(item)
            if state.chances.due(item, resources.seconds):
                return BringBack(item, resources.seconds)
        return None

    def _has_room(self, image: str, state: LadderState, rung: int, resources: Resources) -> bool:
        if state.losses.stages[image] != "disk":
            return True
        space, free = self._space(state), resources.free
        return all(
            space.missing_now(index, image, free=free, running=()) is None
            for index in state.live_passes(rung)
        )

    def _seconds_of(self, item: Item, state: LadderState, rung: int, resources: Resources) -> float:
        """Predict what it takes more to bring back a member or an image for a rung, and a try that hangs."""
        hangs = resources.silence if state.losses.stages[item] == "stall" else 0.0
        if isinstance(item, str):
            return hangs + self._seconds(state, state.live_passes(rung), [item], resources)
        passes = self.ensemble.passes
        own = {index for index in self.ensemble.rungs[rung].passes if passes[index].member == item}
        # Results of other passes are kept only as long as a rung may start: later all have to be made again.
        again = own if state.rungs.may_start else own.union(state.live_passes(rung))
        return hangs + self._seconds(state, sorted(again), state.live_images(), resources)

    def _seconds(
        self, state: LadderState, passes: list[int], images: list[str], resources: Resources
    ) -> float:
        megapixels = {image: state.megapixels[image] for image in images}
        return state.costs.seconds(passes, megapixels, resources.workers)

    def _first_rung(self, state: LadderState, resources: Resources) -> Decision:
        """Decide how results are kept, then start the first rung, whatever time it takes."""
        # If the disk cannot hold results until a second rung needs them, that rung is refused before the
        # first one starts: then each result can go as soon as its row is written. Example: 25 MB free, images
        # of 18, 8 and 2 MB: with one rung 18 MB are in use at most, kept for a second rung it would be 28 MB.
        space, images = self._space(state), state.live_images()
        if not state.stored.averaging and space.needs_running_means(images, resources.free):
            return UseRunningMeans()
        if len(self.ensemble.rungs) > 1 and state.live_passes(0):
            reason = self._missing(state, state.live_passes(1), images, resources)
            if reason is not None and not state.rungs.refused:
                return RefuseRung(1, reason=reason)
        return StartRung(0)

    def _missing(
        self, state: LadderState, passes: list[int], images: list[str], resources: Resources
    ) -> str | None:
        return self._space(state).missing(
            passes,
            images,
            free=resources.free,
            averaging=state.stored.averaging,
            workers=resources.workers,
        )

    def _space(self, state: LadderState) -> DiskSpace:
        return DiskSpace(self.ensemble, state.megapixels)
