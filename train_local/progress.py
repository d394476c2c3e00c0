"""How far a run is, and where its time went."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass
class Progress:
    """How far a run is; every checkpoint stores it.

    Attributes:
        step: optimiser steps taken.
        seconds: of training, summed over all starts.
        best: step, metric and averaged weights of the best evaluation so far.
    """

    step: int = 0
    seconds: float = 0.0
    best: dict[str, Any] | None = None

    def offer(self, step: int, metric: float, state: dict[str, Tensor]) -> bool:
        """Keep these weights if they are the best so far; of two equal ones the earlier stays."""
        if self.best is not None and metric <= self.best["metric"]:
            return False
        # Copied to the CPU: the network goes on training, and the GPU's memory is for the batch.
        self.best = {
            "step": step,
            "metric": metric,
            "state": {name: value.detach().cpu().clone() for name, value in state.items()},
        }
        return True


@dataclass
class Clock:
    """Seconds spent on each kind of work."""

    spent: dict[str, float] = field(default_factory=lambda: {"data": 0.0, "step": 0.0, "evaluation": 0.0})

    @contextmanager
    def count(self, what: str) -> Iterator[None]:
        """Add the time of the block to `what`."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.spent[what] += time.perf_counter() - began
