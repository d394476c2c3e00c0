"""Checkpoints that a run is resumed from: written atomically, the last two kept, read without unpickling."""

from __future__ import annotations

import re
import shutil
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import kit
from kit.artefacts import atomic_file
from kit.errors import KitError
from kit.local.console import console
from kit.local.sidecars import read_sidecar, sidecar_path, write_sidecar
from kit.local.wording import amount

KEPT = 2
_NAME = re.compile(r"step-(\d{8})\.pt")


def _found(folder: Path) -> list[tuple[int, Path]]:
    """Return completed checkpoints, newest first; a file whose JSON was never written does not count."""
    names = (
        ((_NAME.fullmatch(path.name), path) for path in folder.glob("step-*.pt")) if folder.is_dir() else ()
    )
    steps = [(int(match[1]), path) for match, path in names if match and sidecar_path(path).is_file()]
    return sorted(steps, reverse=True)


def save(folder: Path, step: int, state: dict[str, Any], *, identity: str) -> None:
    """Write the state after `step` optimiser steps, then drop all but the last two.

    Args:
        folder: of the run's checkpoints.
        step: optimiser steps taken.
        state: tensors and plain values.
        identity: of the run; a checkpoint of another run is never used.

    Raises:
        KitError: the disk is full or the folder cannot be written.
    """
    # The order makes a kill at any moment harmless: the new file, then its JSON, then the old files go.
    # Between file and JSON the new checkpoint does not count yet, and the one before is still there.
    path = folder / f"step-{step:08d}.pt"
    with atomic_file(path, fix=_advice(folder, state)) as temporary:
        with temporary.open("wb") as stream, _ctrl_c_afterwards(), _errors_of_writing():
            torch.save(state, stream)
        sidecar_path(path).unlink(missing_ok=True)
    write_sidecar(
        path,
        kind="checkpoint",
        config={},
        inputs={"run": identity},
        code_version=kit.__version__,
        step=step,
    )
    # The JSON goes first: a checkpoint without JSON does not count, so no half-deleted one is ever read.
    for _, old in _found(folder)[KEPT:]:
        sidecar_path(old).unlink(missing_ok=True)
        old.unlink(missing_ok=True)


@contextmanager
def _ctrl_c_afterwards() -> Iterator[None]:
    """Keep Ctrl-C until a write is done: torch's archive ends the process where one strikes in its middle."""
    if threading.current_thread() is not threading.main_thread():  # no other thread hears it
        yield
        return
    heard: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if heard and callable(before):
        before(signal.SIGINT, None)


@contextmanager
def _errors_of_writing() -> Iterator[None]:
    """Raise the error of a write again, which torch hides behind one of its own archive."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):
            raise error.__context__ from error
        raise


def _advice(folder: Path, state: Mapping[str, Any]) -> str:
    """What to do if a checkpoint cannot be written: the space it takes, and from where the run goes on."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    size, free = _size(state), shutil.disk_usage(there).free
    found = _found(folder)
    before = f"the one of step {found[0][0]}, which is whole" if found else "the start: it is the first one"
    return (
        f"a checkpoint takes {amount(size)} and {amount(free)} are free: make room for "
        f"{amount((KEPT + 1) * size)} on that disk and run the same command again; it goes on from {before}"
    )


def _size(value: Any) -> int:
    """Bytes of all tensors in nested containers."""
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, Mapping):
        return sum(map(_size, value.values()))
    return sum(map(_size, value)) if isinstance(value, list | tuple) else 0


def load(folder: Path, *, identity: str) -> dict[str, Any] | None:
    """Read the newest undamaged state; return None if there never was a checkpoint.

    Raises:
        KitError: there are checkpoints, but all are damaged or belong to another run.
    """
    problems = []
    for step, path in _found(folder):
        try:
            return _read(path, identity)
        except KitError as error:
            problems.append(error)
            console().print(
                f"The checkpoint of step {step} cannot be used: {error.problem}.",
                style="yellow",
                markup=False,
            )
    if problems:
        raise KitError(
            f"none of the {len(problems)} checkpoints can be used; the newest: {problems[0].problem}",
            where=folder,
            fix="restore the folder from a backup, or delete it to train from the start",
        )
    return None


def _read(path: Path, identity: str) -> dict[str, Any]:
    record = read_sidecar(path, kind="checkpoint")
    if record["inputs"].get("run") != identity:
        raise KitError("checkpoint belongs to another run", where=path, fix="choose another --out")
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
