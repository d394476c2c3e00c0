"""Threads beside the one that computes: one works ahead of it, one behind it; both end with it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")

_PATIENCE = 0.1
"""Seconds after which a thread that waits for room looks whether anybody still takes its items."""


def _offer(waiting: queue.Queue[T], entry: T, wanted: Callable[[], bool]) -> bool:
    """Wait for room and put the entry there; False once it is no longer wanted."""
    while wanted():
        try:
            waiting.put(entry, timeout=_PATIENCE)
        except queue.Full:
            continue
        return True
    return False


class Prefetch(Generic[T]):
    """Runs an iterator in a thread; use as a context manager, iterate inside it, once.

    Leaving the context ends the thread, whatever happened. An exception of the iterator is raised at the
    consumer, in its place in the order.

    Args:
        items: run in the thread.
        depth: at most this many items wait.
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
        except BaseException as error:  # noqa: BLE001  # handed over to the consumer, not swallowed
            self._put(error)

    def _put(self, entry: list[T] | BaseException) -> bool:
        return _offer(self._waiting, entry, lambda: not self._stop.is_set())


class WriteBehind(Generic[T]):
    """Does something with items, one after another, in a thread; use as a context manager.

    Leaving the context waits until all is done; leaving it with an exception drops what waits. An exception
    of the thread is raised by the next `put`, or on leaving.

    Args:
        consume: called in the thread with each item, in order.
        depth: at most this many items wait.
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
        """Hand over an item; waits while too many wait already.

        Raises:
            BaseException: whatever `consume` raised for an earlier item.
        """
        _offer(self._waiting, [item], self._thread.is_alive)
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        try:
            while (entry := self._waiting.get()) and not self._stop.is_set():
                self._consume(entry[0])
        except BaseException as error:  # noqa: BLE001  # handed over to the producer, not swallowed
            self._error = error
