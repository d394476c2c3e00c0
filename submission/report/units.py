"""The bars of a run's timeline: what the supervisor and every worker did when, from report.json."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from submission.report.timeline import Bar

_MOST_LABELS = 12
"""Passes that get names of their own; with more of them, bars are named after the members."""
_MOST_BARS = 2000
"""Bars of a lane that are drawn one by one."""
_SLOTS = 1500
"""Parts that a lane with more bars is divided into: a picture has about as many columns of pixels."""


def bars_of(run: Mapping[str, Any]) -> list[Bar]:
    """Return the bars of a run, lane by lane: the supervisor, then the workers.

    Args:
        run: content of report.json.
    """
    tasks = run.get("tasks", [])
    bars = [*_supervisor(_first_seconds(run)), *_starts(run, tasks)]
    names = _names(run, tasks)
    ordered = sorted(tasks, key=lambda task: (task["worker"], task["begin"]))
    end = max([float(task["end"]) for task in tasks], default=0.0)
    for worker, own in groupby(ordered, lambda task: task["worker"]):
        lane = [Bar(f"worker {worker}", _label(task, names), task["begin"], task["end"]) for task in own]
        bars += lane if len(lane) <= _MOST_BARS else summarised(lane, end)
    return bars


def summarised(bars: Sequence[Bar], end: float) -> list[Bar]:
    """Return a lane of very many bars as few that look the same.

    Args:
        bars: of one lane, none of which overlap.
        end: second at which the picture ends.
    """
    # 5000 images x 64 passes are 320,000 bars. A slot of the lane gets the label that most of it has:
    #     |1|f|1|f|1|1|2|2|f|2|   with slots of five bars   |  1  |  2  |
    width = end / _SLOTS
    busy: list[defaultdict[str, float]] = [defaultdict(float) for _ in range(_SLOTS)]
    for bar in bars:
        for slot in range(int(bar.start / width), min(int(bar.end / width), _SLOTS - 1) + 1):
            part = min(bar.end, (slot + 1) * width) - max(bar.start, slot * width)
            busy[slot][bar.label] += part
    labels = [_of_slot(counts, width) for counts in busy]
    result, first = [], 0
    for label, same in groupby(labels):
        after = first + len(list(same))
        if label is not None:
            result.append(Bar(bars[0].lane, label, first * width, after * width))
        first = after
    return result


def _of_slot(busy: Mapping[str, float], width: float) -> str | None:
    """Return the label of a slot; None if nothing was done in more than half of it."""
    if sum(busy.values()) < width / 2:
        return None
    return max(busy, key=busy.__getitem__)


def _first_seconds(run: Mapping[str, Any]) -> dict[str, float]:
    # Some events happen several times, e.g. one rung after the other. Reading them backwards keeps the first.
    return {event["name"]: event["seconds"] for event in reversed(run.get("events", []))}


def _supervisor(seconds: Mapping[str, float]) -> Iterator[Bar]:
    if "fallback" in seconds:
        yield Bar("supervisor", "start", 0.0, seconds["fallback"])
    if "installed" in seconds:
        yield Bar("supervisor", "find and install", seconds.get("fallback", 0.0), seconds["installed"])
    if "verified" in seconds and "installed" in seconds:
        yield Bar("supervisor", "verify weights", seconds["installed"], seconds["verified"])


def _starts(run: Mapping[str, Any], tasks: Sequence[Mapping[str, Any]]) -> Iterator[Bar]:
    first_task: dict[int, float] = {}
    for task in tasks:
        first_task[task["worker"]] = min(task["begin"], first_task.get(task["worker"], task["begin"]))
    begin = _first_seconds(run).get("start", 0.0)
    for event in run.get("events", []):
        if event["name"] == "device":
            # A worker is idle from its start until its first task: it imports torch and waits for the bundle.
            until = first_task.get(event["worker"], event["seconds"])
            yield Bar(f"worker {event['worker']}", "import, wait for the bundle", begin, until)


def _names(run: Mapping[str, Any], tasks: Sequence[Mapping[str, Any]]) -> dict[int, str]:
    """Return the name of every pass."""
    passes = sorted({task["index"] for task in tasks if task["kind"] == "pass"})
    if len(passes) <= _MOST_LABELS:
        return {index: f"pass {index + 1}" for index in passes}
    members = {item["index"]: item["member"] for item in run.get("passes", [])}
    return {index: members.get(index, f"pass {index + 1}") for index in passes}


def _label(task: Mapping[str, Any], names: Mapping[int, str]) -> str:
    if "failed" in task:
        return "failed"
    return names[task["index"]] if task["kind"] == "pass" else str(task["kind"])
