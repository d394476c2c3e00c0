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


def process_start() -> float:
    """When this process began, on the clock of `time.monotonic`, in seconds.

    Kaggle counts from there, and an interpreter with Kaggle's site hooks can take a while to its first line.
    Where the kernel does not say, or says something absurd (a notebook cell in an hours-old process), now is
    taken.
    """
    now = time.monotonic()
    try:
        # Field 22 of proc(5) stat, counted after the command name, which may hold spaces and brackets.
        ticks = int(Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return now
    return now - age if 0 <= age <= _LONGEST_STARTUP else now


@dataclass
class Journal:
    """What happened and when; printed as it happens, written to report.json again and again.

    Attributes:
        start: of the process, on the monotonic clock.
        report: the JSON value; other parts add their own keys.
        path: where report.json goes; None until the output folder is known to be writable.
    """

    start: float
    report: dict[str, Any] = field(default_factory=dict)
    path: Path | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.report.update(schema=SCHEMA, events=[], problems=[])

    def elapsed(self, at: float | None = None) -> float:
        """Seconds since the process began, of now or of another moment of the monotonic clock."""
        return (time.monotonic() if at is None else at) - self.start

    def say(self, text: str) -> None:
        """Print a progress line with the elapsed seconds; nobody who has stopped reading ends the run."""
        with self._lock:
            for line in text.splitlines():
                _print(f"[{self.elapsed():8.1f} s] {line}")

    def event(self, name: str, *, at: float | None = None, **facts: Any) -> None:
        """Record a named moment; `at` is on the monotonic clock."""
        with self._lock:
            self.report["events"].append({"name": name, "seconds": round(self.elapsed(at), 3), **facts})

    def problem(self, what: str, **facts: Any) -> None:
        """Record and print something that went wrong and was survived."""
        with self._lock:
            self.report["problems"].append({"what": what, "seconds": round(self.elapsed(), 3), **facts})
        self.say(f"PROBLEM: {what}")

    def save(self) -> None:
        """Write report.json; a full disk costs the report, never the submission."""
        if self.path is None:
            return
        try:
            with self._lock:
                # File names that are no UTF-8 come as lone surrogates, which JSON writes as escapes.
                write_bytes(self.path, canonical_json(self.report).encode("utf-8", "backslashreplace"))
        except KitError as error:
            print(f"report.json was not written: {error}", file=sys.stderr)


def _print(line: str) -> None:
    encoding = sys.stdout.encoding or "utf-8"
    with contextlib.suppress(OSError, ValueError):  # a closed pipe, a full disk below a log file
        print(line.encode(encoding, "backslashreplace").decode(encoding), flush=True)


def counted(number: int, what: str) -> str:
    """A number with its noun, e.g. "1 image" or "2 images"."""
    return f"{number} {what}{'' if number == 1 else 's'}"
