"""The run's clock, its progress lines and report.json."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kit.artefacts import canonical_json, write_bytes
from kit.errors import KitError

SCHEMA = 1
_LONGEST_STARTUP = 120.0
"""Seconds; a process that is older was not started for this run."""


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
        self.save()

    def save(self) -> None:
        """Write report.json. If the disk is full, the report is missing and the run goes on."""
        if self.path is None:
            return
        try:
            with self._lock:
                # Bytes of file names that are not UTF-8 come as lone surrogates; JSON writes them as escapes.
                write_bytes(self.path, canonical_json(self.values).encode("utf-8", "backslashreplace"))
        except (KitError, ValueError) as error:
            with contextlib.suppress(OSError, ValueError, AttributeError):
                print(f"report.json was not written: {error}", file=sys.stderr)

    def give_way(self) -> bool:
        """Delete report.json, which takes room that the submission needs; whether there was one."""
        if self.path is None or not self.path.is_file():
            return False
        with contextlib.suppress(OSError):
            self.path.unlink()
        return True


def _print(line: str) -> None:
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    with contextlib.suppress(OSError, ValueError, AttributeError):  # a notebook's output may be anything
        print(line.encode(encoding, "backslashreplace").decode(encoding), flush=True)


def counted(number: int, what: str) -> str:
    """Return a number with its noun, e.g. "1 image" or "2 images"."""
    return f"{number} {what}{'' if number == 1 else 's'}"
