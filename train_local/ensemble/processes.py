"""Map a function over items in several processes, the results in the items' order."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

from kit.errors import KitError
from kit.local.pool import Pool

Item = TypeVar("Item")
Result = TypeVar("Result")

_ALONE_SECONDS = 2.0
"""So long this process works alone: starting others takes about a second, and small work is done by then."""


class Helpers:
    """Other processes, started when work takes seconds and ended together with this object.

    Args:
        processes: at most; None takes one for each CPU this process may use.
    """

    def __init__(self, processes: int | None = None) -> None:
        self._at_most = processes or len(os.sched_getaffinity(0))
        self._pool: Pool | None = None

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Yield `function(item)` for each item, in order.

        Args:
            function: of a module that other processes can import; the result depends on the item alone.
            items: small enough to be sent to another process.

        Raises:
            KitError: the system killed one of the processes, or the function raised it.
        """
        began, rest = time.monotonic(), iter(items)
        done = 0
        if self._pool is None:
            for item in rest:
                yield function(item)
                done += 1
                if time.monotonic() - began > _ALONE_SECONDS and self._at_most > 1:
                    break
        left = list(rest)
        if not left:
            return
        pool = self._pool = self._pool or self._started(len(left))
        # A few items ahead of the one that is waited for: results that nobody has taken yet are kept in
        # memory, and there may be hundreds.
        waiting = [pool.submit(function, item) for item in islice(left, 2 * self._at_most)]
        following = iter(left[len(waiting) :])
        try:
            while waiting:
                yield waiting.pop(0).result()
                waiting += [pool.submit(function, item) for item in islice(following, 1)]
        except BrokenProcessPool as error:
            raise KitError(
                "the system ended a process that works on the stored predictions, most likely for its memory",
                where=str(items[done]),
                fix="free memory, or run `ensemble` again with --processes 1",
            ) from error
        except KeyboardInterrupt:
            pool.end(at_once=True)
            raise
        finally:
            for future in waiting:
                future.cancel()

    def _started(self, items: int) -> Pool:
        pool = Pool(min(self._at_most, items))
        weakref.finalize(self, pool.end)
        return pool
