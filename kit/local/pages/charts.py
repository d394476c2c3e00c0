"""Draw charts as inline SVG with matplotlib; text stays text."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from kit.artefacts import write_text

STYLE = {
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
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.2, 2.6), layout="constrained")
        axes = figure.add_subplot()
        for (name, (x, y)), colour in zip(series.items(), colours(len(series)), strict=True):
            axes.plot(
                x,
                y,
                color=colour,
                label=name.replace("$", r"\$"),  # "$x$" would be read as a formula
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
        return svg(figure)


def running_mean(values: Sequence[float]) -> list[float]:
    """Return the mean of the last 5 % of the values up to each: losses of single batches hide the trend."""
    # With 200 values the width is 10: value 50 becomes the mean of 41 to 50, value 3 that of 1 to 3.
    width = max(1, len(values) // 20)
    return [
        sum(values[max(0, index - width + 1) : index + 1]) / min(width, index + 1)
        for index in range(len(values))
    ]


def colours(count: int) -> list[str]:
    """Return a colour for each of `count` lines; after twelve they repeat."""
    return [_COLOURS[index % len(_COLOURS)] for index in range(count)]


def svg(figure: Figure) -> str:
    """Return a figure as an SVG element, the same bytes in each run."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    # Only the element: inside HTML an XML declaration and a document type are errors.
    text = text[text.index("<svg") :]
    return re.sub(r"[ \t]+\n", "\n", text)


def write_svg(figure: Figure, path: Path) -> None:
    """Write a figure as an SVG file; equal figures give equal files.

    Raises:
        KitError: the disk is full.
    """
    with mpl.rc_context(STYLE):
        write_text(path, svg(figure))
