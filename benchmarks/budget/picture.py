"""A picture of how near each way came to the best choice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.budget.comparison import Compared
from benchmarks.budget.ways import WAYS

_FROM = 0.8
"""The least ratio that the picture shows."""


def draw(worlds: Sequence[Compared], path: Path) -> None:
    """Write a picture: for each way, the part of the worlds in which it stayed below a ratio.

    Args:
        worlds: to show.
        path: the SVG file.

    Raises:
        KitError: the disk is full.
    """
    from matplotlib.figure import Figure

    from kit.local.pages.charts import write_svg

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    parts = [(number + 1) / len(worlds) for number in range(len(worlds))]
    for number, way in enumerate(WAYS):
        axes.step(sorted(world.ratio(number) for world in worlds), parts, where="post", label=way.name)
    axes.set_xlim(_FROM, 1.0)
    axes.set_yscale("log")
    axes.set_ylim(1 / len(worlds), 1.0)
    axes.set_xlabel("score / score of the best choice with hindsight")
    axes.set_ylabel("part of the worlds below")
    axes.set_title(f"{len(worlds)} simulated runs: the lower, the better")
    axes.grid(visible=True, alpha=0.3)
    axes.legend(loc="upper left")
    write_svg(figure, path)
