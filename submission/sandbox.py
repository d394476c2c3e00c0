"""Runs a command as Kaggle would: no network, read-only input, fresh home, as far as this machine allows."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_UNSHARE = ("unshare", "--map-root-user", "--net", "--mount")
_BIND = (
    'while [ "$1" != -- ]; do mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" || exit 97; shift; done'
    '; shift; exec "$@"'
)
_GRACE = 20.0


@dataclass(frozen=True)
class Enforced:
    """What holds for the command, and what does not.

    Attributes:
        network: there is none.
        read_only: input and script cannot be written, not even by root.
        memory: per process, in bytes, None without a limit.
        missing: why something is not enforced, for people.
    """

    network: bool
    read_only: bool
    memory: int | None
    missing: list[str]


@dataclass(frozen=True)
class Ran:
    """How the command ended.

    Attributes:
        code: exit code, negative for a signal, None if it was killed because it overran.
        seconds: wall time.
        text: what it printed.
    """

    code: int | None
    seconds: float
    text: str


def possible(folder: Path) -> tuple[bool, str]:
    """Whether namespaces work here, tried on a folder; the reason if not."""
    try:
        done = subprocess.run(
            [
                *_UNSHARE,
                "sh",
                "-c",
                _BIND,
                "sh",
                str(folder),
                "--",
                "sh",
                "-c",
                '! touch "$1/probe"',
                "sh",
                str(folder),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, str(error)
    (folder / "probe").unlink(missing_ok=True)
    return done.returncode == 0, done.stderr.strip().splitlines()[0] if done.stderr.strip() else "not allowed"


def run(
    command: Sequence[str],
    *,
    read_only: Sequence[Path],
    cwd: Path,
    environment: dict[str, str],
    seconds: float,
    memory: int | None = None,
) -> tuple[Ran, Enforced]:
    """Run a command, printing what it prints.

    Args:
        command: with its arguments.
        read_only: folders it must not write to.
        cwd: its working directory.
        environment: all of it.
        seconds: it is killed, with all it started, when it takes longer by a grace.
        memory: bytes of private memory one process may have.
    """
    works, reason = possible(cwd)
    missing = []
    if works:
        command = [*_UNSHARE, "sh", "-c", _BIND, "sh", *map(str, read_only), "--", *command]
    else:
        missing.append(f"network and read-only input are not enforced: {reason}")
    if memory is not None:
        # dash and bash count in KiB; every process of the run inherits the limit.
        command = ["sh", "-c", 'ulimit -d "$0" && exec "$@"', str(memory // 1024), *command]
        missing.append("memory is limited for each process, not for all together")
    begin = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    with process:
        text = _follow(process, begin + seconds + _GRACE)
        overran = process.poll() is None
        if overran:
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
    ran = Ran(None if overran else code, time.monotonic() - begin, text)
    return ran, Enforced(works, works, memory, missing)


def _follow(process: subprocess.Popen[bytes], until: float) -> str:
    """Pass on what a process prints, to stderr, until it ends or the time is up."""
    import selectors
    import sys

    assert process.stdout is not None
    handle = process.stdout.fileno()
    pieces: list[bytes] = []
    with selectors.DefaultSelector() as selector:
        selector.register(handle, selectors.EVENT_READ)
        while (left := until - time.monotonic()) > 0:
            if not selector.select(left):
                break
            data = os.read(handle, 1 << 16)
            if not data:
                process.wait()
                break
            pieces.append(data)
            sys.stderr.write(data.decode(errors="replace"))
            sys.stderr.flush()
    return b"".join(pieces).decode(errors="replace")
