"""Progress of an upload: bars with speed and remaining time; plain lines where there is no terminal."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import Self

from rich.progress import Progress, TaskID

from kit.local.console import is_watched, transfer

_EVERY_S = 10.0


class Display:
    """Shows how many bytes of each file are sent.

    Args:
        total: bytes of all files.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._sent: dict[str, int] = {}
        self._tasks: dict[str, TaskID] = {}
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._said = self._began
        self._bars: Progress | None = transfer() if is_watched() else None

    def __enter__(self) -> Self:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def moved(self, name: str, size: int, sent: int) -> None:
        """Note how far a file is; threads may call this."""
        with self._lock:
            self._sent[name] = sent
            if self._bars is not None:
                if name not in self._tasks:
                    self._tasks[name] = self._bars.add_task(name, total=size)
                self._bars.update(self._tasks[name], completed=sent)
            elif time.monotonic() - self._said >= _EVERY_S:
                self._said = time.monotonic()
                self._line()

    def say(self, text: str) -> None:
        """Print a line above the bars."""
        if self._bars is not None:
            self._bars.console.print(text, markup=False, highlight=False)
        else:
            print(text, file=sys.stderr, flush=True)

    def _line(self) -> None:
        """Print "412.0 of 2013.4 MB, 9.8 MB/s, 163 s left"."""
        done = sum(self._sent.values())
        speed = done / max(time.monotonic() - self._began, 1e-9)
        left = (self._total - done) / speed if speed else 0
        text = f"{done / 1e6:.1f} of {self._total / 1e6:.1f} MB, {speed / 1e6:.1f} MB/s, {left:.0f} s left"
        print(text, file=sys.stderr, flush=True)
