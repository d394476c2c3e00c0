"""Learning curves of a recipe's folds: loss, metric, learning rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

from kit.local.pages.charts import curves, running_mean
from train_local.report.runs import RunRecord

_POINTS = 200
"""Points of a line: more would not show on a chart of 500 pixels and make the page large."""

T = TypeVar("T")


def learning_curves(runs: Sequence[RunRecord]) -> list[str]:
    """Return up to three charts as SVG, a line for each fold; a chart without any point is left out."""
    metric = next((run.metric_name for run in runs if run.metric_name), "metric")
    charts = []
    for key, label in (
        ("loss", "training loss (running mean)"),
        ("metric", f"{metric}, held-out images"),
        ("lr", "learning rate"),
    ):
        series = {}
        for run in runs:
            known = [line for line in run.lines if _is_number(line.get(key))]
            values = [float(line[key]) for line in known]
            values = running_mean(values) if key == "loss" else values
            if known:
                points = thinned(list(zip((line["step"] for line in known), values, strict=True)))
                series[f"fold {run.fold}"] = ([step for step, _ in points], [value for _, value in points])
        if series:
            positive = all(value > 0 for _, values in series.values() for value in values)
            log = key == "loss" and positive
            charts.append(curves(series, x_label="optimiser step", y_label=label, log=log))
    return charts


def thinned(points: Sequence[T], most: int = _POINTS) -> list[T]:
    """Return at most `most` points, evenly spread, the first and the last among them."""
    # 5 of 9 points are those number 0, 2, 4, 6, 8.
    if len(points) <= most:
        return list(points)
    return [points[round(number * (len(points) - 1) / (most - 1))] for number in range(most)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
