"""What a run measured of its machine, as numbers from which another run can be forecast.

They come from the rows on tasks and the events of report.json, so that a report is enough to make a forecast.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from kit.ensemble import Ensemble
from kit.plan.costs import Costs, Tasks

_ENOUGH = 3
"""Tasks of a pass from which on they are judged alone, without those of the member's other passes."""
Row = Mapping[str, Any]
"""A task in report.json."""
Line = tuple[float, float]
"""Seconds for each image and for each megapixel."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Seconds on one machine; of passes, loading and rows on one worker.

    Attributes:
        workers: that compute in parallel.
        installed: from the start until tasks can begin.
        ready: from the start until the weights of each member are verified; None for a member that is lost.
        imports: that the first task of each worker takes for libraries.
        loads: of each member, with what the first task after it takes longer.
        passes: of each pass, for an image and for a megapixel.
        known: passes that were measured; the others are told by those and by the ensemble.
        rows: of a row, for an image and for a megapixel of each pass that it is fused from.
        between: from the end of a worker's task to the begin of its next.
        validate: to check a file.
        ending: from the last task to the end.
        sizes: megapixels of the images that tell how large the hidden ones are.
    """

    workers: int
    installed: float
    ready: tuple[float | None, ...]
    imports: float
    loads: tuple[float, ...]
    passes: tuple[Line, ...]
    known: tuple[int, ...]
    rows: Line
    between: float
    validate: float
    ending: float
    sizes: tuple[float, ...]


def measured_tasks(
    ensemble: Ensemble, runs: Sequence[Sequence[Row]], megapixels: Mapping[str, float]
) -> dict[str, Any]:
    """Return the fields of `Measured` that tasks tell: from `imports` to `validate`.

    Args:
        ensemble: of the run.
        runs: rows of report.json on tasks, of the run, then of its dry run; each has workers of its own.
        megapixels: of each image.
    """
    done = [[task for task in run if "failed" not in task] for run in runs]
    owners = [item.member for item in ensemble.passes]
    # A task that loads its member also makes the network ready for its first image: seconds that belong to
    # the loading. With 5, 2 and 2 s for images of one size, an image takes 2 s, and loading 3 s more.
    passes = [task for run in done for task in run if task["kind"] == "pass" and _left(task)]
    steady = [task for task in passes if not task.get("load")]
    first = [task for task in passes if task.get("load")]
    seen = {task["index"] for task in steady}
    costs, each = Costs(ensemble), defaultdict[int, Tasks](Tasks)
    for task in (*steady, *(task for task in first if task["index"] not in seen)):
        size, seconds = megapixels[task["image"]] * _left(task), _seconds(task)
        costs.observe(task["index"], size, seconds)
        each[task["index"]].add(size, seconds)
    lines = [_line(costs, index, each) for index in range(len(owners))]
    imports, loads = _loads(ensemble, done, lines, megapixels)
    fuse = [task for run in done for task in _without_first(run, "fuse")]
    rows = Tasks()
    for task in fuse:
        maps = len(ensemble.rungs[task["index"]].passes)
        rows.add(megapixels[task["image"]] * maps, _seconds(task))
    checks = [_seconds(task) for run in done for task in run if task["kind"] == "validate"]
    # In the dry run a worker waits for the supervisor alone; in the run itself for the end of a rung, too.
    gaps = list(_gaps(done[-1]))
    return {
        "imports": imports,
        "loads": tuple(loads),
        "passes": tuple(lines),
        "known": tuple(sorted(each)),
        "rows": rows.line() if rows.number else (0.0, 0.0),
        "between": fmean(gaps) if gaps else 0.0,
        "validate": max(checks, default=0.0),
    }


def _loading(task: Row) -> float:
    """Return the seconds that a task took to import libraries and to load its member."""
    return float(task.get("load") or 0.0) + float(task.get("imports") or 0.0)


def _left(task: Row) -> float:
    """Return the share of its windows that a pass looked at; the others showed confident blocks alone."""
    return float(task.get("left", 1.0))


def _seconds(task: Row) -> float:
    """Return the seconds of a task without those of importing and loading."""
    return max(0.0, float(task["end"]) - float(task["begin"]) - _loading(task))


def _line(costs: Costs, index: int, each: Mapping[int, Tasks]) -> Line:
    if index in each and each[index].number >= _ENOUGH:
        return each[index].line()
    # The planner's own forecast, for images of 1 and 2 megapixels: 3 s and 5 s are 1 s + 2 s per megapixel.
    one, two = (costs.expected(index, 1, size) / costs.pace for size in (1.0, 2.0))
    return max(0.0, 2 * one - two), two - one


def _loads(
    ensemble: Ensemble, runs: Sequence[Sequence[Row]], lines: Sequence[Line], megapixels: Mapping[str, float]
) -> tuple[float, list[float]]:
    """Return the seconds of importing libraries, and of loading each member."""
    # A worker's first loading imports libraries, too: 8 s for member 0, of which another worker that had
    # imported them took 2 s: importing takes 6 s. The first run is the colder one, so it tells first.
    firsts: list[list[tuple[int, float]]] = []
    later = defaultdict[int, list[float]](list)
    for run in runs:
        firsts.append([])
        workers: set[int] = set()
        for task in run:
            if task["kind"] != "pass" or not task.get("load"):
                continue
            fixed, rate = lines[task["index"]]
            size = megapixels[task["image"]] * _left(task)
            surplus = max(0.0, _seconds(task) - fixed - rate * size)
            member, seconds = ensemble.passes[task["index"]].member, _loading(task) + surplus
            if task["worker"] in workers:
                later[member].append(seconds)
            else:
                workers.add(task["worker"])
                firsts[-1].append((member, seconds))
    loads = {member: fmean(seconds) for member, seconds in later.items()}
    told = [[seconds - loads[member] for member, seconds in run if member in loads] for run in firsts]
    imports = max(0.0, next((fmean(seconds) for seconds in told if seconds), 0.0))
    for member, seconds in (item for run in firsts for item in run):
        loads.setdefault(member, max(0.0, seconds - imports))
    # What was not loaded here loads as fast for each byte as the others.
    known = sum(ensemble.members[member].size for member in loads)
    rate = sum(loads.values()) / known if known else 0.0
    return imports, [loads.get(number, item.size * rate) for number, item in enumerate(ensemble.members)]


def _without_first(run: Sequence[Row], kind: str) -> Iterator[Row]:
    """Yield the tasks of a kind without each worker's first, which imports modules, if there are others."""
    workers: set[int] = set()
    own = [task for task in run if task["kind"] == kind]
    more = len(own) > len({task["worker"] for task in own})
    for task in own:
        if task["worker"] in workers or not more:
            yield task
        workers.add(task["worker"])


def _gaps(run: Sequence[Row]) -> Iterator[float]:
    last: dict[int, float] = {}
    for task in run:
        begin, worker = float(task["begin"]), task["worker"]
        if worker in last:
            yield max(0.0, begin - last[worker])
        last[worker] = float(task["end"])
