"""Several processes that train together on this machine, one for each GPU, and what their end means."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from kit.errors import BAD_INPUT, KitError
from train_local.ends import end_in_words

_GRACE, _PATIENCE = 5.0, 20.0
"""Seconds that processes have to end after one of them failed, and after they were asked to."""
_TIMEOUT = timedelta(days=2)
"""Of one exchange between processes: one of them may write a large checkpoint, or score many slides."""

_OF_ANOTHER = ("Connection closed by peer", "Connection reset by peer", "NCCL error", "gloo")
_LOST_ANOTHER = 3
"""Exit code of a process whose error is most likely the consequence of another one's end."""
_CONSEQUENCES = (_LOST_ANOTHER, -signal.SIGABRT)
"""NCCL's own thread aborts the process when another one does not answer."""


@dataclass(frozen=True)
class Member:
    """This process as one of several that train together.

    Attributes:
        rank: its number; 0 writes files.
        count: how many there are.
    """

    rank: int = 0
    count: int = 1


def run_together(count: int, backend: str, work: Callable[..., Any], *arguments: Any) -> Any:
    """Run a function in new processes that can exchange tensors; return what the first one returned.

    Args:
        count: of processes.
        backend: of torch.distributed: "nccl" for GPUs, "gloo" for CPUs.
        work: called with a `Member` and the arguments, in each process.
        arguments: can be pickled.

    Raises:
        KitError: a process failed; the others are ended.
    """
    # A child that has used torch must not be a fork, hence "spawn".
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="train-together-") as folder:
        children: list[tuple[BaseProcess, Connection]] = []
        try:
            for rank in range(count):
                ours, theirs = context.Pipe(duplex=False)
                child: BaseProcess = context.Process(
                    target=_child,
                    args=(Member(rank, count), Path(folder, "meeting"), backend, theirs, (work, arguments)),
                    name=f"rank {rank}",
                )
                child.start()
                theirs.close()
                children.append((child, ours))
            return _result(children)
        finally:
            _end([child for child, _ in children])


def _result(children: list[tuple[BaseProcess, Connection]]) -> Any:
    """Wait for all processes; raise the first cause of a failure."""
    results: dict[int, Any] = {}
    failures: list[tuple[int, KitError]] = []
    running: dict[Any, int] = {child.sentinel: rank for rank, (child, _) in enumerate(children)}
    while running:
        # A killed process makes the others fail within moments. They get some seconds to end, so that the
        # cause is among those that have ended, and no consequence is taken for it.
        ended = wait(list(running), timeout=_GRACE if failures else None)
        if not ended:
            break
        for rank in sorted(running.pop(sentinel) for sentinel in ended):
            child, connection = children[rank]
            child.join()
            kind, value = _last_word(connection)
            if kind == "done":
                results[rank] = value
            elif isinstance(value, KitError):
                failures.append((0, value))
            else:
                what, fix = end_in_words(child.exitcode or 0)
                if kind == "lost":
                    what = f"lost its connection to the others: {value}"
                problem = f"training process {rank} of {len(children)} {what}"
                error = KitError(problem, where="--gpus-per-run", fix=fix)
                failures.append((2 if child.exitcode in _CONSEQUENCES else 1, error))
    if failures:
        raise min(failures, key=lambda failure: failure[0])[1]
    return results[0]


def _last_word(connection: Connection) -> tuple[str, Any]:
    """What a process that has ended had to say; nothing if it was killed."""
    try:
        said: tuple[str, Any] = connection.recv() if connection.poll() else ("", None)
    except (EOFError, OSError):
        return "", None
    return said


def _end(children: list[BaseProcess]) -> None:
    """End the processes that are still there: all at once, politely, then not."""
    for child in children:
        child.terminate()
    deadline = time.monotonic() + _PATIENCE
    for child in children:
        child.join(max(deadline - time.monotonic(), 0))
    for child in children:
        child.kill()
        child.join()


def _child(
    member: Member,
    meeting: Path,
    backend: str,
    connection: Connection,
    job: tuple[Callable[..., Any], tuple[Any, ...]],
) -> None:
    _end_with_parent()
    from torch import distributed

    try:
        # Processes of one machine meet through a file: no port that another program may have taken.
        distributed.init_process_group(
            backend,
            init_method=f"file://{meeting}",  # not quoted: torch takes a space as a space
            rank=member.rank,
            world_size=member.count,
            timeout=_TIMEOUT,
        )
        work, arguments = job
        result = work(member, *arguments)
        connection.send(("done", result if member.rank == 0 else None))
        distributed.destroy_process_group()
    except KitError as error:
        connection.send(("error", error))
        _leave(BAD_INPUT)
    except KeyboardInterrupt:
        _leave(130)
    except BaseException as error:  # noqa: BLE001  the end of a process: whatever it is, it is told
        # An exchange fails where another process has gone: then that one's end is what people have to know.
        if isinstance(error, distributed.DistError) or any(words in str(error) for words in _OF_ANOTHER):
            connection.send(("lost", str(error).strip().splitlines()[0]))
            _leave(_LOST_ANOTHER)
        traceback.print_exc()
        _leave(1)


def _leave(code: int) -> None:
    """End at once: a normal end would wait for exchanges that nobody answers any more."""
    os._exit(code)


def _end_with_parent() -> None:
    """End this process when its parent is gone, however that happened."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch(sentinel: int) -> None:
        wait([sentinel])
        _leave(1)

    threading.Thread(target=watch, args=(parent.sentinel,), daemon=True).start()
