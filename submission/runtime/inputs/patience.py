"""Waits for processes that may hang, and ends them without waiting."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import time
from pathlib import Path

_POLL = 1.0
STUCK = 15.0
"""Seconds without any use of a processor after which a process counts as stuck."""


def wait(
    process: subprocess.Popen[bytes], timeout: float = math.inf, *, work: float = math.inf
) -> str | None:
    """Wait for a process that leads its own group; say why it counts as stuck, None if it has ended.

    Args:
        process: the leader.
        timeout: seconds it may take.
        work: seconds of processor time that it and its group may use.
    """
    # A tool that reads a dead mount sleeps in the kernel: its processor time stands still. One that copies or
    # unpacks gains at least some hundredths of a second each second. So the next tool begins after 15 s, not
    # after the two hours that a budget of 8 h would allow.
    begin = moved = time.monotonic()
    used = -1.0
    while True:
        try:
            process.wait(min(_POLL, timeout))
        except subprocess.TimeoutExpired:
            now, before = time.monotonic(), used
            used = _processor_seconds(process.pid)
            if used != before:
                moved = now
            if now - begin > timeout:
                return f"it ran for {timeout:.0f} s"
            if used > work:
                return f"it computed for {used:.0f} s"
            if now - moved > min(STUCK, timeout):
                return f"it stood still for {now - moved:.0f} s"
        else:
            return None


def _processor_seconds(group: int) -> float:
    """Return the processor time that the processes of a group have used so far."""
    total = 0.0
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            # "17 (uv) S 1 17 ...": behind the name, which may hold blanks, are state, parent and group;
            # numbers 11 to 14 are the times of the process and of its children that ended.
            fields = file.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            if int(fields[2]) == group:
                total += sum(map(int, fields[11:15]))
    return total / os.sysconf("SC_CLK_TCK")


def end(process: subprocess.Popen[bytes], *, patience: float = 0.0) -> None:
    """Kill a process and its group; by default, do not wait for its end: it may be blocked in a read.

    Args:
        process: leader of the group.
        patience: seconds to wait for its end.
    """
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
