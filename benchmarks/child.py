"""Run one measurement in a new process, and read the peak memory of a process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kit.errors import KitError

ROOT = Path(__file__).parents[1]

# Why each measurement has its own process:
# - Memory. A process rarely gives memory back: after a network that took 3 GB, a network that needs 1 GB
#   would still be measured in a process of 3 GB. A new process holds this measurement and its libraries,
#   nothing else.
# - State. Imported libraries, thread counts, cuDNN settings and compiled functions of one way can't help or
#   hinder another. On Kaggle, too, the work is done once in a fresh process.
# - Versions. Two builds of one library (mmcv with and without compiled operators) can't be imported together.


def call(
    module: str,
    request: Mapping[str, Any],
    *,
    what: str,
    fix: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Run `python -m MODULE` on a request and return its answer.

    Args:
        module: reads JSON from stdin and prints JSON as its last line.
        request: plain JSON value.
        what: name of the measured thing, for messages.
        fix: what the user can do if the process fails.
        environment: variables of the process; this process's by default.

    Returns:
        The answer, a JSON object.

    Raises:
        KitError: the process failed; the message ends with the last line that it wrote.
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
    # Libraries print progress and warnings to stdout, too; only the last line is the answer.
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def forget_peak() -> None:
    """Set this process's peak memory to the memory it has now."""
    # proc(5): the value 5 resets VmHWM, the "high water mark" of resident memory, to the current VmRSS.
    Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int:
    """Return the most resident memory this process has had, in bytes; pages of mapped files count, too."""
    # The line reads "VmHWM:     123456 kB", where the kernel's kB are 1024 bytes. The kernel tracks this
    # maximum itself, so a peak of a millisecond counts; a thread that polls the memory would miss it.
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))
