"""Draw a run of predict.py as lanes of bars."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from matplotlib.figure import Figure

from kit.local.pages.charts import ALARM, NARROW, SOFT, WIDE, colours, for_both

_MOMENTS = {
    "fallback": "fallback written",
    "datasets": "datasets found",
    "installed": "installed",
    "verified": "bundle verified",
    "first_forward": "first forward pass",
    "deadline": "deadline",
    "stopped": "stopped",
}


@dataclass(frozen=True)
class Bar:
    """One bar in a lane of the timeline.

    Attributes:
        lane: the lane's name, e.g. "supervisor", "worker 0".
        label: what was done.
        start: seconds since process start.
        end: seconds since process start.
    """

    lane: str
    label: str
    start: float
    end: float


def marks_of(run: Mapping[str, Any]) -> list[tuple[float, str]]:
    """Return the moments of a run that a timeline names, as (seconds, name), in their order.

    Args:
        run: content of report.json.
    """
    marks = []
    for event in run.get("events", []):
        if event["name"] in _MOMENTS:
            marks.append((event["seconds"], _MOMENTS[event["name"]]))
        elif event["name"] == "rung":
            marks.append((event["seconds"], f"rung {event['rung'] + 1} written"))
    return sorted(marks)


def timeline(bars: Sequence[Bar], marks: Sequence[tuple[float, str]], *, budget: float | None) -> str:
    """Draw lanes of bars over the seconds of a run, with numbered moments and the budget's end.

                      1                   2-3
        supervisor  |start|find and install|
        worker 0    |import, wait for the bundle|pass 1|pass 2|

        1  0.2 s  fallback written      2  4.1 s  installed      3  4.2 s  bundle verified

    Args:
        bars: lanes appear in the order in which they are first named.
        marks: (seconds, name) of moments, in their order.
        budget: seconds that the run was allowed; drawn if it is less than twice the run's length.

    Returns:
        HTML: the chart, wide and narrow, and the list of the moments.
    """
    lanes = list(dict.fromkeys(bar.lane for bar in bars))
    end = max([bar.end for bar in bars] + [second for second, _ in marks] + [0.1])
    limit = budget if budget is not None and budget < 2 * end else None
    label = f"{', '.join(lanes)} over {end:.0f} seconds; the moments are listed below"
    chart = for_both(lambda narrow: _draw(bars, marks, lanes, end, limit, narrow=narrow), label)
    listed = "".join(
        f"<li><b>{number}</b> {second:.1f} s <span>{escape(name)}</span></li>"
        for number, (second, name) in enumerate(marks, start=1)
    )
    return f'{chart}\n<ol class="moments">{listed}</ol>' if marks else chart


def _draw(
    bars: Sequence[Bar],
    marks: Sequence[tuple[float, str]],
    lanes: list[str],
    end: float,
    limit: float | None,
    *,
    narrow: bool,
) -> Figure:
    labels = list(dict.fromkeys(bar.label for bar in bars))
    colour_of = dict(zip(labels, colours(len(labels)), strict=True))
    spans: defaultdict[tuple[int, str], list[tuple[float, float]]] = defaultdict(list)
    for bar in bars:
        spans[lanes.index(bar.lane), bar.label].append((bar.start, max(bar.end - bar.start, end / 1000)))
    columns = 2 if narrow else 6
    rows = -(-len(labels) // columns)
    figure = Figure(
        figsize=(NARROW if narrow else WIDE, 1.0 + 0.2 * rows + 0.42 * len(lanes)), layout="constrained"
    )
    axes = figure.add_subplot()
    for (lane, label), own in spans.items():
        axes.broken_barh(own, (lane - 0.35, 0.7), facecolors=colour_of[label])
    for second, _ in marks:
        # From below its number, which the line would cross.
        axes.vlines(second, -0.42, len(lanes) - 0.5, color=SOFT, linewidth=0.8, linestyle=":")
    for second, text in grouped([second for second, _ in marks], end / (16 if narrow else 50)):
        axes.text(second, -0.5, text, fontsize=8, color=SOFT, ha="center", va="bottom", clip_on=False)
    if limit is not None:
        axes.axvline(limit, color=ALARM, linewidth=1.6)
    for label, colour in colour_of.items():
        axes.plot([], [], color=colour, linewidth=6, label=label)
    axes.set_yticks(range(len(lanes)), lanes)
    axes.set(xlabel="seconds since the process started", xlim=(0, end * 1.02), ylim=(len(lanes) - 0.5, -1.0))
    figure.legend(frameon=False, ncols=min(columns, len(labels)), loc="outside lower left")
    return figure


def grouped(seconds: Sequence[float], closest: float) -> list[tuple[float, str]]:
    """Return where the numbers of moments stand; those too close to one another share a place.

    >>> grouped([1.0, 1.1, 1.2, 9.0], 0.5)
    [(1.1, '1-3'), (9.0, '4')]

    Args:
        seconds: of the moments, ascending.
        closest: seconds that two numbers need between them.
    """
    groups: list[list[int]] = []
    for index, second in enumerate(seconds):
        if groups and second - seconds[groups[-1][0]] < closest:
            groups[-1].append(index)
        else:
            groups.append([index])
    return [
        (
            round((seconds[own[0]] + seconds[own[-1]]) / 2, 6),
            str(own[0] + 1) if len(own) == 1 else f"{own[0] + 1}-{own[-1] + 1}",
        )
        for own in groups
    ]
