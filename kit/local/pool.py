"""Helper processes that Ctrl-C ends silently.

A terminal sends Ctrl-C to all processes of a command. Each helper would print a traceback, and the command
would wait for what they are doing, perhaps for minutes. So helpers never see Ctrl-C: the command
ends them.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any, TypeVar

Result = TypeVar("Result")


@contextmanager
def unseen_by_children() -> Iterator[None]:
    """Let processes that are started in the block never see Ctrl-C; this one sees it after the block."""
    # A child inherits the signals that are blocked in the thread that starts it. Before the first helper
    # multiprocessing starts a process of its own and unblocks SIGINT then, so that one is started here.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Pool:
    """Some processes for the functions of modules.

    Args:
        processes: how many.
    """

    def __init__(self, processes: int) -> None:
        # "spawn": a forked copy of a process with threads of libraries copies their locks and can hang.
        self._pool = ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"))

    def submit(self, function: Callable[..., Result], *arguments: Any) -> Future[Result]:
        """Let one of the processes call a function; the arguments and the result travel."""
        with unseen_by_children():
            return self._pool.submit(function, *arguments)

    def end(self, *, at_once: bool = False) -> None:
        """End the processes; what waits is not begun.

        Args:
            at_once: kill what runs; else it is waited for.
        """
        if at_once:
            for process in multiprocessing.active_children():
                process.terminate()
        self._pool.shutdown(wait=True, cancel_futures=True)
