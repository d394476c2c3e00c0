"""All planned runs, one after another or side by side."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

from kit.errors import KitError
from train_local.data.prepared import Prepared
from train_local.options import Options
from train_local.planned_runs import PlannedRun, show_plan
from train_local.train import train


def train_all(
    planned: Sequence[PlannedRun],
    prepared: Prepared,
    root: Path,
    options: Options,
    *,
    published: Path | None = None,
    only: str | None = None,
    dry_run: bool = False,
    at_once: int = 1,
) -> None:
    """Do every planned run that is not finished.

    Args:
        planned: of `plan_runs`.
        prepared: the data.
        root: folder of all runs.
        options: of each run; the time budget counts for each alone.
        published: folder of downloaded checkpoints.
        only: pattern that a run's name or its recipe's name has to match ("unet*", "*.fold0").
        dry_run: print the plan only.
        at_once: processes that train side by side; an earlier stage is waited for.

    Raises:
        KitError: no run matches, or a run fails (those finished before it are kept).
    """
    chosen = [
        run for run in planned if only is None or fnmatch(run.name, only) or fnmatch(run.recipe.name, only)
    ]
    if not chosen:
        names = ", ".join(run.name for run in planned)
        raise KitError(
            f"no run matches {only!r}" if only else f"no recipe is for {prepared.competition}",
            where="--only" if only else prepared.root,
            fix=f"choose from these runs: {names}" if planned else "`recipes` lists what there is",
        )
    show_plan(chosen, prepared, root, published)
    if dry_run:
        return
    do = partial(_train_one, prepared=prepared, root=root, published=published)
    if at_once > 1:
        _side_by_side(chosen, partial(do, options=replace(options, bars=False)), at_once)
    else:
        for run in chosen:
            do(run, options=options)


def _train_one(
    planned: PlannedRun, *, prepared: Prepared, root: Path, published: Path | None, options: Options
) -> None:
    run, initial = planned.ready(prepared, root, published=published)
    train(run, prepared, options, initial=initial)


def _side_by_side(planned: Sequence[PlannedRun], do: Callable[[PlannedRun], None], at_once: int) -> None:
    """Do runs in processes of their own; after a failure the running ones finish and no other begins."""
    waiting = list(planned)
    running: dict[Future[None], PlannedRun] = {}
    # Forking a process that has used torch's threads can hang, hence "spawn".
    with ProcessPoolExecutor(at_once, mp_context=multiprocessing.get_context("spawn")) as processes:
        # One round: start whatever may start, then wait until a run ends. With two processes and the runs
        # A-stage1.fold0, A.fold0, B.fold0:
        #     round 1  start A-stage1.fold0 and B.fold0 (A.fold0 needs a stage that is unfinished)
        #     round 2  A-stage1.fold0 has ended: start A.fold0
        #     round 3  B.fold0 has ended: nothing left to start, wait for A.fold0
        while waiting or running:
            unfinished = {run.recipe.name for run in (*waiting, *running.values())}
            for run in list(waiting):
                stage = run.recipe.earlier_stage
                if len(running) < at_once and (stage is None or stage.name not in unfinished):
                    waiting.remove(run)
                    running[processes.submit(do, run)] = run
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                run = running.pop(future)
                try:
                    # An error of the run is raised here and leaves the block: the executor then waits for the
                    # runs in progress, and those in `waiting` never begin.
                    future.result()
                except BrokenProcessPool as error:
                    raise KitError(
                        f"the process that trained {run.name} or one beside it was killed",
                        where="--jobs",
                        fix="memory may have run out: run again with fewer --jobs; it goes on",
                    ) from error
