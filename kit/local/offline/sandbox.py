"""Runs a command as Kaggle would: without a network and with read-only input, as far as this machine allows.

If the machine does not allow namespaces, the command runs all the same and the result says what did not hold.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kit.local.offline import memory_group

_UNSHARE = ("unshare", "--map-root-user", "--net", "--mount")
# For each folder before "--": mount it onto itself, then mount this mount read-only. Then start the command,
# which stands after "--". Exit code 97 says that a mount failed.
_BIND = (
    'while [ "$1" != -- ]; do mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" || exit 97; shift; done'
    '; shift; exec "$@"'
)
_GRACE = 20.0


@dataclass(frozen=True)
class Enforced:
    """What was enforced for the command.

    Attributes:
        network: the command had no network.
        read_only: it could not write input and script, not even as root.
        memory: limit in bytes, None without a limit.
        limited: what the limit holds for; None without a limit.
        killed: how many processes the kernel ended for want of memory; None if it is not known.
        missing: one sentence for each thing that was not enforced, and why.
    """

    network: bool
    read_only: bool
    memory: int | None
    missing: list[str]
    limited: Literal["all processes together", "each process"] | None = None
    killed: int | None = None


@dataclass(frozen=True)
class Ran:
    """How the command ended.

    Attributes:
        code: exit code; negative for a signal; None if it was killed because its time was up.
        seconds: wall time.
        text: what it printed.
    """

    code: int | None
    seconds: float
    text: str


def possible(folder: Path) -> tuple[bool, str]:
    """Try on a folder whether namespaces work on this machine; return the answer and the reason if not."""
    # Make the folder read-only and try to write to it: `touch` has to fail. Some systems allow the namespaces
    # but not the mounts inside them.
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
    """Run a command and print what it prints.

    Args:
        command: with its arguments.
        read_only: folders that it must not change.
        cwd: its working directory.
        environment: the command gets these variables and no others.
        seconds: 20 seconds later the command is killed with everything that it started.
        memory: bytes for all its processes together, where the system allows a control group; elsewhere
            bytes of private memory for each process.

    Returns:
        How the command ended, and what was enforced.
    """
    # Three programs are put before the command; each sets one thing up and starts the next one:
    #     sh -c "echo $$ > ..."   joins a control group with a limit of memory, if a limit is asked for;
    #                             where none can be made, "ulimit -d ..." limits each process
    #     unshare --net --mount   gives a network without any interface, and a private list of mounts
    #     sh -c "mount ... ro"    makes input and script read-only in this list, even for root
    #     python script.py ...    the command itself
    works, reason = possible(cwd)
    missing = []
    if works:
        command = [*_UNSHARE, "sh", "-c", _BIND, "sh", *map(str, read_only), "--", *command]
    else:
        missing.append(f"network and read-only input are not enforced: {reason}")
    if memory is None:
        return _run(command, cwd, environment, seconds), Enforced(works, works, None, missing)
    group, reason = memory_group.make(memory)
    if group is None:
        # dash and bash count in KiB. Every process that the command starts inherits the limit.
        command = ["sh", "-c", 'ulimit -d "$0" && exec "$@"', str(memory // 1024), *command]
        missing.append(f"the memory limit holds for each process, not for all together: {reason}")
        ran = _run(command, cwd, environment, seconds)
        return ran, Enforced(works, works, memory, missing, "each process")
    try:
        ran = _run([*group.joining(), *command], cwd, environment, seconds)
        killed = group.killed()
    finally:
        left = group.remove()
    if left:
        missing.append(left)
    return ran, Enforced(works, works, memory, missing, "all processes together", killed)


def _run(command: Sequence[str], cwd: Path, environment: dict[str, str], seconds: float) -> Ran:
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
            # The command leads a group of its own (start_new_session), which its workers belong to.
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
    return Ran(None if overran else code, time.monotonic() - begin, text)


def _follow(process: subprocess.Popen[bytes], until: float) -> str:
    """Print a process's output on stderr until it ends or the time is up; return the output."""
    import selectors
    import sys

    if process.stdout is None:
        return ""
    handle = process.stdout.fileno()
    pieces: list[bytes] = []
    with selectors.DefaultSelector() as selector:
        selector.register(handle, selectors.EVENT_READ)
        while (left := until - time.monotonic()) > 0:
            if not selector.select(left):
                break
            # An empty read means that nobody holds the pipe any more: the command and its workers have ended.
            data = os.read(handle, 1 << 16)
            if not data:
                process.wait()
                break
            pieces.append(data)
            sys.stderr.write(data.decode(errors="replace"))
            sys.stderr.flush()
    return b"".join(pieces).decode(errors="replace")
