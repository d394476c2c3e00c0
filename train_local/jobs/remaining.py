"""How long the jobs that are left will take, from those that were measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What is known about the time of one job.

    Attributes:
        group: jobs of one group take about the same time: the folds of a recipe.
        hours: of the published training; 0 if they are not known.
        took: measured seconds, from its start to its end; for a running job to its expected end.
        left: seconds until its end if it runs, 0 if it has ended; None if it is still to come.
    """

    group: str
    hours: float = 0.0
    took: float | None = None
    left: float | None = None


@dataclass(frozen=True)
class Remaining:
    """Time until all jobs are done.

    Attributes:
        seconds: expected.
        unknown: number of jobs that are not in it, because nothing like them was measured.
    """

    seconds: float
    unknown: int


def remaining(costs: Iterable[Cost], *, at_once: int) -> Remaining:
    """Return the expected time until all jobs are done; the order in which they need each other is left out.

    Args:
        costs: of all jobs.
        at_once: jobs that run side by side.
    """
    # Two jobs run side by side; fold 0 of `unet` took 100 s, its published training 2 hours: 50 s an hour.
    #
    #     unet.fold1       runs, 30 s are left                     30
    #     unet.fold2       like fold 0                            100
    #     segformer.fold0  published 3 hours, so 3 x 50           150
    #     ensemble         nothing is known                         ?
    #
    # 280 s of work for two are 140 s; the longest job alone takes 150 s, so 150 s, and one job is unknown.
    all_costs = list(costs)
    groups = _means(all_costs)
    published = [(cost.took, cost.hours) for cost in all_costs if cost.took is not None and cost.hours]
    hours = sum(hours for _, hours in published)
    per_hour = sum(took for took, _ in published) / hours if hours else None
    left, unknown = [], 0
    for cost in all_costs:
        if cost.left is not None:
            left.append(cost.left)
        elif cost.group in groups:
            left.append(groups[cost.group])
        elif cost.hours and per_hour is not None:
            left.append(cost.hours * per_hour)
        else:
            unknown += 1
    return Remaining(max(sum(left) / max(at_once, 1), max(left, default=0.0)), unknown)


def _means(costs: Iterable[Cost]) -> Mapping[str, float]:
    """Group -> mean measured seconds of its jobs."""
    measured: dict[str, list[float]] = {}
    for cost in costs:
        if cost.took is not None:
            measured.setdefault(cost.group, []).append(cost.took)
    return {group: sum(seconds) / len(seconds) for group, seconds in measured.items()}
