"""Share work among threads, for decoders that release the interpreter's lock."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_MOST = 8
"""Most threads: more would wait for memory, and each one holds decoded pixels."""


def processors() -> int:
    """Return how many threads are worth starting on this machine."""
    return min(_MOST, len(os.sched_getaffinity(0)))


def for_each(work: Callable[[T], None], items: Iterable[T], threads: int) -> None:
    """Call `work` with every item, in this thread and others; return when all calls have returned.

    The other threads end with this call, so that no thread is left when the process forks.

    Args:
        work: a function that releases the interpreter's lock most of the time.
        items: taken in their order.
        threads: most threads, this one included.

    Raises:
        Exception: the first exception of a call; items that no thread has begun by then are left out.
    """
    waiting = deque(items)
    helpers = min(threads, len(waiting)) - 1

    def drain() -> None:
        try:
            while True:
                try:
                    item = waiting.popleft()
                except IndexError:
                    return
                work(item)
        except BaseException:
            waiting.clear()
            raise

    if helpers < 1:
        drain()
        return
    with ThreadPoolExecutor(helpers, "slide") as pool:
        futures = [pool.submit(drain) for _ in range(helpers)]
        drain()
    for future in futures:
        future.result()
