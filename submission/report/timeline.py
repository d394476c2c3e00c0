"""Draw a run of predict.py as lanes of bars."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from kit.local.pages.charts import STYLE, colours, svg

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
    """Draw lanes of bars over the seconds of a run, with vertical marks and the budget's end.

        supervisor  |start|find and install|
        worker 0    |import, wait for the bundle|pass 1|pass 2|
                          :fallback written          :rung 1 written

    Args:
        bars: lanes appear in the order in which they are first named.
        marks: (seconds, name) of moments.
        budget: seconds that the run was allowed; drawn if it is less than twice the run's length.

    Returns:
        An SVG element.
    """
    lanes = list(dict.fromkeys(bar.lane for bar in bars))
    labels = list(dict.fromkeys(bar.label for bar in bars))
    colour_of = dict(zip(labels, colours(len(labels)), strict=True))
    end = max([bar.end for bar in bars] + [second for second, _ in marks] + [0.1])
    spans: defaultdict[tuple[int, str], list[tuple[float, float]]] = defaultdict(list)
    for bar in bars:
        spans[lanes.index(bar.lane), bar.label].append((bar.start, max(bar.end - bar.start, end / 1000)))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10.6, 1.7 + 0.42 * len(lanes)), layout="constrained")
        axes = figure.add_subplot()
        for (lane, label), own in spans.items():
            axes.broken_barh(own, (lane - 0.35, 0.7), facecolors=colour_of[label])
        for index, (second, name) in enumerate(marks):
            axes.axvline(second, color="#444444", linewidth=0.8, linestyle=":")
            # Names of successive moments stand at four heights, so that close ones do not cover each other.
            height = -0.62 - 0.4 * (index % 4)
            axes.text(second, height, f" {name}", fontsize=7.5, color="#444444", clip_on=False)
        if budget is not None and budget < 2 * end:
            axes.axvline(budget, color="#b00020", linewidth=1.6)
        for label, colour in colour_of.items():
            axes.plot([], [], color=colour, linewidth=6, label=label)
        axes.set_yticks(range(len(lanes)), lanes)
        axes.set(
            xlabel="seconds since the process started", xlim=(0, end * 1.02), ylim=(len(lanes) - 0.4, -2.1)
        )
        figure.legend(frameon=False, ncols=min(6, len(labels)), loc="outside lower center")
        return svg(figure)
