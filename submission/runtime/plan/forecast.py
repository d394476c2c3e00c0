"""How long the rest of some rungs takes, as a distribution: a median and a spread."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from submission.runtime.plan.state import LadderState


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


class Rest:
    """What has still to be done of each pass, at one moment.

    Args:
        state: of the ladder.
        workers: that compute in parallel.
    """

    def __init__(self, state: LadderState, workers: int) -> None:
        self.state, self.workers = state, max(workers, 1)
        self._images = state.live_images()
        self._of_pass: dict[int, tuple[float, float]] = {}
        self._of_rung: dict[int, float] = {}

    def time(self, rungs: Sequence[int]) -> Forecast:
        """Return the time until the last of some rungs is done, if nothing else is."""
        state, costs = self.state, self.state.costs
        wanted = sorted({index for rung in rungs for index in state.live_passes(rung)})
        by_member: dict[int, float] = {}
        longest = 0.0
        for index in wanted:
            seconds, largest = self._rest_of(index)
            if seconds > 0:
                member = state.ensemble.passes[index].member
                by_member[member] = by_member.get(member, 0.0) + seconds
                longest = max(longest, largest)
        work = sum(by_member.values())
        # Each worker loads each member once; the passes and rows are shared among the workers.
        loads = sum(costs.load(member) for member in by_member)
        total = max((work + self._rows(rungs)) / self.workers, longest) + loads
        # Errors of members are independent of each other, the pace of the machine is common to all.
        own = math.hypot(*(part * costs.spread(member) for member, part in by_member.items()))
        return Forecast(total, math.hypot(own / work, costs.drift()) if work > 0 else 0.0)

    def _rest_of(self, index: int) -> tuple[float, float]:
        """Return the seconds of a pass over the images that still need it, and over the largest of them."""
        if index not in self._of_pass:
            state = self.state
            sizes = [state.megapixels[image] for image in self._images if self._is_open(index, image)]
            expected = state.costs.expected
            self._of_pass[index] = (
                (expected(index, len(sizes), sum(sizes)), expected(index, 1, max(sizes)))
                if sizes
                else (0.0, 0.0)
            )
        return self._of_pass[index]

    def _is_open(self, index: int, image: str) -> bool:
        """Whether an image has no result of a pass yet, and can still get a row that needs it."""
        # Pass 1 failed on the image, and rung [0, 1, 2] cannot have it: pass 2 is not done over it either.
        state = self.state
        if state.stored.was_done(index, image):
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
            rows, sizes, losses = self.state.rungs.rows, self.state.megapixels, self.state.losses
            self._of_rung[rung] = sum(
                sizes[image]
                for image in self._images
                if (rung, image) not in rows and not losses.blocks_for_good(rung, image)
            )
        return self._of_rung[rung]
