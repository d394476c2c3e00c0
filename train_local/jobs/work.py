"""Does one job of the graph, in this process."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kit.errors import KitError
from kit.local.console import console
from kit.local.locks import only_one
from train_local.claims import DONE, claim, lock_of
from train_local.data import prepared
from train_local.jobs.executors.base import ATTENDED
from train_local.jobs.job import Job, Kind
from train_local.jobs.scheduler import SETTLE
from train_local.jobs.status import finish, state_of
from train_local.options import Options

if TYPE_CHECKING:
    from train_local.runs import Run

PATIENCE = 120.0
"""Seconds that a job waits for another process in its folder, for example one that is just being ended."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """A job and what doing it takes.

    Attributes:
        job: what to do.
        jobs: all jobs, by name.
        options: device and the like.
        checkpoints: folder of published checkpoints.
        verb: runs a verb of the command line: `verb(["prepare", "kidney", ...])`.
    """

    job: Job
    jobs: Mapping[str, Job]
    options: Options
    checkpoints: Path | None
    verb: Callable[[Sequence[str]], int]


def do(work: Work) -> None:
    """Do a job, unless it is done; its `done.json` is written last.

    Raises:
        KitError: what it needs is not done, another process does it, or it fails.
    """
    job = work.job
    undone = _undone(work)
    # Who submitted this job saw all of them done. On NFS this machine may see them a minute later.
    until = time.monotonic() + (SETTLE if os.environ.get(ATTENDED) == "1" else 0.0)
    while time.monotonic() < until and any(not (work.jobs[name].folder / DONE).is_file() for name in undone):
        time.sleep(1.0)
        undone = _undone(work)
    if undone:
        raise KitError(
            f"{job.name} needs {', '.join(undone)}, which is not done",
            where=work.jobs[undone[0]].folder,
            fix="run `train-all`: it knows the order, and plans anew where sources or data have changed",
        )

    def told(text: str) -> None:
        console().print(text, markup=False)

    with only_one(lock_of(job.folder), wait=PATIENCE, told=told):
        if state_of(job) == "done":
            told(f"{job.name} was done before")
            return
        _DO[job.kind](work)


def _undone(work: Work) -> list[str]:
    return [name for name in work.job.needs if state_of(work.jobs[name]) != "done"]


def _prepare(work: Work) -> None:
    work.verb(["prepare", *work.job.config["command"]])
    finish(work.job)


def _train(work: Work) -> None:
    from train_local.engine.initial_weights import find_initial_weights
    from train_local.engine.train import train

    run = _run(work.job)
    initial = find_initial_weights(run.recipe, run.fold, run.root, work.checkpoints)
    train(run, prepared.load(work.job.data), work.options, initial=initial)


def _predict(work: Work) -> None:
    from train_local.engine.device_errors import explained
    from train_local.jobs.predict import images_of, predict

    job, data, images = work.job, prepared.load(work.job.data), work.job.config["images"]
    [teacher] = [work.jobs[need.job] for need in job.uses if need.takes in {"best", "last"}]
    with explained(job.folder):
        predict(
            job.folder,
            job.identity,
            weights=_run(teacher).weights,
            prepared=data,
            ids=images_of(data, images["dataset"], images["wsis"]),
            views=job.config["views"],
            options=work.options,
        )
    finish(job)


def _label(work: Work) -> None:
    from train_local.jobs.label import label

    job = work.job
    predictions = [work.jobs[need.job] for need in job.uses if need.takes == "predictions"]
    label(
        job.folder,
        job.identity,
        job.config["round"],
        prepared.load(job.data),
        {made.short_name: made.folder for made in predictions},
    )
    finish(job)


def _ensemble(work: Work) -> None:
    job = work.job
    claim(job.folder, job.identity, dict(job.config))
    [out] = job.products
    folders = ("--prepared", str(job.data), "--runs", str(job.folder.parent), "--out", str(out))
    work.verb(["ensemble", *folders, "--members", *job.config["runs"]])
    finish(job)


def _run(job: Job) -> Run:
    from train_local.jobs.forms import recipe_of
    from train_local.runs import make_run

    recipe, fold = recipe_of(job.config["recipe"]), job.config["fold"]
    return make_run(recipe, prepared.load(job.data), fold, job.folder.parents[1], identity=job.identity)


_DO: Mapping[Kind, Callable[[Work], None]] = {
    "prepare": _prepare,
    "train": _train,
    "predict": _predict,
    "label": _label,
    "ensemble": _ensemble,
}
