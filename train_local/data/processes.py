"""The same function for many items, in this process or in several; the results do not depend on which."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from kit.errors import KitError
from kit.local.console import track
from kit.local.pool import Pool

Item = TypeVar("Item")
Result = TypeVar("Result")
_WORTH = 256 << 20
"""Bytes to read or write from which starting processes (a second each) is worth it."""


def number(jobs: int | None, size: int) -> int:
    """Return how many processes to use.

    Args:
        jobs: as asked for; None takes the processors, and one for little work.
        size: bytes to read or write.
    """
    if jobs is not None:
        return jobs
    return (os.cpu_count() or 1) if size >= _WORTH else 1


def each(
    function: Callable[[Item], Result], items: Sequence[Item], *, jobs: int, description: str
) -> list[Result]:
    """Return the function's results in the order of the items, and show a progress bar.

    Args:
        function: of a module; it and the items travel to other processes.
        items: what to do.
        jobs: processes; 1 uses none but this one.
        description: of the progress bar.

    Raises:
        KitError: of the first item that failed, or a process was killed.
    """
    if not items:
        return []
    if jobs == 1 or len(items) == 1:
        return list(track(map(function, items), total=len(items), description=description))
    pool = Pool(min(jobs, len(items)))
    try:
        futures = [pool.submit(function, item) for item in items]
        return list(track(_results(futures), total=len(items), description=description))
    except BrokenProcessPool as error:
        raise KitError(
            "a process that prepares images was killed",
            where="--jobs",
            fix="memory may have run out: run again with fewer --jobs; it goes on where it was",
        ) from error
    except KeyboardInterrupt:
        pool.end(at_once=True)
        raise
    finally:
        pool.end()


def _results(futures: Sequence[Future[Result]]) -> Iterator[Result]:
    for future in futures:
        yield future.result()
