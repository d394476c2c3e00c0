"""Makes what is expensive once per run of the tests, not once per process of pytest-xdist."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder that all processes of this run share, read only; the first one that asks fills it.

    Args:
        factory: pytest's own.
        name: of the folder.
        make: fills the folder, which is empty.
    """
    # /tmp/pytest-of-me/pytest-7/popen-gw0 is a process's own; the folder above it belongs to the run.
    own = factory.getbasetemp()
    shared = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shared"
    shared.mkdir(exist_ok=True)
    folder = shared / name
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the others wait until it is made
        if not (shared / f"{name}.made").exists():
            folder.mkdir()  # fails at once in each process when `make` failed in the first
            make(folder)
            (shared / f"{name}.made").touch()
    return folder
