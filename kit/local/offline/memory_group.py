"""A control group: the kernel limits the memory of all its processes together, as Kaggle's container does.

Both versions of Linux's control groups are known. Which one there is, and whether a group may be made,
depends on the machine. So each group is tried before it is used, with a process that needs too much.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

_OWN_GROUPS = Path("/proc/self/cgroup")
_MOUNTS = Path("/proc/self/mountinfo")
_PREFIX = "rehearsal-"
"""Begins the name of a group; the number of the process that made it follows."""
_TRIED = 64 << 20
"""Bytes of the limit with which a group is tried; the trial asks for twice as much."""
_PATIENCE = 5.0
"""Seconds that the processes of a group get to end after they were killed."""


@dataclass(frozen=True)
class MemoryGroup:
    """A control group of our own.

    Attributes:
        folder: of the group.
        version: of control groups, 1 or 2.
        trials: how many processes were killed when the group was tried.
    """

    folder: Path
    version: int
    trials: int = 0

    def joining(self) -> list[str]:
        """Return what stands before a command so that it and all it starts run in the group."""
        return ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(self.folder / "cgroup.procs")]

    def limit(self, size: int) -> None:
        """Set the limit in bytes; swap does not help.

        Raises:
            OSError: the system does not allow it.
        """
        memory, swap = (
            ("memory.max", "memory.swap.max")
            if self.version == 2
            else ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
        )
        # Version 1 limits memory and swap together, and never lets this limit be below the one of memory
        # alone: to raise both, the sum comes first.
        both = 0 if self.version == 2 else size
        with suppress(OSError):  # a system without accounting of swap
            (self.folder / swap).write_text(str(both))
        (self.folder / memory).write_text(str(size))
        with suppress(OSError):
            (self.folder / swap).write_text(str(both))

    def killed(self) -> int:
        """Return how many processes the kernel has killed because the group had no memory left."""
        name = "memory.events" if self.version == 2 else "memory.oom_control"
        with suppress(OSError, ValueError):
            lines = (line.split() for line in (self.folder / name).read_text().splitlines())
            return next((int(count) for key, count in lines if key == "oom_kill"), 0) - self.trials
        return 0

    def most(self) -> int | None:
        """Return the bytes that all processes and their files had at most; None if it is not known."""
        name = "memory.peak" if self.version == 2 else "memory.max_usage_in_bytes"
        with suppress(OSError, ValueError):
            return int((self.folder / name).read_text())
        return None

    def remove(self) -> str | None:
        """Kill what still runs in the group and remove it; return a sentence if that is not possible."""
        until = time.monotonic() + _PATIENCE
        while True:
            with suppress(OSError):
                for line in (self.folder / "cgroup.procs").read_text().split():
                    os.kill(int(line), signal.SIGKILL)
            try:
                self.folder.rmdir()
            except FileNotFoundError:
                return None
            except OSError as error:
                if time.monotonic() > until:
                    return f"the control group {self.folder} could not be removed: {error.strerror}"
                time.sleep(0.05)
            else:
                return None


def make(size: int) -> tuple[MemoryGroup | None, str]:
    """Make a control group whose processes together get `size` bytes.

    Returns:
        The group, or None and why there is none.
    """
    reason = "this system has no control groups for memory"
    for parent, version in _places():
        group = MemoryGroup(parent / f"{_PREFIX}{os.getpid()}", version)
        _remove_leftovers(parent)
        try:
            group.folder.mkdir(exist_ok=True)
        except OSError as error:
            reason = f"{parent}: {error.strerror}"
            continue
        try:
            group.limit(_TRIED)
            works = _stops_what_needs_too_much(group)
            group.limit(size)
        except OSError as error:
            works, reason = False, f"{parent}: {error.strerror}"
        else:
            reason = f"{parent}: the limit is taken but not kept"
        if works:
            return replace(group, trials=group.killed()), ""
        group.remove()
    return None, reason


def _remove_leftovers(parent: Path) -> None:
    """Remove the groups of rehearsals that were killed."""
    for folder in parent.glob(f"{_PREFIX}*"):
        if not Path("/proc", folder.name.removeprefix(_PREFIX)).exists():
            with suppress(OSError):  # something still runs in it
                folder.rmdir()


def _stops_what_needs_too_much(group: MemoryGroup) -> bool:
    code = f"x = bytearray({2 * _TRIED}); x[::4096] = b'x' * len(x[::4096]); print('got it')"
    done = subprocess.run(
        [*group.joining(), sys.executable, "-I", "-S", "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode != 0 and group.killed() > 0


def _places() -> Iterator[tuple[Path, int]]:
    """Yield groups below which one of ours may be made, and their version."""
    # /proc/self/cgroup              4:memory:/user/me     version 1
    #                                0::/user/me           version 2
    # /proc/self/mountinfo           ... / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
    #                                ... / /sys/fs/cgroup rw - cgroup2 cgroup2 rw
    # gives /sys/fs/cgroup/memory/user/me and /sys/fs/cgroup/user/me. A group of version 2 that has processes
    # may have no children with limits; its parent may.
    try:
        own = [line.split(":", 2) for line in _OWN_GROUPS.read_text().splitlines()]
        mounts = [line.split() for line in _MOUNTS.read_text().splitlines()]
    except OSError:
        return
    for fields in mounts:
        root, place, (kind, _, options) = fields[3], fields[4], fields[fields.index("-") + 1 :][:3]
        for number, controllers, path in own:
            first = kind == "cgroup" and "memory" in options.split(",") and "memory" in controllers.split(",")
            second = kind == "cgroup2" and number == "0"
            if not first and not second:
                continue
            # In a container the mount may begin at the container's group: "/docker/7" and "/docker/7/x".
            inside = path.removeprefix(root) if root != "/" else path
            folder = Path(place) / inside.lstrip("/")
            yield folder, 1 if first else 2
            if second and folder != Path(place):
                yield folder.parent, 2
