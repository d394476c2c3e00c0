"""The run's clock, its progress lines and report.json."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kit.artefacts import canonical_json, write_bytes
from kit.errors import KitError

SCHEMA = 1
_LONGEST_STARTUP = 120.0
"""Seconds; a process that is older was not started for this run."""
_ROOM = 1 << 20
"""Bytes that are kept free for the last report: 5000 tasks take as much."""
_PLENTY = 16 * _ROOM
"""Free bytes of a disk on which keeping that room costs the submission nothing."""
_LONG = ("tasks", "images", "forecasts", "notes", "memory")
"""What a report leaves out where the disk has no room for it."""


def process_start() -> float:
    """Return the monotonic time, in seconds, at which this process began; now, where that cannot be known."""
    # Kaggle counts from there, and its start-up hooks may take seconds before our first line runs. But a
    # notebook's process may have run for hours before the cell with this script: then now counts.
    now = time.monotonic()
    try:
        # The process began 500000 ticks after the machine; with 100 ticks per second that is 5000 s. If the
        # machine has run for 5003 s, the process is 3 s old.
        # Field 22 of proc(5) stat, counted after the command name, which may hold spaces and brackets.
        ticks = int(Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return now
    return now - age if 0 <= age <= _LONGEST_STARTUP else now


@dataclass
class RunReport:
    """What happened and when. It is printed as it happens, and written to report.json several times.

    Attributes:
        start: monotonic time at which the process began.
        values: what report.json holds; other modules add their own keys.
        path: of report.json; None until the output folder is known to be writable.
    """

    start: float
    values: dict[str, Any] = field(default_factory=dict)
    path: Path | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.values.update(schema=SCHEMA, events=[], problems=[])

    def elapsed(self, at: float | None = None) -> float:
        """Return the seconds since the process began, until now or until a monotonic time."""
        return (time.monotonic() if at is None else at) - self.start

    def say(self, text: str) -> None:
        """Print progress with the elapsed seconds. A closed output does not end the run."""
        with self._lock:
            for line in text.splitlines():
                _print(f"[{self.elapsed():8.1f} s] {line}")

    def event(self, name: str, *, at: float | None = None, **facts: Any) -> None:
        """Record a named moment: now, or the monotonic time `at`."""
        with self._lock:
            self.values["events"].append({"name": name, "seconds": round(self.elapsed(at), 3), **facts})

    def problem(self, what: str, **facts: Any) -> None:
        """Record and print a problem that the run goes on with."""
        with self._lock:
            self.values["problems"].append({"what": what, "seconds": round(self.elapsed(), 3), **facts})
        self.say(f"PROBLEM: {what}")

    def fail(self, what: str, code: int) -> None:
        """Record the reason for which a run ends with this code, and save the report."""
        self.problem(what)
        self.values["exit_code"] = code
        self.save(last=True)

    def keep_room(self) -> None:
        """Take some room for the last report: by then the disk may be full."""
        with contextlib.suppress(KitError, OSError):
            if self.path is not None and shutil.disk_usage(self.path.parent).free > _PLENTY:
                write_bytes(_room(self.path), bytes(_ROOM))

    def save(self, *, last: bool = False) -> None:
        """Write report.json. On a full disk an older one stays, and the run goes on.

        Args:
            last: what the run came to is known. On a full disk the room that was kept is taken, then that of
                the older report, and then only what is short is written.
        """
        if self.path is None:
            return
        if last:
            with contextlib.suppress(OSError):
                _room(self.path).unlink()
        problem = self._write(self.values)
        if last and isinstance(problem, KitError):
            self.give_way()
            short = {name: value for name, value in self.values.items() if name not in _LONG}
            problem = self._write(self.values) and self._write({**short, "left_out": _LONG})
        if problem:
            with contextlib.suppress(OSError, ValueError, AttributeError):
                print(f"report.json was not written: {problem}", file=sys.stderr)

    def _write(self, values: Mapping[str, Any]) -> KitError | ValueError | None:
        """Write values to report.json; return why that failed."""
        assert self.path is not None
        try:
            with self._lock:
                # Bytes of file names that are not UTF-8 come as lone surrogates; JSON writes them as escapes.
                write_bytes(self.path, canonical_json(values).encode("utf-8", "backslashreplace"))
        except (KitError, ValueError) as error:
            return error
        return None

    def give_way(self) -> None:
        """Delete report.json and the room for the last one: the submission needs it."""
        if self.path is not None:
            for path in (self.path, _room(self.path)):
                with contextlib.suppress(OSError):
                    path.unlink()


def _room(report: Path) -> Path:
    return report.with_name(f".{report.name}.room")


def _print(line: str) -> None:
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    with contextlib.suppress(OSError, ValueError, AttributeError):  # a notebook's output may be anything
        print(line.encode(encoding, "backslashreplace").decode(encoding), flush=True)


def counted(number: int, what: str) -> str:
    """Return a number with its noun, e.g. "1 image" or "2 images"."""
    return f"{number} {what}{'' if number == 1 else 's'}"
