"""Draw what a run expected beside what came of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from kit.local.pages.charts import ALARM, NARROW, OTHER, WIDE, colours, for_both

_LEAST = 2
"""Forecasts from which a picture is drawn."""


def done_at(run: Mapping[str, Any]) -> dict[int, float]:
    """Return rung -> seconds since the process started until its file was written, of complete rungs.

    Args:
        run: content of report.json.
    """
    events = [event for event in run.get("events", []) if event["name"] == "rung" and not event.get("part")]
    return {event["rung"]: event["seconds"] for event in reversed(events)}


def forecast_chart(run: Mapping[str, Any]) -> str | None:
    """Draw for each rung when it was expected to be done, as the run went on, and when it was.

    A perfect forecast is a level line at the dot at its end. The band holds nine courses of the run in ten.

    Args:
        run: content of report.json.

    Returns:
        The chart, wide and narrow; None if the run forecast less than twice.
    """
    forecasts = run.get("forecasts", [])
    if len(forecasts) < _LEAST:
        return None
    points: defaultdict[int, list[tuple[float, float, float, float]]] = defaultdict(list)
    for item in forecasts:
        for rung, (early, median, late) in zip(item["rungs"], item["ends"], strict=True):
            points[rung].append((item["seconds"], early, median, late))
    done, limit = done_at(run), float(run["deadline"])
    ends = ", ".join(f"rung {rung + 1} after {second:.0f} s" for rung, second in sorted(done.items()))
    label = f"forecasts of the ends of {len(points)} rungs over time; done: {ends or 'none'}"
    return for_both(lambda narrow: _draw(points, done, limit, narrow=narrow), label)


def _draw(
    points: Mapping[int, list[tuple[float, float, float, float]]],
    done: Mapping[int, float],
    limit: float,
    *,
    narrow: bool,
) -> Figure:
    highest = 1.5 * limit  # a rung that is far too long would press all others to the ground
    last = max(own[-1][0] for own in points.values())
    columns = 3 if narrow else 8
    rows = -(-len(points) // columns)
    figure = Figure(figsize=(NARROW if narrow else WIDE, 3.0 + 0.2 * rows), layout="constrained")
    axes = figure.add_subplot()
    for rung, colour in zip(sorted(points), colours(len(points)), strict=True):
        seconds, early, median, late = zip(*points[rung], strict=True)
        axes.fill_between(seconds, early, late, color=colour, alpha=0.15, linewidth=0)
        axes.plot(seconds, median, color=colour, linewidth=1.3, label=f"rung {rung + 1}", marker=".")
        if rung in done:
            axes.plot(done[rung], done[rung], "o", color=colour, markersize=7)
    top = max([*done.values(), *(min(item[3], highest) for own in points.values() for item in own)])
    if limit < 2 * top:
        axes.axhline(limit, color=ALARM, linewidth=1.2)
        axes.text(0, limit, " the last task has to be done", fontsize=8, color=ALARM, va="bottom")
    # Where the end of a rung is now: no forecast lies below this line.
    axes.plot([0, top], [0, top], color=OTHER, linewidth=0.8, linestyle=":")
    axes.set(
        xlabel="seconds since the process started",
        ylabel="second of the rung's end",
        xlim=(0, max([*done.values(), last]) * 1.05),
        ylim=(0, (max(top, limit) if limit < 2 * top else top) * 1.08),
    )
    figure.legend(frameon=False, ncols=min(columns, len(points)), loc="outside upper left")
    return figure
