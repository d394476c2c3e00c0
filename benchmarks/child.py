"""A measurement in a process of its own: memory, threads and libraries are that measurement's alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kit.errors import KitError

ROOT = Path(__file__).parents[1]


def call(
    module: str,
    request: Mapping[str, Any],
    *,
    what: str,
    fix: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Run `python -m MODULE`, which reads a request and prints an answer.

    Args:
        module: reads JSON from stdin, prints JSON as its last line.
        request: plain JSON value.
        what: is measured, for messages.
        fix: what the user can do if it fails.
        environment: of the process; this one's by default.

    Returns:
        The answer.

    Raises:
        KitError: the process failed; with the last line it wrote.
    """
    done = subprocess.run(
        [sys.executable, "-m", module],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise KitError(f"{what} could not be measured: {last}", fix=fix)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def forget_peak() -> None:
    """Make this process's peak of memory what it has now."""
    Path("/proc/self/clear_refs").write_text("5")  # proc(5)


def peak_bytes() -> int:
    """Most memory this process has had: resident pages, those of mapped files included."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))
