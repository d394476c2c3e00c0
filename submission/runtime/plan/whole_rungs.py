"""The policy in use: do one rung over all images, then start the next if it fits."""

from __future__ import annotations

from collections.abc import Iterator

from kit.ensemble import Ensemble
from submission.runtime.plan.changes import (
    Consequence,
    Decision,
    LeaveOut,
    RefuseRung,
    StartRung,
    UseRunningMeans,
)
from submission.runtime.plan.disk_space import DiskSpace
from submission.runtime.plan.failure_costs import failure_cost
from submission.runtime.plan.policy import Resources
from submission.runtime.plan.state import LadderState
from submission.runtime.plan.tasks import LadderTask, PassTask, Stage


class WholeRungs:
    """Starts rungs one after the other, each as a whole or not at all.

    Args:
        ensemble: members, passes and rungs.
    """

    def __init__(self, ensemble: Ensemble) -> None:
        self.ensemble = ensemble

    def decide(self, state: LadderState, resources: Resources) -> Decision | None:
        """Return the most urgent of: a row or mean, a pass of a started rung, the start of a rung."""
        # Rows come first: they are short, they make the submission better at once, and they free the disk.
        if state.combinable:
            return state.combinable[0]
        if not state.rungs.started:
            return self._first_rung(state, resources)
        if self._has_open_pass(state):
            return self._next_pass(state, resources)
        return self._next_rung(state, resources) if state.rungs.may_start else None

    def after_failure(self, state: LadderState, task: LadderTask, stage: Stage, reason: str) -> Consequence:
        """Return what a failure costs, by the rules of `plan.failure_costs`."""
        return failure_cost(state, task, stage, reason)

    def exhausted(self, state: LadderState) -> bool:
        """Whether nothing runs and nothing is left to start."""
        at_work = state.running or state.combinable or self._has_open_pass(state)
        return not at_work and not state.rungs.may_start

    def _open_passes(self, state: LadderState) -> Iterator[tuple[int, str]]:
        """Yield the passes that still have an image to do, in their order, each with the largest image."""
        for index in state.live_passes(max(state.rungs.started)) if state.rungs.started else ():
            if (image := next(state.images_to_do(index), None)) is not None:
                yield index, image

    def _has_open_pass(self, state: LadderState) -> bool:
        return next(self._open_passes(state), None) is not None

    def _next_pass(self, state: LadderState, resources: Resources) -> Decision | None:
        passes = self.ensemble.passes
        # Passes of members whose weights are still being verified are skipped, not waited for.
        ready = (found for found in self._open_passes(state) if passes[found[0]].member in state.ready)
        index, image = next(ready, (None, ""))
        if index is None:
            return None
        # `free` does not yet know the results that are being written now; they are counted on top. Example:
        # 28 MB free, 90 % of it usable; a map of 18 MB fits, but not beside another of 8 MB.
        running = [(task.index, task.image) for task in state.running if isinstance(task, PassTask)]
        space = DiskSpace(self.ensemble, state.megapixels)
        reason = space.missing_now(index, image, free=resources.free, running=running)
        if reason is None:
            return PassTask(index, image, state.failures(PassTask(index, image)))
        if state.running:
            return None  # a running task may make room
        return LeaveOut(index, image, "disk", reason)

    def _next_rung(self, state: LadderState, resources: Resources) -> Decision:
        rung, images = len(state.rungs.started), state.live_images()
        # Rungs are nested: only the passes that the rung adds take time. With passes [0, 1] done and a rung
        # of [0, 1, 2, 3], the predicted time is that of passes 2 and 3 over all live images.
        before = state.live_passes(rung - 1)
        new = [index for index in state.live_passes(rung) if index not in before]
        megapixels = {image: state.megapixels[image] for image in images}
        seconds = state.costs.seconds(new, megapixels, resources.workers)
        # With 400 s left and a slowdown of 1.6, 240 s predicted (384 s) fit; 260 s (416 s) do not.
        if seconds * self.ensemble.slowdown > resources.seconds:
            return RefuseRung(rung, seconds=seconds)
        if (reason := self._missing(state, new, images, resources)) is not None:
            return RefuseRung(rung, reason=reason)
        return StartRung(rung)

    def _first_rung(self, state: LadderState, resources: Resources) -> Decision:
        """Decide how results are kept, then start the first rung, whatever time it takes."""
        # If the disk cannot hold results until a second rung needs them, that rung is refused before the
        # first one starts: then each result can go as soon as its row is written. Example: 25 MB free, images
        # of 18, 8 and 2 MB: with one rung 18 MB are in use at most, kept for a second rung it would be 28 MB.
        space, images = DiskSpace(self.ensemble, state.megapixels), state.live_images()
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
        return DiskSpace(self.ensemble, state.megapixels).missing(
            passes,
            images,
            free=resources.free,
            averaging=state.stored.averaging,
            workers=resources.workers,
        )
