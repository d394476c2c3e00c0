"""Draw charts as inline SVG with matplotlib; text stays text."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.figure import Figure

_STYLE = {
    "svg.fonttype": "none",  # text stays text and can be searched
    "svg.hashsalt": "kit",  # the same ids, hence the same bytes, in each run
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_COLOURS = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"),
    *("#8c6d31", "#7f7f7f", "#17becf", "#bcbd22", "#843c39", "#393b79"),
)


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


def curves(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    x_label: str,
    y_label: str,
    log: bool = False,
) -> str:
    """Draw lines over one x axis.

    Args:
        series: name -> (x, y).
        x_label: of the x axis.
        y_label: of the y axis.
        log: logarithmic y axis.

    Returns:
        An SVG element.
    """
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(5.2, 2.6), layout="constrained")
        axes = figure.add_subplot()
        for (name, (x, y)), colour in zip(series.items(), _cycle(len(series)), strict=True):
            axes.plot(
                x,
                y,
                color=colour,
                label=name,
                linewidth=1.4,
                marker="o" if len(x) < 12 else None,
                markersize=3,
            )
        axes.set(xlabel=x_label, ylabel=y_label)
        if log:
            axes.set_yscale("log")
        if len(series) > 1:
            axes.legend(frameon=False)
        axes.grid(axis="y", alpha=0.25)
        return _svg(figure)


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
    colour_of = dict(zip(labels, _cycle(len(labels)), strict=True))
    end = max([bar.end for bar in bars] + [second for second, _ in marks] + [0.1])
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(10.6, 1.7 + 0.42 * len(lanes)), layout="constrained")
        axes = figure.add_subplot()
        for bar in bars:
            axes.broken_barh(
                [(bar.start, max(bar.end - bar.start, end / 1000))],
                (lanes.index(bar.lane) - 0.35, 0.7),
                facecolors=colour_of[bar.label],
            )
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
        return _svg(figure)


def _cycle(count: int) -> list[str]:
    return [_COLOURS[index % len(_COLOURS)] for index in range(count)]


def _svg(figure: Figure) -> str:
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    svg = stream.getvalue()
    # Only the element: inside HTML an XML declaration and a document type are errors.
    svg = svg[svg.index("<svg") :]
    return re.sub(r"[ \t]+\n", "\n", svg)
