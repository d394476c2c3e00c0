"""What passes cost on this machine, and whether another rung still fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kit.ensemble import Ensemble

SHORT_RUN_RESERVE = 0.15
"""Part of the budget that the reserve takes at most, so that a rehearsal of a minute still predicts
something."""


def reserve_seconds(budget: float, declared: float) -> float:
    """Return the seconds kept free at the end for writing the file and ending the workers."""
    # Declared 60 s: 60 s of a budget of 3600 s, but only 15 s of a budget of 100 s.
    return min(declared, SHORT_RUN_RESERVE * budget)


@dataclass
class Costs:
    """Seconds per megapixel of every pass: the ensemble's values until this machine has its own.

    Args:
        ensemble: its passes carry the seconds measured where the ensemble was made.
    """

    ensemble: Ensemble
    _seconds: dict[int, float] = field(default_factory=dict)
    _megapixels: dict[int, float] = field(default_factory=dict)

    def observe(self, index: int, megapixels: float, seconds: float) -> None:
        """Add one finished task of a pass to what was measured."""
        self._seconds[index] = self._seconds.get(index, 0.0) + seconds
        self._megapixels[index] = self._megapixels.get(index, 0.0) + megapixels

    def measured(self, index: int) -> float | None:
        """Return the seconds per megapixel of a pass in this run, None before its first task ended."""
        return self._seconds[index] / self._megapixels[index] if self._megapixels.get(index) else None

    def per_megapixel(self, index: int) -> float:
        """Return the best guess for a pass: measured, else from other views, else from the ensemble."""
        own = self.measured(index)
        if own is not None:
            return own
        passes = self.ensemble.passes
        member = passes[index].member
        siblings = [
            value
            for other, item in enumerate(passes)
            if item.member == member and (value := self.measured(other)) is not None
        ]
        # Passes took 2 s here where the ensemble says 1 s: a pass of 4 s is expected to take 8 s.
        if siblings:
            return sum(siblings) / len(siblings)
        return passes[index].seconds_per_megapixel * self.speed()

    def speed(self) -> float:
        """Return how many times longer passes take here than the ensemble says; 1 if nothing was measured."""
        # Sums over all passes, not a mean of ratios: a pass measured on one small image counts little.
        expected = sum(
            self.ensemble.passes[index].seconds_per_megapixel * megapixels
            for index, megapixels in self._megapixels.items()
        )
        return sum(self._seconds.values()) / expected if expected > 0 else 1.0

    def seconds(self, passes: Sequence[int], megapixels: Mapping[str, float], workers: int) -> float:
        """Return the least wall time of passes over images on parallel workers, one image per task."""
        if not megapixels or not passes:
            return 0.0
        # The work divided by the workers, but not less than the longest task. One pass of 2 s per megapixel
        # over images of 9 and 1 megapixels is 20 s of work; it takes 18 s, on 2 workers as on 8.
        rates = [self.per_megapixel(index) for index in passes]
        return max(
            sum(rates) * sum(megapixels.values()) / max(workers, 1),
            max(rates) * max(megapixels.values()),
        )
