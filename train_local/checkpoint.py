"""Checkpoints that a run is resumed from: written atomically, the last two kept, read without unpickling."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

import kit
from kit.artefacts import atomic_file
from kit.errors import KitError
from kit.local.console import console
from kit.local.sidecars import read_sidecar, sidecar_path, write_sidecar

KEPT = 2
_NAME = re.compile(r"step-(\d{8})\.pt")


def random_state() -> dict[str, Any]:
    """Return the state of Python's, numpy's and torch's generators, in types `weights_only` accepts."""
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)  # noqa: NPY002 - the state of others
    return {
        "python": random.getstate(),
        "numpy": (
            str(kind),
            torch.from_numpy(np.asarray(keys).astype(np.int64)),
            position,
            has_gauss,
            cached,
        ),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Give the global generators the state they had."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    kind, keys, position, has_gauss, cached = state["numpy"]
    words = keys.numpy().astype(np.uint32)
    np.random.set_state((kind, words, position, has_gauss, cached))  # noqa: NPY002 - the state of others
    torch.set_rng_state(state["torch"].cpu())
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([item.cpu() for item in state["cuda"]])


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
    advice = "free space on that disk and run the same command again; it goes on from the checkpoint before"
    with atomic_file(path, fix=advice) as temporary:
        with temporary.open("wb") as stream:
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
