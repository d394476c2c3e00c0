"""Follows what a run has in memory, for its report."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from submission.runtime.work.device import own_memory, total_memory
from submission.runtime.work.processes import WorkerProcess

_PAUSE = 0.25
"""Seconds between two looks; one takes hardly any time for each process."""
MOST = 200
"""Points that are kept."""


class MemoryLog:
    """Keeps the course of the memory of the supervisor and all workers together.

    Args:
        values: of the report. They get "memory", a list of [second, bytes of all processes together],
            "memory_peak", the most of these, "memory_peaks", process -> bytes that it had at most, and
            "memory_total".

    Attributes:
        points: stretch of time -> the moment in it with the most: second since the process started, bytes.
    """

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values
        self.points: dict[int, tuple[float, int]] = {}
        self._stretch, self._next = 1, 0.0
        values.update(memory_peak=0, memory_peaks={}, memory_total=total_memory())

    def look(self, second: float, workers: Iterable[WorkerProcess]) -> None:
        """Note what the processes have now, unless the last look was just before.

        Args:
            second: since the process started.
            workers: those that live.
        """
        if second < self._next:
            return
        self._next = second + _PAUSE
        peaks, size = self.values["memory_peaks"], 0
        pids = {"supervisor": os.getpid()} | {f"worker {item.number}": item.process.pid for item in workers}
        for name, pid in pids.items():
            size += (own := own_memory(pid))
            peaks[name] = max(own, peaks.get(name, 0))
        self.add(round(second, 1), size)
        self.values.update(memory=[*self.points.values()], memory_peak=max(size, self.values["memory_peak"]))

    def add(self, second: float, size: int) -> None:
        """Keep a sum, if it is the largest of its stretch of time.

        Args:
            second: since the process started.
            size: bytes of all processes.
        """
        # Stretches of 1 s: of 7.2 s 5 GB, 7.5 s 9 GB and 8.1 s 6 GB, the last two are kept. After 200 s there
        # would be too many points: stretches take 2 s from then on, and 7.5 s is one of stretch 3 (6 to 8 s).
        # A run of 9 hours ends with stretches of 256 s.
        stretch = int(second // self._stretch)
        if size > self.points.get(stretch, (0, -1))[1]:
            self.points[stretch] = (second, size)
        if len(self.points) > MOST:
            self._stretch *= 2
            before, self.points = self.points, {}
            for point in before.values():
                self.add(*point)
