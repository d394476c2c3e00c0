"""One process at a time in a folder, on all machines that share its file system."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from kit.errors import KitError


@contextmanager
def only_one(
    path: Path,
    *,
    doing: str = "works here",
    wait: float = 0.0,
    told: Callable[[str], None] = lambda _: None,
) -> Iterator[None]:
    """Hold a lock file while the block runs.

    The kernel holds the lock and frees it when the process ends, however it ends: there is no stale lock. The
    file's text only says who has it. POSIX locks work on NFS 4, Lustre and GPFS, too, and are not handed down
    to data workers. They are between processes: two threads of one process do not exclude each other.

    Args:
        path: the lock file; its folder is made if it is missing.
        doing: what the holder does, for the message: "another process sends this dataset: ...".
        wait: seconds to wait for another holder.
        told: called once with who holds it, before waiting.

    Raises:
        KitError: another process holds it, or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise KitError(
            f"this folder cannot be written: {error.strerror}", where=path.parent, fix="choose another folder"
        ) from error
    try:
        _acquire(handle, path, doing, wait, told)
        own = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%F %T")})
        with suppress(OSError):  # on a full disk only the text is missing
            os.ftruncate(handle, 0)
            os.pwrite(handle, own.encode(), 0)
        yield
        with suppress(OSError):
            os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def _acquire(handle: int, path: Path, doing: str, wait: float, told: Callable[[str], None]) -> None:
    until, asked = time.monotonic() + wait, False
    while True:
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise KitError(
                    f"this file system has no locks: {error.strerror}",
                    where=path,
                    fix="work on one that has: a local disk, NFS 4, Lustre with -o flock",
                ) from error
        else:
            return
        holder = _holder(path)
        if time.monotonic() >= until:
            raise KitError(
                f"another process {doing}: {holder}",
                where=path.parent,
                fix="wait until it ends, or end it; two at once would damage each other's work",
            )
        if not asked:
            told(f"waiting for {holder}, which works in {path.parent}")
            asked = True
        time.sleep(0.2)


def _holder(path: Path) -> str:
    found: dict[str, Any] = {}
    with suppress(OSError, ValueError):
        found = json.loads(path.read_text())
    return f"process {found.get('pid', '?')} on {found.get('host', '?')}, since {found.get('since', '?')}"
