"""Work shared among threads, for decoders that release the interpreter's lock."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_MOST = 8
"""Threads beyond would wait for memory, and each holds decoded pixels."""


def processors() -> int:
    """How many threads are worth starting here."""
    return min(_MOST, len(os.sched_getaffinity(0)))


def for_each(work: Callable[[T], None], items: Iterable[T], threads: int) -> None:
    """Call `work` on every item, in this thread and others; return when all calls have.

    The threads live no longer than the call, so that nothing is left over when a process forks.

    Args:
        work: releases the interpreter's lock most of the time.
        items: taken in their order.
        threads: at most so many, this one included.

    Raises:
        Exception: the first that a call raised; items not begun by then are left out.
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
