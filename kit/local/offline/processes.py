"""The processes of a sandbox, seen from outside: who they are, how to slow them down, what they write."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

_PERIOD = 0.1
"""Seconds of a slow machine's turn: it runs for a part of them."""
_LOOKS = 1.0
"""Seconds between two looks at the disks."""
_STOPPED = "T"


def descendants(number: int) -> list[int]:
    """Return a process's children and theirs, by number, parents first."""
    found: list[int] = []
    for tasks in Path(f"/proc/{number}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, tasks.read_text().split()):
                found += [child, *descendants(child)]
    return found


def kill_all(number: int) -> None:
    """Kill a process with all that it has started."""
    for process in [*descendants(number), number]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def state(number: int) -> str:
    """Return a process's state, a letter of proc(5); "" if it has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{number}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    return ""


class Pacer:
    """Makes a process's descendants as slow as on a slower machine: they stand still for a part of the time.

    Nothing but signals is needed. Clocks go on, the number of processors stays, and work on a GPU that has
    begun goes on.

    Args:
        number: of the process; it is not stopped itself.
        factor: how many times slower, 1: not at all.
    """

    # Three times slower: of each 100 ms they run for 33 and stand still for 67.
    def __init__(self, number: int, factor: float) -> None:
        self._number, self._factor = number, factor
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        if self._factor > 1:
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        runs = _PERIOD / self._factor
        while not self._over.wait(runs):
            begin = time.monotonic()
            stopped = []
            for process in descendants(self._number):
                if state(process) != _STOPPED:  # else a fault did it, and it must not go on with the others
                    _signal([process], signal.SIGSTOP)
                    stopped.append(process)
            # How long it takes to find and stop them counts as running: the pause gets longer by it.
            self._over.wait(_PERIOD - runs)
            _signal(stopped, signal.SIGCONT)
            runs = max(_PERIOD / 100, (time.monotonic() - begin) / (self._factor - 1))


def _signal(processes: list[int], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)


class DiskWatch:
    """Notes the most that folders held while a process ran.

    Args:
        number: of a process; the folders are seen as it sees them.
        folders: name -> folder.

    Attributes:
        most: name -> bytes.
    """

    def __init__(self, number: int, folders: Mapping[str, Path]) -> None:
        self._folders = {name: Path(f"/proc/{number}/root{folder}") for name, folder in folders.items()}
        self.most = dict.fromkeys(folders, 0)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        if self._folders:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while True:
            for name, folder in self._folders.items():
                self.most[name] = max(self.most[name], held(folder))
            if self._over.wait(_LOOKS):
                return


def held(folder: Path) -> int:
    """Return the bytes that a folder's files take on the disk; what vanishes meanwhile counts nothing."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(place, name).lstat().st_blocks * 512
    return total
