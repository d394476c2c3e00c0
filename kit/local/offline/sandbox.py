"""Runs a command as Kaggle would: without a network, with read-only input, on a machine of a certain size.

If this machine allows no namespaces, the command runs all the same and the result says what did not hold.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from kit.local.offline import memory_group
from kit.local.offline.file_server import Mount
from kit.local.offline.inside import Disk, Inside
from kit.local.offline.processes import DiskWatch, Pacer, descendants, kill_all

_UNSHARE = ("unshare", "--map-root-user", "--net", "--mount")
_TRY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && ! touch "$0/probe"'
_START = (
    "import sys; sys.path.insert(0, sys.argv[1]); from kit.local.offline.inside import main; "
    "sys.exit(main(sys.argv[2]))"
)
_GRACE = 20.0
_LONGEST_COPY = 120.0
"""Seconds for the results of a command that was killed."""
_GIB = 1 << 30
_SHARE_FOR_DISKS = 4
"""A disk in memory may have this part of the memory that is free; larger ones are watched."""


@dataclass(frozen=True)
class Limit:
    """A folder that may hold so many bytes.

    Attributes:
        name: for people: "working" or "scratch".
        folder: empty.
        size: bytes.
        keep: its contents are needed afterwards.
    """

    name: str
    folder: Path
    size: int
    keep: bool


@dataclass(frozen=True)
class Machine:
    """What the command runs on.

    Attributes:
        memory: bytes for all its processes together, where the system allows a control group; elsewhere bytes
            of private memory for each process. None: no limit.
        cores: processors that it may use; None: all.
        disks: limits of folders.
        slow_down: how many times slower than this machine it is.
        mount: how its input reads.
        served: folder of the input that is served so.
        closed: it has no stdout.
    """

    memory: int | None = None
    cores: int | None = None
    disks: tuple[Limit, ...] = ()
    slow_down: float = 1.0
    mount: Mount = field(default_factory=Mount)
    served: Path | None = None
    closed: bool = False


@dataclass(frozen=True)
class Enforced:
    """What was enforced for the command.

    Attributes:
        network: the command had no network.
        read_only: it could not write input and script, not even as root.
        memory: limit in bytes, None without a limit.
        missing: one sentence for each thing that was not enforced, and why.
        limited: what the limit holds for; None without a limit.
        killed: how many processes the kernel ended for want of memory; None if it is not known.
        most_memory: bytes that all processes had at most; None if it is not known.
        cores: that it could use.
        slow_down: how many times slower it ran.
        mount: how its input read; "" for as always.
        disks: name -> bytes allowed ("size"), the most it held ("most"), whether more was "refused".
    """

    network: bool
    read_only: bool
    memory: int | None
    missing: list[str]
    limited: Literal["all processes together", "each process"] | None = None
    killed: int | None = None
    most_memory: int | None = None
    cores: int | None = None
    slow_down: float = 1.0
    mount: str = ""
    disks: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def overfull(self) -> list[str]:
        """The disks that held more than they may, where no file system refused it."""
        return [name for name, disk in self.disks.items() if disk["most"] > disk["size"]]


@dataclass(frozen=True)
class Ran:
    """How the command ended.

    Attributes:
        code: exit code; negative for a signal; None if it was killed because its time was up.
        seconds: wall time of the command itself.
        text: what it printed.
    """

    code: int | None
    seconds: float
    text: str


@dataclass(frozen=True)
class _Start:
    """Where and how long the command runs, and what is known to be enforced before it starts."""

    cwd: Path
    environment: dict[str, str]
    seconds: float
    enforced: Enforced
    shown: bool


def possible(folder: Path) -> tuple[bool, str]:
    """Try on a folder whether namespaces work on this machine; return the answer and the reason if not."""
    # Make the folder read-only and try to write to it: `touch` has to fail. Some systems allow the namespaces
    # but not the mounts inside them.
    try:
        done = subprocess.run(
            [*_UNSHARE, "sh", "-c", _TRY, str(folder)],
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
    machine: Machine | None = None,
    shown: bool = True,
) -> tuple[Ran, Enforced]:
    """Run a command and print what it prints.

    Args:
        command: with its arguments.
        read_only: folders that it must not change.
        cwd: its working directory.
        environment: the command gets these variables and no others.
        seconds: 20 seconds later the command is killed with everything that it started.
        memory: of the machine, where nothing else of it is given.
        machine: what it runs on.
        shown: print what it prints while it runs; else it is in what is returned, only.

    Returns:
        How the command ended, and what was enforced.
    """
    # Three programs are put before the command; each sets something up and starts the next one:
    #     sh -c "echo $$ > ..."   joins a control group with a limit of memory, if a limit is asked for;
    #                             where none can be made, "ulimit -d ..." limits each process
    #     unshare --net --mount   gives a network without any interface, and a private list of mounts
    #     inside.py               makes the mounts in this list, starts the command and waits for its end
    #     python script.py ...    the command itself
    machine = machine or Machine(memory=memory)
    works, reason = possible(cwd)
    missing = [] if works else [f"network and read-only input are not enforced: {reason}"]
    cpus = _processors(machine.cores, missing)
    by_file_system = [disk for disk in machine.disks if works and disk.size <= _most_in_memory()]
    missing += [
        f"{disk.size / _GIB:g} GB of the {disk.name} disk are watched, not enforced"
        for disk in machine.disks
        if disk not in by_file_system
    ]
    serves = works and machine.served is not None and not machine.mount.plain
    if not machine.mount.plain and not serves:
        missing.append(f"the input reads as fast as always: {reason}")
    inside = Inside(
        command=list(command),
        read_only=[str(place) for place in read_only] if works else [],
        disks=[Disk(str(disk.folder), disk.size, _kept(disk)) for disk in by_file_system],
        cpus=cpus,
        served=str(machine.served) if serves else "",
        mount=machine.mount,
        closed=machine.closed,
    )
    first = [sys.executable, "-I", "-S", "-c", _START, str(Path(str(files("kit"))).parent)]
    enforced = Enforced(
        works,
        works,
        machine.memory,
        missing,
        cores=len(cpus) or None,
        slow_down=machine.slow_down,
        mount=str(machine.mount) if serves else "",
    )
    start = _Start(cwd, environment, seconds, enforced, shown)
    ran, enforced, most = _limited([*(_UNSHARE if works else ()), *first], inside, machine, start)
    most_of = {disk.name: most.get(disk.name, 0) for disk in machine.disks}
    disks = {
        disk.name: {"size": disk.size, "most": most_of[disk.name], "refused": disk in by_file_system}
        for disk in machine.disks
    }
    return ran, replace(enforced, disks=disks)


def _kept(disk: Limit) -> str | None:
    if not disk.keep:
        return None
    kept = disk.folder.with_name(f"{disk.folder.name}-kept")
    kept.mkdir()
    return str(kept)


def contents(disk: Limit) -> Path:
    """Return where the contents of a limited folder are after the run."""
    kept = disk.folder.with_name(f"{disk.folder.name}-kept")
    return kept if kept.is_dir() else disk.folder


def _processors(cores: int | None, missing: list[str]) -> list[int]:
    """Return the numbers of the processors to use; say so where there are too few."""
    if not hasattr(os, "sched_getaffinity"):
        return []
    there = sorted(os.sched_getaffinity(0))
    if cores is not None and cores > len(there):
        missing.append(f"{cores} cores are asked for, and this machine has {len(there)}")
    return there[:cores]


def _most_in_memory() -> int:
    with suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
        return free * 1024 // _SHARE_FOR_DISKS
    return 0


def _limited(
    first: Sequence[str], inside: Inside, machine: Machine, start: _Start
) -> tuple[Ran, Enforced, dict[str, int]]:
    """Run within a limit of memory, as far as that can be had."""
    enforced = start.enforced
    if machine.memory is None:
        ran, most = _run(first, inside, start, machine)
        return ran, enforced, most
    group, reason = memory_group.make(machine.memory)
    if group is None:
        # dash and bash count in KiB. Every process that the command starts inherits the limit.
        capped = ["sh", "-c", 'ulimit -d "$0" && exec "$@"', str(machine.memory // 1024), *inside.command]
        told = f"the memory limit holds for each process, not for all together: {reason}"
        ran, most = _run(first, replace(inside, command=capped), start, machine)
        missing = [*enforced.missing, told]
        return ran, replace(enforced, missing=missing, limited="each process"), most
    try:
        ran, most = _run([*group.joining(), *first], inside, start, machine)
        killed, most_memory = group.killed(), group.most()
    finally:
        left = group.remove()
    return (
        ran,
        replace(
            enforced,
            missing=[*enforced.missing, *([left] if left else [])],
            limited="all processes together",
            killed=killed,
            most_memory=most_memory,
        ),
        most,
    )


def _run(first: Sequence[str], inside: Inside, start: _Start, machine: Machine) -> tuple[Ran, dict[str, int]]:
    begin = time.monotonic()
    clock, writes = os.pipe()
    process = subprocess.Popen(
        [*first, replace(inside, clock=writes).text()],
        pass_fds=(writes,),
        cwd=start.cwd,
        env=start.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    folders = {disk.name: disk.folder for disk in machine.disks}
    with process, DiskWatch(process.pid, folders) as watch, Pacer(process.pid, machine.slow_down):
        try:
            text = _follow(process, begin + start.seconds + _GRACE, shown=start.shown)
        except KeyboardInterrupt:
            kill_all(process.pid)  # it has a session of its own, so that Ctrl-C reaches this process alone
            raise
        overran = process.poll() is None
        os.close(writes)
        seconds = time.monotonic() - begin
        if overran:
            # The command and its workers go; the first process then copies what has to be kept.
            for child in descendants(process.pid):
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_LONGEST_COPY)
            kill_all(process.pid)
        code = process.wait()
    with os.fdopen(clock) as told:
        # The mounts took some time before the command began, and ending them some after it.
        seconds = float(told.read() or seconds)
    return Ran(None if overran else code, seconds, text), watch.most


def _follow(process: subprocess.Popen[bytes], until: float, *, shown: bool) -> str:
    """Read a process's output until it ends or the time is up, and print it on stderr; return it."""
    import selectors

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
                with suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.0, until - time.monotonic()))
                break
            pieces.append(data)
            if shown:
                sys.stderr.write(data.decode(errors="replace"))
                sys.stderr.flush()
    return b"".join(pieces).decode(errors="replace")
