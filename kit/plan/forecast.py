"""How long the rest of some rungs takes, as a distribution: a median and a spread."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kit.ensemble import Rung
from kit.plan.costs import loading_seconds
from kit.plan.state import LadderState

_HELD_OUT = 10
"""Images whose rows tell as much as the ensemble does of how many images stop at a rung."""
_STOPS_GUESSED = 0.25
"""Spread of the time of passes over images that may stop before."""


@dataclass(frozen=True)
class Forecast:
    """A log-normal time.

    Attributes:
        median: seconds.
        spread: standard deviation of the logarithm.
    """

    median: float
    spread: float

    def chance(self, seconds: float) -> float:
        """Return the probability that it takes no longer than this."""
        if self.median <= 0:
            return 1.0
        if seconds <= 0:
            return 0.0
        return 0.5 * math.erfc(-math.log(seconds / self.median) / (max(self.spread, 1e-6) * math.sqrt(2)))

    def at(self, deviations: float) -> float:
        """Return the seconds so many standard deviations above the median."""
        return self.median * math.exp(deviations * self.spread)


class _Group(NamedTuple):
    """Images of the same standing, all their megapixels, and those of the largest."""

    images: Sequence[str]
    megapixels: float
    largest: float


class Rest:
    """What has still to be done of each pass, at one moment.

    An image that has still to come to a rung where images stop, or windows are skipped, counts with the part
    of its work that is likely to be left.

    Args:
        state: of the ladder.
        workers: that compute in parallel.
    """

    def __init__(self, state: LadderState, workers: int) -> None:
        self.state, self.workers = state, max(workers, 1)
        sizes = state.megapixels
        self._groups = [
            _Group([*group], sum(of_each), max(of_each))
            for group in state.groups
            if (of_each := [sizes[image] for image in group])
        ]
        self._of_pass: dict[tuple[int, int, tuple[int, ...]], tuple[float, float, float]] = {}
        self._of_rung: dict[int, float] = {}
        self._works: dict[tuple[int, str], _Group] = {}
        self._needs: dict[tuple[int, ...], Mapping[str, float]] = {}

    def time(self, rungs: Sequence[int]) -> Forecast:
        """Return the time until the last of some rungs is done, if nothing else is."""
        state, costs = self.state, self.state.costs
        wanted: dict[int, int] = {}  # pass -> the first of the rungs that has it
        for rung in rungs:
            for index in state.live_passes(rung):
                wanted.setdefault(index, rung)
        by_member: dict[int, float] = {}
        loads: dict[int, dict[int, float]] = {}  # rung -> member -> seconds
        longest = guessed = 0.0
        for index, rung in sorted(wanted.items()):
            stops = (other for other in rungs if other < rung and _saves(state.ensemble.rungs[other]))
            seconds, largest, unsure = self._rest_of(index, rung, tuple(stops))
            if seconds > 0:
                member = state.ensemble.passes[index].member
                by_member[member] = by_member.get(member, 0.0) + seconds
                loads.setdefault(rung, {})[member] = load = costs.load(member)
                longest, guessed = max(longest, load + largest), guessed + unsure
        work = sum(by_member.values())
        # The workers share passes, rows and loading, and each rung is done before the next: what it needs
        # is loaded for it, also a member that was loaded before. No worker is done before the longest task.
        # Two members of 14 s each that load in 4 s, two workers: in one rung they take (14 + 14) / 2 + 4 / 2
        # + 4 = 20 s; where the second comes in a second rung, both workers load both: 14 + 4 + 4 = 22 s.
        shared = (work + self._rows(rungs)) / self.workers
        loading = sum(loading_seconds([*of_rung.values()], self.workers) for of_rung in loads.values())
        total = max(shared + loading, longest)
        # Errors of members are independent of each other, the pace of the machine is common to all.
        members = (seconds * costs.spread(member) for member, seconds in by_member.items())
        own = math.hypot(*members, _STOPS_GUESSED * guessed)
        return Forecast(total, math.hypot(own / work, costs.drift()) if work > 0 else 0.0)

    def _rest_of(self, index: int, rung: int, stops: tuple[int, ...]) -> tuple[float, float, float]:
        """Return the seconds of a pass: all that is left, its longest task, and what early stopping may save.

        Args:
            index: of the pass.
            rung: the first one that needs it.
            stops: rungs before, where images may stop or windows be skipped.
        """
        key = (index, rung, stops)
        if key not in self._of_pass:
            needs = self._needs_after(stops)
            groups = [group for group in self._groups if self._is_open(index, rung, group.images[0])]
            parts = [(needs.get(group.images[0], 1.0), self._work(index, group)) for group in groups]
            unsure = [part for part in parts if part[0] < 1]
            largest = max((group.largest for _, group in parts), default=0.0)
            longest = self.state.costs.expected(index, 1, largest) if parts else 0.0
            self._of_pass[key] = self._seconds(index, parts), longest, self._seconds(index, unsure)
        return self._of_pass[key]

    def _work(self, index: int, group: _Group) -> _Group:
        """Return a group with the megapixels that a pass has to look at."""
        state = self.state
        if not any(image in state.rungs.left for image in group.images):
            return group
        key = state.ensemble.passes[index].member, group.images[0]
        if key not in self._works:
            sizes = [state.work(index, image) for image in group.images]
            self._works[key] = _Group(group.images, sum(sizes), max(sizes))
        return self._works[key]

    def _seconds(self, index: int, parts: Sequence[tuple[float, _Group]]) -> float:
        """Return the seconds of a pass over groups of images, of each of which a part is needed."""
        images = sum(need * len(group.images) for need, group in parts)
        megapixels = sum(need * group.megapixels for need, group in parts)
        return self.state.costs.expected(index, images, megapixels)

    def _needs_after(self, stops: tuple[int, ...]) -> Mapping[str, float]:
        """Return the part of its work that is left after some rungs, for one image of each group."""
        if stops not in self._needs:
            rungs, losses = self.state.rungs, self.state.losses
            going = {rung: (1 - self._share(rung)) * (1 - self._skipped(rung)) for rung in stops}
            self._needs[stops] = {
                group.images[0]: math.prod(
                    share
                    for rung, share in going.items()
                    if (rung, group.images[0]) not in rungs.rows and not losses.blocks(rung, group.images[0])
                )
                for group in (self._groups if stops else ())
            }
        return self._needs[stops]

    def _share(self, rung: int) -> float:
        """Return the share of images that stop at a rung: what the ensemble says, and what was seen here."""
        # 40 % of the held-out images stopped; here 5 of 30 did: (10 x 0.4 + 5) / (10 + 30) = 23 %.
        rungs, stop = self.state.rungs, self.state.ensemble.rungs[rung].stop
        if stop is None or not self._is_whole(rung):
            return 0.0  # without one of its members nobody stops at it
        seen = Counter(other for other, _ in rungs.rows)[rung]
        stopped = Counter(rungs.stopped.values())[rung]
        return (_HELD_OUT * stop.share + stopped) / (_HELD_OUT + seen)

    def _skipped(self, rung: int) -> float:
        """Return the share of later windows that are skipped after a rung: as said, and as seen here."""
        rungs, skip = self.state.rungs, self.state.ensemble.rungs[rung].skip
        if skip is None or not self._is_whole(rung):
            return 0.0
        seen = [
            1 - sum(left) / len(left)
            for image, (other, left) in rungs.left.items()
            if other == rung and image not in rungs.stopped
        ]
        return (_HELD_OUT * skip.share + sum(seen)) / (_HELD_OUT + len(seen))

    def _is_whole(self, rung: int) -> bool:
        return len(self.state.live_passes(rung)) == len(self.state.ensemble.rungs[rung].passes)

    def _is_open(self, index: int, rung: int, image: str) -> bool:
        """Whether an image has no result of a pass yet, and can still get a row that needs it."""
        # Pass 1 failed on the image, and rung [0, 1, 2] cannot have it: pass 2 is not done over it either.
        state = self.state
        if state.stored.was_done(index, image) or not state.rungs.goes_on(rung, image):
            return False
        return not state.losses.left_out.get(image) or any(
            index in state.live_passes(rung) and not state.losses.blocks_for_good(rung, image)
            for rung in range(len(state.ensemble.rungs))
        )

    def _rows(self, rungs: Sequence[int]) -> float:
        return self.state.costs.row_seconds(sum(self._lacking(rung) for rung in rungs))

    def _lacking(self, rung: int) -> float:
        """Return the megapixels of the images that can still get a row of a rung."""
        if rung not in self._of_rung:
            rungs, losses = self.state.rungs, self.state.losses
            self._of_rung[rung] = sum(
                group.megapixels
                for group in self._groups
                if rungs.goes_on(rung, group.images[0])
                and (rung, group.images[0]) not in rungs.rows
                and not losses.blocks_for_good(rung, group.images[0])
            )
        return self._of_rung[rung]


def _saves(rung: Rung) -> bool:
    return rung.stop is not None or rung.skip is not None


def skipped_seconds(state: LadderState, workers: int) -> float:
    """Return the seconds that the passes would have taken longer if no window had been skipped."""
    costs, total = state.costs, 0.0
    for image, (rung, _) in state.rungs.left.items():
        for index in set(range(len(state.ensemble.passes))).difference(state.live_passes(rung)):
            if state.stored.was_done(index, image):
                size = state.megapixels[image]
                total += costs.expected(index, 1, size) - costs.expected(index, 1, state.work(index, image))
    return total / max(workers, 1)


def saved_seconds(state: LadderState, workers: int) -> float:
    """Return the seconds that the started rungs would take longer if no image had stopped early."""
    costs, total = state.costs, 0.0
    for image, enough in state.rungs.stopped.items():
        later = (state.live_passes(rung) for rung in state.rungs.started if rung > enough)
        for index in set().union(*later):
            if not state.stored.was_done(index, image):
                total += costs.expected(index, 1, state.megapixels[image])
    return total / max(workers, 1)
