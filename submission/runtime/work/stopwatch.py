"""Measures the time inside a network's forward passes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


class Stopwatch:
    """Adds up the time inside a network's forward passes.

    Args:
        device: "cpu" or "cuda:0".
        on_first: called once, with the monotonic time of the first forward pass.
    """

    def __init__(self, device: str, on_first: Callable[[float], None]) -> None:
        self.device = device
        self._on_first: Callable[[float], None] | None = on_first
        self._seconds = 0.0
        self._events: list[tuple[Any, Any]] = []

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that does the same and is timed."""

        def timed(*args: Any, **more: Any) -> Any:
            import torch

            if self._on_first is not None:
                self._on_first(time.monotonic())
                self._on_first = None
            if self.device == "cpu":
                begin = time.perf_counter()
                try:
                    return function(*args, **more)
                finally:
                    self._seconds += time.perf_counter() - begin
            # A call on CUDA returns before the GPU has computed. Waiting for it here would leave the GPU idle
            # while the CPU makes the next batch; events are marks in the GPU's queue, read at the end.
            event: Any = torch.cuda.Event  # untyped in torch
            first, last = event(enable_timing=True), event(enable_timing=True)
            first.record()
            result = function(*args, **more)
            last.record()
            self._events.append((first, last))
            return result

        return timed

    def take(self) -> float:
        """Return the seconds in forward passes since the last call."""
        if self._events:
            self._events[-1][1].synchronize()
            self._seconds += sum(first.elapsed_time(last) for first, last in self._events) / 1000
        seconds, self._seconds, self._events = self._seconds, 0.0, []
        return seconds
