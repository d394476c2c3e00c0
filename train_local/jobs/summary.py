"""What `train-all` prints: the plan of a dry run, and at the end what is missing and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from kit.local.console import console
from kit.local.wording import counted
from train_local.durations import duration
from train_local.jobs.job import Job
from train_local.jobs.scheduler import Progress, log_of
from train_local.jobs.status import state_of


def show_plan(jobs: Mapping[str, Job], provisional: Collection[str]) -> None:
    """Print each job in the order in which it may start, with its state and what the published log says.

    Args:
        jobs: by name, in order.
        provisional: names of jobs whose data is still to be prepared.
    """
    states = {name: "after prepare" if name in provisional else state_of(job) for name, job in jobs.items()}
    rows = [("job", "state", "GPU hours", "GPU GB", "identity", "needs")]
    for name, job in jobs.items():
        hours, memory = job.resources.hours, job.resources.memory_gb
        identity = "" if name in provisional else job.identity[:12]
        figures = (f"{hours:.1f}" if hours else "", f"{memory:.0f}" if memory else "")
        rows.append((name, states[name], *figures, identity, _needs(job)))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    # Plain lines: a table would cut the names, of which there are a hundred, to the width of a terminal.
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        say("  ".join([*cells, row[-1]]).rstrip())
    open_jobs = [job for name, job in jobs.items() if states[name] != "done"]
    hours = sum(job.resources.hours for job in open_jobs)
    memory = max((job.resources.memory_gb for job in open_jobs), default=0.0)
    unknown = sum(job.kind == "train" and not job.resources.hours for job in open_jobs)
    say(
        f"{counted(len(jobs), 'job')}, {len(jobs) - len(open_jobs)} done; to do: {hours:.1f} GPU hours as "
        f"published, {memory:.0f} GB for the largest"
        + (f"; of {unknown} trainings no hours are known" if unknown else "")
    )
    show_missing_checkpoints(open_jobs)
    budgets = [job.config["budget"] for job in open_jobs if job.kind == "train" and "budget" in job.config]
    if budgets:
        say(
            f"--budget fits each of the {len(budgets)} trainings to {duration(budgets[0])}, not all of them "
            f"together: at most {sum(budgets) / 3600:.1f} hours of training, divided by those side by side"
        )


def planned(jobs: Mapping[str, Job], provisional: Collection[str]) -> dict[str, Any]:
    """Return what `train-all --dry-run --json` prints; arguments as of `show_plan`.

    "gpu_hours" and "memory_gb" are 0 where nobody knows them; "identity" is None before `prepare`.
    """
    return {
        "jobs": [
            {
                "name": name,
                "kind": job.kind,
                "competition": job.competition,
                "state": "after prepare" if name in provisional else state_of(job),
                "identity": None if name in provisional else job.identity,
                "gpu_hours": job.resources.hours,
                "memory_gb": job.resources.memory_gb,
                "needs": [need.job for need in job.uses],
            }
            for name, job in jobs.items()
        ]
    }


def ended(progress: Progress) -> dict[str, Any]:
    """Return what `train-all --json` prints at its end."""
    return {
        "complete": progress.complete,
        "jobs": dict(progress.standing),
        "failures": {
            name: {"problem": item.problem, "log": str(item.log), "fix": item.fix}
            for name, item in progress.failures.items()
        },
    }


def show_missing_checkpoints(jobs: Collection[Job]) -> None:
    """Say which published checkpoints trainings start from are not there, before hours go into the others.

    Args:
        jobs: those that are still to be done.
    """
    missing: dict[str, int] = {}
    for job in jobs:
        recipe = job.config["recipe"] if job.kind == "train" else {}
        name = recipe.get("pretrained")
        # timm fetches its own, and what starts from an earlier stage needs no other file.
        if name in (None, "timm") or recipe["earlier_stage"] is not None or "checkpoint" in job.config:
            continue
        missing[name] = missing.get(name, 0) + 1
    if missing:
        names = " ".join(sorted(missing))
        say(
            f"{counted(sum(missing.values()), 'training')} cannot begin: the published checkpoints to "
            f"start from are not there. Download them: `nox -s fetch -- {names}` (`python -m kit.models "
            "fetch`) into checkpoints/, where nox looks; elsewhere add --checkpoints DIR",
            "yellow",
        )


def _needs(job: Job) -> str:
    """What a job needs, without the preparation, which all need: "detectors-r50-stage1.fold0 (best)"."""
    names = []
    for need in job.uses:
        if need.takes != "data":
            name = need.job.partition("/")[2]
            names.append(f"{name} ({need.takes})" if need.takes in {"best", "last"} else name)
    return ", ".join(names) if len(names) < 5 else f"{len(names)} jobs"


def show_end(progress: Progress, runs: Path) -> None:
    """Print how many jobs are done; for each that is not: why, where its log is, what to do."""
    counts = list(progress.standing.values())
    say(f"{counts.count('done')} of {len(counts)} jobs are done")
    for name, failure in progress.failures.items():
        say(f"{name} failed: {failure.problem}\n  log: {failure.log}\n  fix: {failure.fix}", "red")
    for name, standing in progress.standing.items():
        if standing == "stopped early":
            say(
                f"{name} stopped early, since its time was up; run the same command again to go on\n"
                f"  log: {log_of(progress.jobs[name], runs)}",
                "yellow",
            )
    # Six jobs that wait for one failed stage are one line, not six.
    waiting: dict[tuple[str, ...], list[str]] = {}
    for name, causes in progress.blocked.items():
        waiting.setdefault(causes, []).append(name)
    for causes, names in waiting.items():
        say(f"could not run because of {', '.join(causes)}: {', '.join(names)}", "yellow")


def say(text: str, style: str = "") -> None:
    """Print a text on stderr as it is, however long its lines are."""
    console().print(text, style=style, markup=False, highlight=False, soft_wrap=True)
