"""The policy in use: work towards the rung that promises the best score, and begin what may not be finished.

A rung that is not done when the time is up costs nothing: the file holds the rows of the rungs before it.
"""

from __future__ import annotations

from collections.abc import Iterator

from kit.ensemble import Ensemble
from kit.plan.bring_back import last_chance, seconds_of
from kit.plan.changes import (
    BringBack,
    Consequence,
    Decision,
    LeaveOut,
    RefuseRung,
    StartRung,
    UseRunningMeans,
)
from kit.plan.choice import LOOK_AGAIN, Choices, Route, best_route, first_rung, worthwhile
from kit.plan.disk_space import DiskSpace
from kit.plan.failure_costs import failure_cost
from kit.plan.forecast import Rest
from kit.plan.next_pass import Order
from kit.plan.policy import Resources
from kit.plan.set_aside import hard_pass, is_hard, pending
from kit.plan.state import LadderState
from kit.plan.tasks import TRIES, FuseTask, LadderTask, MeanTask, PassTask, Stage

_SURE = 0.95
"""A rung that is done in time with this probability is worked on pass by pass, any other image by image."""
_ROWS_IN_TIME = 3.0
"""Rows that wait for the helper have to be done in a third of the time left."""
_HOPELESS = 3.5
"""A rung of which only the whole counts is refused if even a course so many deviations faster is too late."""


class ByForecast:
    """Chooses a route over rungs, and chooses again while it learns how long passes take here.

    Args:
        ensemble: members, passes and rungs.

    Attributes:
        choices: every route that was chosen, with its forecast: the report sets them beside what came of it.
    """

    def __init__(self, ensemble: Ensemble) -> None:
        self.ensemble = ensemble
        self.choices = Choices()
        self._route: Route | None = None
        self._chosen_at = float("inf")
        self._order = Order()

    def decide(self, state: LadderState, resources: Resources) -> Decision | None:
        """Return the most urgent of: a row or mean, a pass of a started rung, another chance, a next rung."""
        if any(is_hard(state, task) for task in state.running):
            return None
        # Rows come first: they are short, they make the submission better at once, and they free the disk.
        kinds = resources.asking.kinds
        if state.combinable and (kinds != "passes" or _rows_are_urgent(state, resources)):
            return self._combination(state, resources)
        if kinds == "rows":
            return None
        if not state.rungs.started:
            return self._first_rung(state, resources)
        hard = hard_pass(state)
        if hard is not None:
            return self._start_pass(state, resources, *hard)
        self._choose(state, resources)
        decision = self._on_the_route(state, resources)
        # What was lost or came back may have closed the route: choose again at once rather than stand still.
        if decision is None and not state.running and not self._waits(state):
            self._route = None
            self._choose(state, resources)
            decision = self._on_the_route(state, resources)
        return decision

    def after_failure(self, state: LadderState, task: LadderTask, stage: Stage, reason: str) -> Consequence:
        """Return what a failure costs, by the rules of `plan.failure_costs`."""
        return failure_cost(state, task, stage, reason)

    def exhausted(self, state: LadderState) -> bool:
        """Whether nothing runs, nothing is left to start, and nothing gets another chance."""
        at_work = state.running or state.combinable or self._has_open_pass(state)
        chances = any(state.losses.stages[item] != "disk" for item in pending(state))
        return not at_work and not self._may_start(state) and not chances

    # The route

    def _choose(self, state: LadderState, resources: Resources) -> None:
        """Choose the route again if a rung of it is done, or some time has gone by."""
        route = self._route
        late = resources.seconds <= self._chosen_at * (1 - LOOK_AGAIN)
        if route is None or late or state.settled(route.rungs[0]):
            self._route = best_route(state, resources.seconds, resources.workers)
            self._chosen_at = resources.seconds
            if self._route is not None:
                self.choices.note(resources.seconds, self._route)

    def _on_the_route(self, state: LadderState, resources: Resources) -> Decision | None:
        for rung in self._in_work(state):
            # Image by image also where the disk is small: what an image has finished can go.
            sure = self._is_sure(resources) and not state.stored.averaging
            found = self._order.next(
                state, rung, sure=sure, workers=resources.workers, asking=resources.asking
            )
            if found is not None:
                return self._start_pass(state, resources, *found)
        if self._waits(state) and not _is_ready(state, self._next(state)):
            return None
        decision = self._next_rung_or_chance(state, resources)
        if decision is None and self._next(state) is None and (rest := self._open_pass(state)) is not None:
            return self._start_pass(state, resources, *rest)
        return decision

    def _waits(self, state: LadderState) -> bool:
        """Whether a rung in work waits for members whose weights are still being verified."""
        return any(
            state.to_do.any(index) for rung in self._in_work(state) for index in state.live_passes(rung)
        )

    def _in_work(self, state: LadderState) -> Iterator[int]:
        """Yield the started rungs of the route, in its order."""
        if self._route is not None:
            yield from (rung for rung in self._route.rungs if rung in state.rungs.started)

    def _next(self, state: LadderState) -> int | None:
        """Return the first rung of the route that was not started."""
        rungs = () if self._route is None else self._route.rungs
        return next((rung for rung in rungs if rung not in state.rungs.started), None)

    def _is_sure(self, resources: Resources) -> bool:
        route = self._route
        return route is not None and route.times[0].chance(resources.seconds) >= _SURE

    def _may_start(self, state: LadderState) -> bool:
        """Whether a further rung may start that adds a pass to those before it."""
        more = any(rung not in state.rungs.started for rung in worthwhile(state))
        return state.rungs.may_start and more and bool(state.live_images())

    def _open_pass(self, state: LadderState) -> tuple[int, str] | None:
        """Return a pass of any started rung that can start now, such as one of a rung that was left."""
        passes = self.ensemble.passes
        for index in sorted({index for rung in state.rungs.started for index in state.live_passes(rung)}):
            if state.to_do.any(index) and passes[index].member in state.ready:
                return index, next(state.images_to_do(index))
        return None

    def _has_open_pass(self, state: LadderState) -> bool:
        started = state.rungs.started
        return any(state.to_do.any(index) for rung in started for index in state.live_passes(rung))

    # Tasks

    def _combination(self, state: LadderState, resources: Resources) -> Decision | None:
        """Return a row or a mean that can be made now; None if it has to wait for a running task."""
        task = next((task for task in state.combinable if not is_hard(state, task)), state.combinable[0])
        if state.running and is_hard(state, task):
            return None
        if not isinstance(task, MeanTask) or not state.running:
            return task
        reason = DiskSpace(self.ensemble, state.megapixels).missing_now(
            task.index, task.image, free=resources.free, running=_writing(state)
        )
        return task if reason is None else None

    def _start_pass(
        self, state: LadderState, resources: Resources, index: int, image: str
    ) -> Decision | None:
        task = PassTask(index, image, state.failures(PassTask(index, image)))
        if is_hard(state, task):
            if state.running:
                return None
            task = PassTask(index, image, max(task.attempt, TRIES))
        reason = _missing_now(state, index, image, resources)
        if reason is None:
            return task
        if state.running or state.stored.obsolete:
            return None  # a running task may make room, and what is obsolete is deleted next
        # Maps of passes 0 and 1 are kept for rung 2, and the disk has no room for those of another image:
        # without rung 2 they can go, and the image gets its row of rung 1.
        if state.rungs.may_start and _keeps_for_later(state):
            later = [*worthwhile(state), *range(len(self.ensemble.rungs))]
            return RefuseRung(next(rung for rung in later if rung not in state.rungs.started), reason=reason)
        return LeaveOut(index, image, "disk", reason)

    # Rungs and chances

    def _next_rung_or_chance(self, state: LadderState, resources: Resources) -> Decision | None:
        """Start the next rung; before it and at the end, give what was set aside a chance."""
        if not self._may_start(state):
            return last_chance(state, resources)
        rung, route = self._next(state), self._route
        if rung is None or route is None:
            return None  # the rungs of the route are all started, and wait for what runs
        time = route.times[route.rungs.index(rung)]
        whole = not self.ensemble.rows_may_mix and bool(state.rungs.rows)
        if whole and time.at(-_HOPELESS) > resources.seconds:
            return RefuseRung(rung, seconds=time.median)
        done = {index for other in state.rungs.started for index in state.live_passes(other)}
        new = [index for index in state.live_passes(rung) if index not in done]
        images = state.rungs.going_on(rung, state.live_images())
        if (reason := _missing(state, new, images, resources)) is not None:
            return RefuseRung(rung, reason=reason)
        # With 400 s left and 200 s predicted (320 s), a member that takes 40 s more (384 s) comes back first;
        # one that takes 60 s more (416 s) has to wait until the rung is done.
        for item in pending(state):
            more = seconds_of(item, state, rung, resources)
            fits = (time.median + more) * self.ensemble.slowdown <= resources.seconds
            if fits and not state.chances.given[item] and state.losses.stages[item] != "disk":
                return None if state.running else BringBack(item, resources.seconds)
        return StartRung(rung, time.median, time.chance(resources.seconds))

    def _first_rung(self, state: LadderState, resources: Resources) -> Decision:
        """Decide how results are kept, then start the first rung, whatever time it takes."""
        # If the disk cannot hold results until a second rung needs them, that rung is refused before the
        # first one starts: then each result can go as soon as its row is written. Example: 25 MB free, images
        # of 18, 8 and 2 MB: with one rung 18 MB are in use at most, kept for a second rung it would be 28 MB.
        space, images = DiskSpace(self.ensemble, state.megapixels), state.live_images()
        if not state.stored.averaging and space.needs_running_means(images, resources.free):
            return UseRunningMeans()
        open_rungs = worthwhile(state) or [0]
        first = first_rung(open_rungs, Rest(state, resources.workers))
        second = next((rung for rung in open_rungs if rung > first), None)
        if second is not None and not state.rungs.refused:
            passes = sorted({*state.live_passes(first), *state.live_passes(second)})
            if (reason := _missing(state, passes, images, resources)) is not None:
                return RefuseRung(second, reason=reason)
        return StartRung(first)


def _missing(state: LadderState, passes: list[int], images: list[str], resources: Resources) -> str | None:
    """Return why the disk has no room for some passes over some images; None if it has."""
    return DiskSpace(state.ensemble, state.megapixels).missing(
        passes,
        images,
        free=resources.free,
        averaging=state.stored.averaging,
        workers=resources.workers,
    )


def _missing_now(state: LadderState, index: int, image: str, resources: Resources) -> str | None:
    """Return why the disk has no room for the result of one pass over one image; None if it has."""
    # `free` does not yet know the results that are being written now; they are counted on top. Example:
    # 28 MB free, 90 % of it usable; a map of 18 MB fits, but not beside another of 8 MB.
    running = _writing(state)
    if state.stored.averaging:
        # A second map of an image is followed by a mean, as large as itself, while both are still there.
        images = [image, *(other for _, other in running)]
        running += [
            (index, other) for other in set(images) if state.stored.holds(other) or images.count(other) > 1
        ]
    return DiskSpace(state.ensemble, state.megapixels).missing_now(
        index, image, free=resources.free, running=running
    )


def _writing(state: LadderState) -> list[tuple[int, str]]:
    """Return the passes and images of maps that are being written; a mean is as large as a map."""
    return [(task.index, task.image) for task in state.running if not isinstance(task, FuseTask)]


def _keeps_for_later(state: LadderState) -> bool:
    """Whether results lie on the disk that only rungs need that are not started."""
    return any(
        state.stored.holds(image).difference(state.rungs.wanted_passes(image))
        for image in state.live_images()
    )


def _rows_are_urgent(state: LadderState, resources: Resources) -> bool:
    """Whether rows that wait for the helper might not be made in time by it alone."""
    # The helper makes a row of 20 s, two more wait: with less than 3 x 40 s left, GPUs make them.
    sizes = (state.megapixels[task.image] for task in state.combinable)
    return _ROWS_IN_TIME * state.costs.row_seconds(sum(sizes)) > resources.seconds


def _is_ready(state: LadderState, rung: int | None) -> bool:
    """Whether a rung has a pass of its own whose member is ready, beside those of the started rungs."""
    # Rung 1 waits for the weights of member 1; rung 2 adds another view of member 0: that can begin.
    if rung is None:
        return False
    new = set(state.live_passes(rung)).difference(*map(state.live_passes, state.rungs.started))
    return any(state.ensemble.passes[index].member in state.ready for index in new)
