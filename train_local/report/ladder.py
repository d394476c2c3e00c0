"""The ladder of an ensemble: score against cost, rung by rung."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.artefacts import read_json
from kit.local.costs import load_with_costs
from kit.local.pages.charts import curves


@dataclass(frozen=True)
class RungShown:
    """A rung as the page shows it.

    Attributes:
        added: the last pass, "unet-regnety16.fold0 hflip".
        passes: number of passes.
        seconds: per megapixel, of all of them.
        score: of held-out images; None if nobody held images out.
        error: of that score; None if unknown.
        fitted: score of the images that the rung was tuned on; None if unknown.
        static: score of the static weighting at the same cost; None if unknown.
    """

    added: str
    passes: int
    seconds: float
    score: float | None
    error: float | None = None
    fitted: float | None = None
    static: float | None = None


def read_ladder(path: Path) -> list[RungShown]:
    """Return the rungs of an ensemble, with what `ladder.json` beside it knows of their scores.

    Args:
        path: the ensemble.json.

    Raises:
        KitError: a file is missing or damaged.
    """
    ensemble = load_with_costs(path)
    place = path.with_name("ladder.json")
    more = _known(read_json(place)) if place.is_file() else []
    if [item.get("passes") for item in more] != [rung.passes for rung in ensemble.rungs]:
        more = [{} for _ in ensemble.rungs]  # of another ensemble
    shown = []
    for rung, known in zip(ensemble.rungs, more, strict=True):
        passes = [ensemble.passes[index] for index in rung.passes]
        shown.append(
            RungShown(
                f"{ensemble.members[passes[-1].member].name} {passes[-1].view}",
                len(rung.passes),
                sum(item.seconds_per_megapixel for item in passes),
                rung.cv,
                known.get("error"),
                known.get("tuned_on_all"),
                known.get("static_weighting"),
            )
        )
    return shown


def _known(value: Any) -> list[dict[str, Any]]:
    """What a `ladder.json` says of its rungs; nothing where it is of another form."""
    rungs = value.get("rungs") if isinstance(value, dict) else None
    found = rungs if isinstance(rungs, list) else []
    return [item for item in found if isinstance(item, dict)]


def draw_ladder(rungs: list[RungShown], metric: str) -> str:
    """Return the chart as SVG; "" if no rung has a score."""
    lines = {
        "ladder, images it was not tuned on": [(rung.seconds, rung.score) for rung in rungs],
        "ladder, images it was tuned on": [(rung.seconds, rung.fitted) for rung in rungs],
        "static weighting": [(rung.seconds, rung.static) for rung in rungs],
    }
    series = {}
    for name, points in lines.items():
        known = [(seconds, score) for seconds, score in points if score is not None]
        if known:
            series[name] = ([seconds for seconds, _ in known], [score for _, score in known])
    return curves(series, x_label="seconds per megapixel", y_label=metric) if series else ""
