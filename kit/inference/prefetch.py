"""Two threads beside the one that computes: one reads ahead, one writes behind.

Queues of a fixed depth are between them, so that none runs far ahead. Each entry is a list of one item; an
empty list means the end, so that None can be an item, too.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")

# reader thread   | read 1 | read 2 | read 3 |
# this thread              | net 1  | net 2  | net 3  |
# writer thread                     | write 1| write 2| write 3|
_POLL = 0.1
"""Seconds after which a thread that waits for room checks whether its items are still wanted."""


def _offer(waiting: queue.Queue[T], entry: T, wanted: Callable[[], bool]) -> bool:
    """Wait for room and put the entry there; return False if it is no longer wanted."""
    while wanted():
        try:
            waiting.put(entry, timeout=_POLL)
        except queue.Full:
            continue
        return True
    return False


class Prefetch(Generic[T]):
    """Runs an iterator in a thread; enter it as a context manager, then iterate over it once.

    Leaving the context ends the thread in any case. If the iterator raises an exception, the consumer gets
    the items before it, then the exception.

    Args:
        items: the iterator to run in the thread.
        depth: most items that wait.
    """

    def __init__(self, items: Iterator[T], depth: int) -> None:
        self._items = items
        self._waiting: queue.Queue[list[T] | BaseException] = queue.Queue(depth)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, name="reader", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def __iter__(self) -> Iterator[T]:
        while True:
            received = self._waiting.get()
            if isinstance(received, BaseException):
                raise received
            if not received:
                return
            yield received[0]

    def _read(self) -> None:
        try:
            for item in self._items:
                if not self._put([item]):
                    return
            self._put([])
        except BaseException as error:  # noqa: BLE001  # raised again at the consumer
            self._put(error)

    def _put(self, entry: list[T] | BaseException) -> bool:
        return _offer(self._waiting, entry, lambda: not self._stop.is_set())


class WriteBehind(Generic[T]):
    """Calls a function with items in a thread, in their order; use it as a context manager.

    Leaving the context waits until all items are done; leaving it with an exception drops the items that
    wait. If the function raises an exception, the next `put` raises it, or leaving the context does.

    Args:
        consume: called in the thread with each item.
        depth: most items that wait.
    """

    def __init__(self, consume: Callable[[T], None], depth: int) -> None:
        self._consume = consume
        self._waiting: queue.Queue[list[T]] = queue.Queue(depth)
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="writer", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._stop.set()
        _offer(self._waiting, [], self._thread.is_alive)
        self._thread.join()
        if error is None and self._error is not None:
            raise self._error

    def put(self, item: T) -> None:
        """Add an item; wait for room if `depth` items wait already.

        Raises:
            BaseException: the exception that `consume` raised for an earlier item.
        """
        _offer(self._waiting, [item], self._thread.is_alive)
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        try:
            while (entry := self._waiting.get()) and not self._stop.is_set():
                self._consume(entry[0])
        except BaseException as error:  # noqa: BLE001  # raised again at the producer
            self._error = error
