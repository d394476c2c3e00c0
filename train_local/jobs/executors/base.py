"""What an executor does: submit a command line with resources, poll it, cancel it."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from train_local.jobs.job import Job

ATTENDED = "TRAIN_LOCAL_ATTENDED"
"""Environment variable of a job that ends itself when its stdin is closed: whoever waits for it is gone."""
ROOT = Path(__file__).parents[3]
OUT_OF_MEMORY = "OUT_OF_MEMORY"
"""Word in `Poll.problem`: the memory of the machine, or of the job's share of it, ran out."""
GRACE = 10.0
"""Seconds that a job gets to end before it is killed."""


@dataclass(frozen=True)
class Poll:
    """What is known of a submitted job.

    Attributes:
        state: "waiting" for resources, "running" or "ended".
        code: exit code once it has ended, as `ends.signal_of` takes it; None if the executor lost it.
        place: the GPU, node or cluster job it runs on, for people.
        problem: what the executor knows about its end that the exit code doesn't say.
    """

    state: Literal["waiting", "running", "ended"]
    code: int | None = None
    place: str = ""
    problem: str = ""


class Executor(Protocol):
    """Runs command lines somewhere. A handle is any text that `submit` returned."""

    def submit(self, job: Job, log: Path) -> str:
        """Queue a job's command line; its output is appended to `log`. It may wait for resources.

        Where jobs outlive the process that submitted them, one of the same identity that still waits or runs
        is taken over instead.

        Raises:
            KitError: the job is refused now; a queue that is full may take it later.
        """

    def poll(self, handle: str) -> Poll:
        """Return what is known of a job."""

    def cancel(self, handle: str) -> None:
        """End a job and all its children, and return when they are gone."""


def hear_interrupts() -> None:
    """Let SIGINT interrupt this process, which is how submitit and Ray cancel a task.

    A shell script starts what it puts into the background with SIGINT ignored, and every child inherits that.
    A Ray node or a submitit controller that was started so would never hear that its task is cancelled.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    if in_main_thread and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def start(
    command: Sequence[str], log: Path, env: Mapping[str, str], root: Path | None = None
) -> subprocess.Popen[Any]:
    """Start a command line in a process group of its own.

    Its stdin is a pipe to which nothing is written. If this process dies, even by SIGKILL, the pipe closes
    and the job ends itself (see `ATTENDED`); so no job goes on in secret beside the one of the next start.

    Args:
        command: to run.
        log: gets its output.
        env: variables in addition to this process's.
        root: repository to run in, where this process may be of another one: a node of a Ray cluster that was
            started in another clone. None is this process's own, in the folder where it runs.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stream:
        stream.write(f"--- {time.strftime('%F %T')} {shlex.join(command)}\n".encode())
        stream.flush()
        paths = [str(root or ROOT), *filter(None, [os.environ.get("PYTHONPATH", "")])]
        return subprocess.Popen(
            list(command),
            cwd=root,
            stdin=subprocess.PIPE,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), ATTENDED: "1", **env},
        )


def code_of(process: subprocess.Popen[Any]) -> int | None:
    """Return the exit code of a process of `start`, or None while it runs."""
    code = process.poll()
    if code is not None and process.stdin is not None and not process.stdin.closed:
        # Data workers of a job that is gone may still be there.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.stdin.close()
    return code


def end(process: subprocess.Popen[Any], grace: float = GRACE) -> None:
    """End a process of `start` with its whole group: first politely, then by SIGKILL."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(grace)
    if process.poll() is None:
        process.kill()
        process.wait()
    code_of(process)


def end_with_parent() -> None:
    """In a job: end this process and its group when the process that started it is gone.

    Only in a job that `start` started; a job that a person starts by hand is left alone.
    """
    if os.environ.get(ATTENDED) != "1":
        return
    # Data workers inherit the variable, but they don't come here.
    threading.Thread(target=_watch_stdin, daemon=True).start()


def _watch_stdin() -> None:
    # `read` returns nothing exactly when the last holder of the other end is gone.
    with suppress(OSError):
        os.read(0, 1)
    os.killpg(0, signal.SIGKILL)
