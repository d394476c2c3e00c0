"""Every run of the prepared data in the order their weights need each other."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

from kit.errors import KitError
from kit.local.console import show_table
from train_local.data.prepared import Prepared
from train_local.initial_weights import Start, resolve
from train_local.loop import Options
from train_local.recipes import suits
from train_local.recipes.base import Recipe
from train_local.runs import Run, plan
from train_local.train import train


@dataclass(frozen=True)
class Job:
    """One recipe on one fold, before its inputs exist.

    Attributes:
        recipe: resolved.
        fold: index.
    """

    recipe: Recipe
    fold: int

    @property
    def name(self) -> str:
        """What `--only` matches."""
        return f"{self.recipe.name}.fold{self.fold}"


def in_order(recipes: Iterable[Recipe], prepared: Prepared, folds: Sequence[int] | None = None) -> list[Job]:
    """Jobs of some recipes and of all earlier stages they start from, those first.

    Args:
        recipes: those that do not suit the prepared competition are left out.
        prepared: says which folds there are; a recipe's folds beyond them are left out.
        folds: None takes each recipe's own.
    """
    jobs: dict[str, Job] = {}

    def add(recipe: Recipe) -> None:
        if recipe.before is not None:
            add(recipe.before)
        for fold in recipe.folds if folds is None else folds:
            if fold < len(prepared.folds):
                job = Job(recipe, fold)
                jobs.setdefault(job.name, job)

    for recipe in recipes:
        if suits(recipe, prepared.competition, prepared.kind):
            add(recipe)
    return list(jobs.values())


def run_of(
    job: Job, prepared: Prepared, root: Path, *, seed: int | None = None, published: Path | None = None
) -> tuple[Run, Start]:
    """The run of a job, and its first weights.

    Args:
        job: which.
        prepared: the data.
        root: folder of all runs.
        seed: None takes the recipe's.
        published: folder of downloaded checkpoints.

    Raises:
        KitError: the earlier stage is not trained yet, or a checkpoint is missing.
    """
    start = resolve(job.recipe, job.fold, root, published)
    return plan(job.recipe, prepared, job.fold, root, seed=seed, start=start.identity), start


def show(jobs: Sequence[Job], prepared: Prepared, root: Path, published: Path | None) -> None:
    """Print what would be done."""
    rows = []
    for job in jobs:
        before, fold = job.recipe.before, prepared.fold(job.fold)
        source = before.name if before is not None else job.recipe.start or "random weights"
        try:
            run, _ = run_of(job, prepared, root, published=published)
        except KitError as error:
            status, identity = "waits", error.problem
        else:
            status, identity = run.status(), run.identity[:12]
        rows.append((job.name, status, f"{len(fold.train)} + {len(fold.valid)}", source, identity))
    headings = ("run", "status", "images", "starts from", "identity")
    show_table(f"{prepared.competition}: {len(jobs)} runs", headings, rows)


def train_all(
    jobs: Sequence[Job],
    prepared: Prepared,
    root: Path,
    options: Options,
    *,
    published: Path | None = None,
    only: str | None = None,
    dry_run: bool = False,
    at_once: int = 1,
) -> None:
    """Do every job that is not finished, in order.

    Args:
        jobs: of `in_order`.
        prepared: the data.
        root: folder of all runs.
        options: of each run; the time budget counts for each alone.
        published: folder of downloaded checkpoints.
        only: pattern a job's name has to match ("unet*", "*.fold0").
        dry_run: print the plan only.
        at_once: processes that train side by side; an earlier stage is waited for.

    Raises:
        KitError: nothing matches, or a run fails (those finished before it are kept).
    """
    chosen = [
        job for job in jobs if only is None or fnmatch(job.name, only) or fnmatch(job.recipe.name, only)
    ]
    if not chosen:
        raise KitError(
            f"no run matches {only!r}" if only else f"no recipe is for {prepared.competition}",
            where="--only" if only else prepared.root,
            fix=f"runs: {', '.join(job.name for job in jobs)}" if jobs else "`recipes` lists what there is",
        )
    show(chosen, prepared, root, published)
    if dry_run:
        return
    todo = partial(_do, prepared=prepared, root=root, published=published)
    if at_once > 1:
        _side_by_side(chosen, partial(todo, options=replace(options, bars=False)), at_once)
    else:
        for job in chosen:
            todo(job, options=options)


def _do(job: Job, *, prepared: Prepared, root: Path, published: Path | None, options: Options) -> None:
    run, start = run_of(job, prepared, root, published=published)
    train(run, prepared, options, start=start)


def _side_by_side(jobs: Sequence[Job], todo: Callable[[Job], None], at_once: int) -> None:
    """Run jobs in processes of their own; after a failure the running ones finish and no other begins."""
    waiting = list(jobs)
    running: dict[Future[None], Job] = {}
    # Forking a process that has used torch's threads can hang, hence "spawn".
    with ProcessPoolExecutor(at_once, mp_context=multiprocessing.get_context("spawn")) as pool:
        while waiting or running:
            unfinished = {job.recipe.name for job in (*waiting, *running.values())}
            for job in list(waiting):
                before = job.recipe.before
                if len(running) < at_once and (before is None or before.name not in unfinished):
                    waiting.remove(job)
                    running[pool.submit(todo, job)] = job
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                job = running.pop(future)
                try:
                    future.result()
                except BrokenProcessPool as error:
                    raise KitError(
                        f"the process that trained {job.name} or one beside it was killed",
                        where="--jobs",
                        fix="memory may have run out: run again with fewer --jobs; it goes on",
                    ) from error
