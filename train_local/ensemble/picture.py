"""Pictures of a ladder: score against cost, in the terminal while the search goes on, and as an SVG file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from kit.local.console import console, progress
from train_local.ensemble.ladder import Ladder
from train_local.ensemble.search import Step

_ROWS, _COLUMNS = 10, 56


def plot(
    points: Sequence[tuple[float, float, str]], unit: str, rows: int = _ROWS, columns: int = _COLUMNS
) -> list[str]:
    """Return lines of text that show points: cost to the right on a logarithmic scale, score upwards.

    Args:
        points: cost, score, and the character that stands there; later ones cover earlier ones.
        unit: of the cost.
        rows: of the drawing.
        columns: of the drawing.
    """
    known = [(math.log2(max(x, 1e-6)), y, mark) for x, y, mark in points if math.isfinite(y)]
    if not known:
        return []
    left, right = min(x for x, *_ in known), max(x for x, *_ in known)
    low, high = min(y for _, y, _ in known), max(y for _, y, _ in known)
    grid = [[" "] * columns for _ in range(rows)]
    for x, y, mark in known:
        column = round((x - left) / ((right - left) or 1) * (columns - 1))
        row = round((high - y) / ((high - low) or 1) * (rows - 1))
        grid[row][column] = mark
    labels = [f"{high:.4f}", *[""] * (rows - 2), f"{low:.4f}"]
    lines = [f"{label:>7} |{''.join(row)}" for label, row in zip(labels, grid, strict=True)]
    ends = f"{2**left:.3g}", f"{2**right:.3g} {unit}"
    return [*lines, f"{'':>7} +{'-' * columns}", f"{'':>9}{ends[0]}{ends[1]:>{columns - len(ends[0])}}"]


class SearchPicture:
    """Shows how far the search is, and the ladders as they grow; draws nothing without a terminal.

    Args:
        parts: number of parts whose ladders are searched besides the one of all images.
        images: to be read.
        subsets: that are asked for, at most, when the ladders are there.
        unit: of the costs.
    """

    def __init__(self, parts: int, *, images: int, subsets: int, unit: str) -> None:
        self._unit = unit
        self._steps: dict[int | None, list[Step]] = {}
        self._searches = 1 + (parts if parts > 1 else 0)
        self._progress = progress()
        # Maps are read twice: for the sample, and to score what was found pixel by pixel.
        self._read = self._progress.add_task("maps read", total=2 * images, note="")
        self._search = self._progress.add_task("ladders", total=self._searches, note="")
        self._subsets = self._progress.add_task("subsets", total=subsets, note="")
        self._live = Live(self._drawing(), console=console(), refresh_per_second=2, transient=True)

    def __enter__(self) -> Self:
        if console().is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def image(self) -> None:
        """Say that the maps of an image were read."""
        self._progress.advance(self._read)

    def step(self, part: int | None, step: Step) -> None:
        """Show a step of the ladder that does not see a part (None: of the one that sees all images)."""
        self._steps.setdefault(part, []).append(step)
        self._progress.update(self._search, completed=len(self._steps))
        self._live.update(self._drawing())

    def asked(self, subsets: int) -> None:
        """Say that so many more subsets were asked for, or need not be."""
        self._progress.advance(self._subsets, subsets)

    def _drawing(self) -> Group:
        table = Table("step", "added", self._unit, "fitted score", box=None)
        for number, step in enumerate(self._steps.get(None, [])):
            last = step.selection.recipe_views[-1]
            table.add_row(str(number), f"{last.recipe} {last.view}", f"{step.cost:.3g}", f"{step.score:.4f}")
        points = [
            (step.cost, step.score, "·" if part is not None else "●")
            for part, steps in sorted(self._steps.items(), key=lambda item: item[0] is None)
            for step in steps
        ]
        text = Text("\n".join(plot(points, self._unit)))
        return Group(self._progress, table, text)


def draw_ladder(ladder: Ladder, competition: str, metric: str, path: Path) -> None:
    """Write a picture of a ladder: scores of unseen images with their errors, fitted scores, the baseline.

    Args:
        ladder: to draw.
        competition: its name.
        metric: name of the score.
        path: the SVG file.

    Raises:
        KitError: the disk is full.
    """
    from matplotlib.figure import Figure

    from kit.local.pages.charts import write_svg

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    # Rungs come by the cost that the search counted in, and lines are drawn by seconds.
    known = sorted((item for item in ladder.rungs if item.rung.cv is not None), key=lambda item: item.seconds)
    seconds = [item.seconds for item in known]
    values = [float(item.rung.cv or 0) for item in known]
    errors = [0.0 if math.isnan(item.error) or item.fitted is None else item.error for item in known]
    axes.errorbar(seconds, values, yerr=errors, marker="o", capsize=3, label="rungs, unseen images")
    subsets = [(item.seconds, item.rung.cv) for item in known if item.share is not None]
    if subsets:
        axes.plot(
            *zip(*subsets, strict=True), "D", color="C3", zorder=3, label="best subset of a share of the cost"
        )
    fitted = [(item.seconds, item.fitted) for item in known if item.fitted is not None]
    if fitted:
        axes.plot(*zip(*fitted, strict=True), "o:", color="gray", label="rungs, images they were tuned on")
    static = [(item.seconds, item.static) for item in known if item.static is not None]
    if static:
        axes.plot(*zip(*static, strict=True), "s--", label="static weighting, unseen images")
    for item, value in zip(known, values, strict=True):
        number = str(ladder.rungs.index(item) + 1)
        axes.annotate(number, (item.seconds, value), xytext=(4, 6), textcoords="offset points")
    axes.set_xscale("log")
    axes.set_xlabel("seconds per megapixel")
    axes.set_ylabel(metric)
    axes.set_title(f"{competition}: rungs by cost and score")
    axes.grid(visible=True, alpha=0.3)
    if known:
        axes.legend(loc="lower right")
    write_svg(figure, path)
