"""Draw charts as inline SVG with matplotlib; text stays text."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from kit.artefacts import write_text

STYLE = {
    "svg.fonttype": "none",  # text stays text and can be searched
    "svg.hashsalt": "kit",  # the same ids, hence the same bytes, in each run
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
# Colours of lines on white, and of the same lines on a dark page. Each pair has a contrast of 3 or more with
# its background (a test counts), and neighbours differ for colour-blind readers too.
SERIES = (
    *(("#0072b2", "#4aa8e8"), ("#c95200", "#f28c45"), ("#00805c", "#2fc79a"), ("#a8487f", "#e58fbe")),
    *(("#946a00", "#e0b33c"), ("#1687b3", "#7ccdf5"), ("#7a5c31", "#c9a877"), ("#6b6b6b", "#b0b0b0")),
    *(("#0c8491", "#3fd0de"), ("#777a00", "#cdd14f"), ("#843c39", "#e0867f"), ("#393b79", "#9a9cf0")),
)
ALARM = "#b00020"
"""Limits, failures."""
GOOD, BEGUN, OTHER, SOFT = "#00805c", "#946a00", "#767676", "#444444"
"""Done; begun; not begun; what stands behind."""


def series_css() -> str:
    """Return the lines' colours as CSS variables; pages use them, so that a dark page has lighter lines."""
    return "\n  ".join(
        f"--series-{number}: light-dark({light}, {dark});" for number, (light, dark) in enumerate(SERIES)
    )


def _page_colours() -> dict[str, str]:
    """What a page puts in the place of a colour that was drawn."""
    shared = {
        "#000000": "currentColor",
        "#ffffff": "none",
        ALARM: "var(--failed)",
        SOFT: "var(--soft)",
        OTHER: "var(--soft)",
        "#b0b0b0": "var(--line)",  # matplotlib's grid
    }
    return {light: f"var(--series-{number})" for number, (light, _) in enumerate(SERIES)} | shared


def curves(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    x_label: str,
    y_label: str,
    log: bool = False,
    label: str = "",
) -> str:
    """Draw lines over one x axis.

    Args:
        series: name -> (x, y).
        x_label: of the x axis.
        y_label: of the y axis.
        log: logarithmic y axis.
        label: what the chart shows, for readers who do not see it; the axes' labels if empty.

    Returns:
        An SVG element.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.4, 2.6), layout="constrained")
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
            # Losses rarely span a power of ten, so that 1, 10 and 100 would leave an axis without a number.
            axes.set_yscale("log")
            low, high = axes.dataLim.intervaly
            wide = high >= 10 * low
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)) if wide else MaxNLocator(5))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_locator(NullLocator())
        if len(series) > 1:
            longest = max(len(name) for name in series)
            columns = max(1, min(len(series), 48 // (longest + 5)))
            figure.legend(frameon=False, ncols=columns, loc="outside upper left", fontsize=8)
        axes.grid(axis="y", alpha=0.25)
        return svg(figure, label or f"{y_label} over {x_label}")


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
    return [SERIES[index % len(SERIES)][0] for index in range(count)]


def on_page(colour: str) -> str:
    """Return what stands for a colour in a page's style: a variable that differs on a dark page."""
    return _page_colours().get(colour, colour)


def for_both(draw: Callable[[bool], Figure], label: str) -> str:
    """Return a chart twice: wide, and narrow for a phone, where letters of a wide one would be too small.

    Args:
        draw: draws the chart; its argument says whether the narrow one is wanted.
        label: what the chart shows.
    """
    with mpl.rc_context(STYLE):
        wide, narrow = (svg(draw(small), label) for small in (False, True))
    return f'<div class="wide">{wide}</div>\n<div class="narrow">{narrow}</div>'


WIDE, NARROW = 10.6, 3.72
"""Inches (72 points) of a chart as wide as a page, and as wide as a phone of 390 pixels."""


def svg(figure: Figure, label: str) -> str:
    """Return a figure as an SVG element of a page, the same bytes in each run.

    Its colours are those of the page, light or dark, and its background is the page's.

    Args:
        figure: what to draw.
        label: what it shows, for readers who do not see it.
    """
    text = _markup(figure)
    for colour, of_page in _page_colours().items():
        text = re.sub(rf"(?<=: ){colour}\b", of_page, text)
    # Pages hold many figures, and ids have to be unique in a page.
    own = hashlib.sha256(text.encode()).hexdigest()[:8]
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{own}-", text)
    return text.replace("<svg ", f'<svg class="chart" role="img" aria-label="{escape(label)}" ', 1)


def _markup(figure: Figure) -> str:
    """Return only the element: inside HTML an XML declaration and a document type are errors."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    return re.sub(r"[ \t]+\n", "\n", text[text.index("<svg") :])


def write_svg(figure: Figure, path: Path) -> None:
    """Write a figure as an SVG file; equal figures give equal files.

    Raises:
        KitError: the disk is full.
    """
    with mpl.rc_context(STYLE):
        write_text(path, _markup(figure))
