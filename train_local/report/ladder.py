"""The ladder of an ensemble: score against cost, rung by rung."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.artefacts import read_json
from kit.ensemble import Ensemble
from kit.local.costs import load_with_costs
from kit.local.pages.charts import curves
from train_local.durations import range_text


@dataclass(frozen=True)
class RungShown:
    """A rung as the page shows it.

    Attributes:
        added: the passes it has more than the rung of the ladder before, "unet-regnety16.fold0 hflip"; of a
            subset all its passes.
        passes: which, as people count them: "1-3, 6".
        seconds: per megapixel, of all of them.
        score: of held-out images; None if nobody held images out.
        error: of that score; None if unknown.
        fitted: score of the images that the rung was tuned on; None if unknown.
        static: score of the static weighting at the same cost; None if unknown.
        time: in the hidden run, "2.1 h (1.6 to 2.8 h)"; "" if unknown.
    """

    added: str
    passes: str
    seconds: float
    score: float | None
    error: float | None = None
    fitted: float | None = None
    static: float | None = None
    time: str = ""


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
    done = 0
    for rung, known in zip(ensemble.rungs, more, strict=True):
        # Rungs of the ladder are the first passes: 1-2 after 1 adds pass 2. All others are subsets: 1, 3.
        first = rung.passes == list(range(len(rung.passes)))
        added = _names(ensemble, rung.passes[done:] if first else rung.passes)
        done = len(rung.passes) if first else done
        passes = [ensemble.passes[index] for index in rung.passes]
        shown.append(
            RungShown(
                added,
                rung.text,
                sum(item.seconds_per_megapixel for item in passes),
                rung.cv,
                known.get("error"),
                known.get("tuned_on_all"),
                known.get("static_weighting"),
                _time(known.get("hidden_time")),
            )
        )
    return shown


def _names(ensemble: Ensemble, passes: Sequence[int]) -> str:
    """Passes with each member once: "blobs.fold0 identity hflip, seeded.fold0 identity"."""
    views: dict[str, list[str]] = {}
    for index in passes:
        item = ensemble.passes[index]
        views.setdefault(ensemble.members[item.member].name, []).append(item.view)
    return ", ".join(" ".join([name, *of_member]) for name, of_member in views.items())


def _time(value: Any) -> str:
    """Return a time of `ladder.json` in words; "" where it has none."""
    if not isinstance(value, dict):
        return ""
    keys = ("low", "median", "high")
    seconds = [float(value[key]) for key in keys if isinstance(value.get(key), int | float)]
    return range_text(*seconds) if len(seconds) == len(keys) else ""


def hidden_run_of(path: Path) -> str:
    """Return the test set for which rungs were priced: "650 images of 170.4 megapixels"; "" without one.

    Args:
        path: the ensemble.json.

    Raises:
        KitError: `ladder.json` beside it is damaged.
    """
    place = path.with_name("ladder.json")
    value = read_json(place) if place.is_file() else None
    run = value.get("hidden_run") if isinstance(value, dict) else None
    hidden = run.get("hidden") if isinstance(run, dict) else None
    if not isinstance(hidden, dict):
        return ""
    return f"{hidden.get('images')} images of {hidden.get('megapixels')} megapixels"


def _known(value: Any) -> list[dict[str, Any]]:
    """What a `ladder.json` says of its rungs; nothing where it is of another form."""
    rungs = value.get("rungs") if isinstance(value, dict) else None
    found = rungs if isinstance(rungs, list) else []
    return [item for item in found if isinstance(item, dict)]


def draw_ladder(rungs: list[RungShown], metric: str) -> str:
    """Return the chart as SVG; "" if no rung has a score."""
    # Rungs come by the cost that their search counted in, and lines are drawn by seconds.
    rungs = sorted(rungs, key=lambda rung: rung.seconds)
    lines = {
        "rungs, images they were not tuned on": [(rung.seconds, rung.score) for rung in rungs],
        "rungs, images they were tuned on": [(rung.seconds, rung.fitted) for rung in rungs],
        "static weighting": [(rung.seconds, rung.static) for rung in rungs],
    }
    series = {}
    for name, points in lines.items():
        known = [(seconds, score) for seconds, score in points if score is not None]
        if known:
            series[name] = ([seconds for seconds, _ in known], [score for _, score in known])
    if not series:
        return ""
    return curves(
        series,
        x_label="seconds per megapixel",
        y_label=metric,
        label=f"{metric} of {len(rungs)} rungs over seconds per megapixel; the table below has the numbers",
    )
