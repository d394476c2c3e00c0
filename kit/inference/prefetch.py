"""A thread that works ahead of its consumer, and ends with it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")

_PATIENCE = 0.1
"""Seconds after which a blocked reader looks whether anybody still wants its items."""


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
        while not self._stop.is_set():
            try:
                self._waiting.put(entry, timeout=_PATIENCE)
            except queue.Full:
                continue
            return True
        return False
