"""The verbs `train-all`, which does the whole graph, and `job`, which does one node of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from kit.errors import KitError, did_you_mean
from train_local.jobs.command_options import OneJob, TrainAll
from train_local.jobs.job import Job


def launcher() -> tuple[str, ...]:
    """Return the start of the command line of a job: this Python, this package."""
    return (sys.executable, "-m", "train_local")


def train_all(options: TrainAll) -> int:
    """Do the graph; return 0 if everything that was asked for is done.

    Raises:
        KitError: the graph cannot be planned, or another `train-all` works in the folder.
    """
    from train_local.jobs import all_jobs, summary
    from train_local.jobs.graph import choose

    whole = all_jobs.Plan(options.graph, launcher())

    told: set[str] = set()

    def plan() -> Mapping[str, Job]:
        jobs = whole.make()
        for text in whole.left_out:
            if text not in told:
                told.add(text)
                summary.say(text, "yellow")
        return choose(jobs, *options.only)

    if options.dry_run:
        jobs = plan()
        provisional = whole.provisional(jobs)
        if options.json:
            print(json.dumps(summary.planned(jobs, provisional), indent=1))
        else:
            summary.show_plan(jobs, provisional)
        return 0
    return all_jobs.do(plan, options, runs=whole.runs)


def one_job(options: OneJob, verb: Callable[[Sequence[str]], int]) -> int:
    """Do one job.

    Args:
        options: which.
        verb: runs a verb of the command line, such as ["prepare", ...].

    Raises:
        KitError: there is no such job, what it needs is not done, or it fails.
    """
    from train_local.jobs import all_jobs, work
    from train_local.jobs.executors.base import end_with_parent

    end_with_parent()
    jobs = all_jobs.Plan(options.graph, launcher()).make()
    if options.name not in jobs:
        raise KitError(
            f"there is no job {options.name!r}",
            fix=f"{did_you_mean(options.name, jobs)}choose one of {', '.join(jobs)}",
        )
    work.do(
        work.Work(
            job=jobs[options.name],
            jobs=jobs,
            options=replace(options.graph.options, bars=False),
            checkpoints=options.graph.checkpoints,
            verb=verb,
        )
    )
    return 0
