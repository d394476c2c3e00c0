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
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from kit.local.offline.file_server import FileServer, Mount

NOT_MADE = 97
"""Exit code where a mount could not be made."""
_TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108  # they are closed, not used
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
        clock: number of an open file to which the command's own seconds are written; -1 for none.
    """

    command: list[str]
    read_only: list[str]
    disks: list[Disk]
    cpus: list[int]
    served: str
    mount: Mount
    closed: bool
    clock: int = -1

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
    # A rehearsal that is killed cannot end what it has started: all of it goes with its parent.
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if wanted.cpus:
        os.sched_setaffinity(0, wanted.cpus)
    if not _mount_all(wanted):
        return NOT_MADE
    begin = time.monotonic()
    command = subprocess.Popen(
        wanted.command,
        env=_environment(),
        preexec_fn=lambda: _begin(closed=wanted.closed),  # noqa: PLW1509  # the file server's threads hold no lock
        process_group=0,  # so that it can be killed with its children and this process stays
    )
    code = command.wait()
    if wanted.clock >= 0:
        os.write(wanted.clock, f"{time.monotonic() - begin}".encode())
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
    return dict(part.split(b"=", 1) for part in parts if b"=" in part)


def _begin(*, closed: bool) -> None:
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if closed:
        os.close(1)


def _mount_all(wanted: Inside) -> bool:
    """Make the mounts; whether all were made."""
    # Where the scratch disk is limited, no other place may take its files: bind mounts make them read-only.
    # What lies beside the disks, perhaps below /tmp, stays as it is: its own mount lies on top of that.
    limited = any(disk.keep is None for disk in wanted.disks)
    others = [place for place in _TEMPORARY if limited and Path(place).is_dir()]
    beside = sorted({str(Path(disk.folder).parent) for disk in wanted.disks}) if others else []
    commands: list[tuple[str, ...]] = [("--bind", place, place) for place in (*others, *beside)]
    commands += [("-t", "tmpfs", "-o", f"size={disk.size}", "tmpfs", disk.folder) for disk in wanted.disks]
    for place in wanted.read_only:
        if place != wanted.served:  # which is read-only in any case
            commands += [("--bind", place, place), ("-o", "remount,bind,ro", place)]
    commands += [("-o", "remount,bind,ro", place) for place in others]
    if not all(subprocess.run(("mount", *words), check=False).returncode == 0 for words in commands):
        return False
    if wanted.served:
        try:
            FileServer(Path(wanted.served), wanted.mount)
        except OSError as error:
            print(f"the mount cannot be served: {error}", file=sys.stderr)
            return False
    return True
