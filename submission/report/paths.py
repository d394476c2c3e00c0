"""Draw the rungs by cost and score, and how far a run came on which path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator

from kit.local.pages.charts import BEGUN, GOOD, OTHER, STYLE, svg


def path_chart(run: Mapping[str, Any]) -> str | None:
    """Draw the rungs: cost to the right, score upwards; those done are green, joined in their order.

    Args:
        run: content of report.json.

    Returns:
        An SVG element; None if fewer than two rungs have a score.
    """
    cost = rung_costs(run)
    known = [rung for rung in run.get("rungs", []) if rung.get("cv") is not None]
    if len(known) < 2:
        return None
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.4, 2.8), layout="constrained")
        axes = figure.add_subplot()
        done = [rung for rung in known if rung["state"] == "done"]
        if done:
            axes.plot(*zip(*((cost[rung["index"]], rung["cv"]) for rung in done), strict=True), color=GOOD)
        for rung in known:
            colour = {"done": GOOD, "incomplete": BEGUN}.get(rung["state"], OTHER)
            at = cost[rung["index"]], rung["cv"]
            axes.plot(*at, "o", color=colour)
            axes.annotate(str(rung["index"] + 1), at, xytext=(4, 5), textcoords="offset points", fontsize=8)
        axes.set(xlabel="seconds per megapixel on one worker", ylabel="score of unseen images")
        if min(cost.values()) > 0:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            least, most = min(cost.values()), max(cost.values())
            if most < 10 * least:
                # Within a decade few of 1, 2, 5 lie: as many places as fit, at round numbers.
                axes.xaxis.set_major_locator(MaxNLocator(5))
                axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(axis="y", alpha=0.25)
        reached = ", ".join(f"rung {rung['index'] + 1} {rung['cv']:.4f}" for rung in done)
        return svg(figure, f"score of unseen images over cost; done: {reached or 'none'}")


def rung_costs(run: Mapping[str, Any]) -> dict[int, float]:
    """Return rung -> seconds per megapixel of all its passes: as measured in the run, else as expected.

    Args:
        run: content of report.json.
    """
    each = {
        item["index"]: item["seconds_per_megapixel"] or item["expected_seconds_per_megapixel"]
        for item in run.get("passes", [])
    }
    return {
        rung["index"]: sum(each.get(index, 0.0) for index in rung["passes"]) for rung in run.get("rungs", [])
    }
