"""The learning rate by step."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from kit.errors import KitError
from kit.typed_json import Checked, Fraction, above, at_least

Count = Annotated[int, at_least(1)]
Rate = Annotated[float, at_least(0)]


@dataclass(frozen=True, kw_only=True)
class Warmup(Checked):
    """The rise of the learning rate in the first steps.

    Attributes:
        kind: shape of the rise.
        steps: optimiser steps it takes; if 0, `share` gives its length.
        share: its length as a part of the whole run.
        start_factor: learning rate of the first step over the policy's.
        multiplies_policy: the policy runs from step 0 and the rise is a factor on it (mmcv does that); False
            lets the policy begin where the rise ends.
    """

    kind: Literal["linear", "cosine"] = "linear"
    steps: Annotated[int, at_least(0)] = 0
    share: Fraction = 0.0
    start_factor: Rate = 0.001
    multiplies_policy: bool = False


@dataclass(frozen=True, kw_only=True)
class Schedule(Checked):
    """The learning rate by step, as a factor on the optimiser's peak rate.

    With 100 steps, a cosine to 2 % of the peak and a linear warm-up of 20 steps from 0.1, the factor is

        step                        0     10    20    60    100
        policy after the warm-up    0.10  0.55  1.00  0.51  0.02
        warm-up times the policy    0.10  0.54  0.91  0.36  0.02

    Attributes:
        policy: "cosine" falls along half a cosine; "poly" falls as (1 - part done) ** power; "restarts" falls
            along a cosine again and again, every `period` epochs; "two-cosines" rises along one half cosine
            (its warm-up) and falls along another; "constant" stays.
        unit: how often the rate changes: every iteration, or at the start of an epoch.
        min_lr: learning rate that the policy ends at; absolute, not a factor.
        power: of "poly".
        period: epochs between restarts.
        warmup: None starts at the peak.
    """

    policy: Literal["cosine", "poly", "restarts", "two-cosines", "constant"] = "cosine"
    unit: Literal["iteration", "epoch"] = "iteration"
    min_lr: Rate = 0.0
    power: Annotated[float, above(0)] = 1.0
    period: Count | None = None
    warmup: Warmup | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.policy == "restarts") != (self.period is not None):
            raise KitError(
                f"a schedule with policy {self.policy!r} has period {self.period}",
                fix='give a period, in epochs, to "restarts" and to no other policy',
            )
        rises_first = self.warmup is not None and not self.warmup.multiplies_policy
        if self.policy == "two-cosines" and not rises_first:
            raise KitError(
                'a schedule of "two-cosines" needs the first of them as its warm-up',
                fix='give warmup=Warmup(kind="cosine", share=...)',
            )

    def shortened(self, share: float) -> Schedule:
        """Return the schedule of a run that has a part of its steps: warm-up and periods shrink alike.

        A warm-up of 1500 of 45,000 steps and 1000 steps in all (a share of 1/45) make one of 33 steps;
        unchanged it would never end.

        Args:
            share: of the steps, 0..1.
        """
        warmup = self.warmup and replace(self.warmup, steps=round(self.warmup.steps * share))
        period = self.period and max(round(self.period * share), 1)
        return replace(self, warmup=warmup, period=period)

    def factor(self, step: int, total: int, *, lr: float, epoch_steps: int = 1) -> float:
        """Return what the peak learning rate is multiplied by.

        Args:
            step: optimiser steps already taken, from 0.
            total: optimiser steps of the whole run.
            lr: the peak learning rate, which `min_lr` is compared with.
            epoch_steps: optimiser steps of an epoch.
        """
        # In units of epochs, steps 0 to 55 of 56-step epochs are all at position 0, steps 56 to 111 at 1.
        unit = epoch_steps if self.unit == "epoch" else 1
        at, end = (step // unit, total / unit) if step < total else (total / unit, total / unit)
        if self.warmup is None:
            return self._policy(at, end, lr, epoch_steps // unit)
        # The last step is never part of the warm-up, so that a very short run has a peak too.
        length = self.warmup.steps / unit or self.warmup.share * end
        length = min(length if self.unit == "epoch" else round(length), max(end - 1, 0))
        if self.warmup.multiplies_policy:
            return self._rise(at, length) * self._policy(at, end, lr, epoch_steps // unit)
        if at < length:
            return self._rise(at, length)
        return self._policy(at - length, end - length, lr, epoch_steps // unit)

    def _rise(self, at: float, length: float) -> float:
        """The warm-up's factor at a position; 1 behind it."""
        assert self.warmup is not None
        if at >= length:
            return 1.0
        rise = at / length
        if self.warmup.kind == "cosine":
            rise = (1 - math.cos(math.pi * rise)) / 2
        return self.warmup.start_factor + (1 - self.warmup.start_factor) * rise

    def _policy(self, at: float, end: float, lr: float, epoch: int) -> float:
        """The policy's factor at a position of `end`; `epoch` is the length of an epoch."""
        low = self.min_lr / lr
        if self.period is not None:
            # Epoch 35 with a period of 30 is the sixth epoch after a restart: 5 / 30 of the way down.
            at, end = at % (self.period * epoch), self.period * epoch
        done = min(at / max(end, 1), 1.0)
        if self.policy == "constant":
            return 1.0
        if self.policy == "poly":
            return low + (1 - low) * math.pow(1 - done, self.power)
        return low + (1 - low) * (1 + math.cos(math.pi * done)) / 2
