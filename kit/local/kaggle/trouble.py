"""Tells a person that Kaggle does not answer, while calls are repeated for many minutes.

The first failure is told at once, then one line every half minute, whichever of several wires fails.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

from kit.errors import KitError

EVERY_S = 30.0
"""Seconds between two lines."""


class Trouble:
    """Says on stderr what fails, what is repeated, when, and until when; one for the whole process.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._next = float("-inf")

    def tell(self, error: KitError, *, pause: float, left: float) -> str:
        """Say that a call failed, unless one was told in the last half minute; return a line of a log.

        Args:
            error: what is wrong, without secrets; its `where` is the call that is repeated.
            pause: seconds until then.
            left: seconds after which nothing is repeated any more.
        """
        line = f"{error.problem}; again in {pause:.0f} s"
        with self._lock:
            if self._clock() < self._next:
                return line
            self._next = self._clock() + EVERY_S
        until = time.strftime("%H:%M:%S", time.localtime(time.time() + left))
        told = f"{error.problem}; {error.where or 'the call'} is tried again in {pause:.0f} s"
        print(f"{told}, and until {until} (Ctrl-C ends it)", file=sys.stderr, flush=True)
        return line


TROUBLE = Trouble()
"""Shared by all wires: datasets that are sent side by side fail side by side."""
