"""How busy the machine is while a run goes on: how many times as long everything takes as on a free one."""

from __future__ import annotations

import threading
import time
from typing import Self

_BURST, _REST = 0.05, 0.45
"""Seconds: of computing, and of sleep after it. On a free machine they take just as long."""


class Pace:
    """Measures beside a run, in a thread.

    Attributes:
        worst: the longest that a burst or a rest took, as a multiple of what it takes on a free machine. A
            core that three programs want gives about 3; a process that stood still for 10 s gives 20 or more.
    """

    def __init__(self) -> None:
        self.worst = 1.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._measure, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _measure(self) -> None:
        begin = time.monotonic()
        while not self._ended.is_set():
            used = time.thread_time()
            while time.thread_time() - used < _BURST:
                pass
            computed = time.monotonic()
            early = self._ended.wait(_REST)
            rested = time.monotonic()
            self.worst = max(self.worst, (computed - begin) / _BURST)
            if not early:
                self.worst = max(self.worst, (rested - computed) / _REST)
            begin = rested
