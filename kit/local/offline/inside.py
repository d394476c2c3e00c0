"""The first process inside the sandbox: makes its mounts, starts the command, and keeps what it wrote.

Standard library only. It stays until the command has ended, because disks of limited size, and the mount that
it serves, end with the namespace.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from kit.local.offline.file_server import FileServer, Mount

NOT_MADE = 97
"""Exit code where a mount could not be made."""
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


@dataclass(frozen=True)
class Disk:
    """A folder whose contents may have a limited size.

    Attributes:
        folder: it has to exist, and is empty.
        size: bytes.
        keep: what the folder holds at the end is copied there; None: it is lost.
    """

    folder: str
    size: int
    keep: str | None = None


@dataclass(frozen=True)
class Inside:
    """What the sandbox's first process does.

    Attributes:
        command: with its arguments.
        read_only: folders.
        disks: file systems in memory.
        cpus: numbers of the processors that may be used; empty: all.
        served: folder that is served through FUSE; "" for none.
        mount: how that reads.
        closed: the command gets no stdout.
    """

    command: list[str]
    read_only: list[str]
    disks: list[Disk]
    cpus: list[int]
    served: str
    mount: Mount
    closed: bool

    def text(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> Inside:
        """Return what `text` wrote."""
        value = json.loads(text)
        disks = [Disk(**disk) for disk in value.pop("disks")]
        return cls(disks=disks, mount=Mount(**value.pop("mount")), **value)


def main(text: str) -> int:
    """Run the command; returns its exit code, or dies of the signal that it died of."""
    wanted = Inside.read(text)
    if wanted.cpus:
        os.sched_setaffinity(0, wanted.cpus)
    if not _mount_all(wanted):
        return NOT_MADE
    command = subprocess.Popen(
        wanted.command,
        env=_environment(),
        preexec_fn=lambda: _begin(closed=wanted.closed),
        process_group=0,  # so that it can be killed with its children and this process stays
    )
    code = command.wait()
    for disk in wanted.disks:
        if disk.keep is not None:
            shutil.copytree(disk.folder, disk.keep, dirs_exist_ok=True, symlinks=True)
    if code < 0:
        if -code != signal.SIGKILL:  # whose action cannot be set
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def _environment() -> dict[bytes, bytes]:
    """Return the variables this process was started with: Python may have added one for its locale."""
    parts = Path("/proc/self/environ").read_bytes().split(b"\0")
    return dict(part.split(b"=", 1) for part in parts if b"=" in part)  # type: ignore[misc]  # two parts


def _begin(*, closed: bool) -> None:
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if closed:
        os.close(1)


def _mount_all(wanted: Inside) -> bool:
    """Make the mounts; whether all were made."""
    lines = []
    if any(disk.keep is None for disk in wanted.disks):
        # Where the scratch disk is limited, no other place takes its files: a bind mount makes them read-only.
        # The mounts of the sandbox itself lie on top of it.
        lines += [place for place in ("/tmp", "/var/tmp") if Path(place).is_dir()]  # noqa: S108
    for place in lines:
        if not _run("mount", "--bind", place, place):
            return False
    for disk in wanted.disks:
        if not _run("mount", "-t", "tmpfs", "-o", f"size={disk.size}", "tmpfs", disk.folder):
            return False
    for place in wanted.read_only:
        if place != wanted.served and not _read_only(place):
            return False
    for place in lines:
        if not _run("mount", "-o", "remount,bind,ro", place):
            return False
    if wanted.served:
        try:
            FileServer(Path(wanted.served), wanted.mount)
        except OSError as error:
            print(f"the mount cannot be served: {error}", file=sys.stderr)
            return False
    return True


def _read_only(place: str) -> bool:
    return _run("mount", "--bind", place, place) and _run("mount", "-o", "remount,bind,ro", place)


def _run(*command: str) -> bool:
    return subprocess.run(command, check=False).returncode == 0
