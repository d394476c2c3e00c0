"""What passes cost on this machine, and whether another rung still fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kit.ensemble import Ensemble

SHORT_RUN_RESERVE = 0.15
"""Of the budget: the reserve never takes more, so that a rehearsal of a minute still predicts something."""


def reserve_seconds(budget: float, declared: float) -> float:
    """Seconds kept free at the end for writing the file and ending the workers."""
    return min(declared, SHORT_RUN_RESERVE * budget)


@dataclass
class Costs:
    """Seconds per megapixel of every pass: the ensemble's figures until this machine has its own.

    Attributes:
        ensemble: with prior costs, measured where the ensemble was made.
    """

    ensemble: Ensemble
    _seconds: dict[int, float] = field(default_factory=dict)
    _megapixels: dict[int, float] = field(default_factory=dict)

    def observe(self, index: int, megapixels: float, seconds: float) -> None:
        """Learn from one finished task of a pass."""
        self._seconds[index] = self._seconds.get(index, 0.0) + seconds
        self._megapixels[index] = self._megapixels.get(index, 0.0) + megapixels

    def measured(self, index: int) -> float | None:
        """Seconds per megapixel of a pass as seen in this run, None before its first task ended."""
        return self._seconds[index] / self._megapixels[index] if self._megapixels.get(index) else None

    def per_megapixel(self, index: int) -> float:
        """Best guess for a pass: measured, else its member's other views, else the prior scaled to here."""
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
        if siblings:
            return sum(siblings) / len(siblings)
        return passes[index].seconds_per_megapixel * self.speed()

    def speed(self) -> float:
        """How many times longer than the ensemble says passes take here; 1 before anything was measured."""
        expected = sum(
            self.ensemble.passes[index].seconds_per_megapixel * megapixels
            for index, megapixels in self._megapixels.items()
        )
        return sum(self._seconds.values()) / expected if expected > 0 else 1.0

    def seconds(self, passes: Sequence[int], megapixels: Mapping[str, float], workers: int) -> float:
        """Wall time of passes over images on parallel workers, each image on one worker.

        No schedule is shorter than the work divided by the workers, nor than the longest task.
        """
        if not megapixels or not passes:
            return 0.0
        rates = [self.per_megapixel(index) for index in passes]
        return max(
            sum(rates) * sum(megapixels.values()) / max(workers, 1),
            max(rates) * max(megapixels.values()),
        )
