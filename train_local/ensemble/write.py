"""The finished ensemble on disk and on the screen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kit import competitions
from kit.artefacts import write_json
from kit.inference.instance_settings import InstanceFusion
from kit.local.console import console, show_table
from kit.local.costs import save_with_costs
from kit.local.place_file import place_file
from kit.local.sidecars import sidecar_path
from kit.local.wording import counted
from kit.typed_json import to_plain
from train_local.durations import range_text
from train_local.ensemble.build import Built, shown
from train_local.ensemble.finished_runs import FinishedRun
from train_local.ensemble.own_runs import place_sources
from train_local.ensemble.picture import draw_ladder
from train_local.ensemble.prices import Price, Prices

LADDER, PICTURE = "ladder.json", "ladder.svg"


def write_ensemble(built: Built, runs: Sequence[FinishedRun], prices: Prices, out: Path) -> None:
    """Place the members' weights in `weights/` beside `out`, write the ladder's picture, costs and `out`.

    Two equal runs give the same bytes of `out`: what passes cost is measured and goes into files of its own.

    Args:
        built: the ensemble and its ladder.
        runs: the finished runs.
        prices: of the rungs.
        out: `ensemble.json`.

    Raises:
        KitError: the disk is full.
    """
    by_name = {run.member.name: run for run in runs}
    for member in built.ensemble.members:
        source, target = by_name[member.name].weights, out.parent / "weights" / member.weights
        # Hard links: 16 members of 1.4 GB take no second 22 GB. The JSON says what made the weights, and
        # `bundle` copies it into the dataset's manifest.
        place_file(source, target)
        place_file(sidecar_path(source), sidecar_path(target))
    place_sources(built.ensemble, runs, out)
    metric = competitions.of(built.ensemble).metric
    write_json(
        out.with_name(LADDER),
        {
            "metric": metric,
            "notes": [*built.notes, *prices.notes],
            "hidden_run": to_plain(prices.run),
            "rungs": _records(built, prices),
        },
    )
    draw_ladder(built.ladder, built.ensemble.competition, metric, out.with_name(PICTURE))
    save_with_costs(out, built.ensemble)


def _records(built: Built, prices: Prices) -> list[dict[str, Any]]:
    return [
        {
            "added": item.added,
            "share": item.share,
            "passes": item.rung.passes,
            "seconds_per_megapixel": item.seconds,
            "cv": item.rung.cv,
            "error": None if math.isnan(item.error) else item.error,
            "tuned_on_all": item.fitted,
            "static_weighting": item.static,
            "early_stopping": _stopping(built, number),
            "hidden_time": _time(prices.rungs[number]) if prices.rungs else None,
        }
        for number, item in enumerate(built.ladder.rungs)
    ]


def _time(price: Price) -> dict[str, Any]:
    """Return the seconds of a rung in the hidden run; 68 % of such runs lie between low and high."""
    low, median, high = (round(price.time.at(step), 1) for step in (-1, 0, 1))
    in_time = round(price.chance, 4)
    return {"path": list(price.path), "median": median, "low": low, "high": high, "in_time": in_time}


def _stopping(built: Built, number: int) -> dict[str, Any] | None:
    """Return what early stopping makes of a rung; None if that was not measured."""
    for one in built.reached:
        if one.rung == number:
            stop, skip = (
                None if limit is None else {"below": limit.below, "share": limit.share}
                for limit in (one.stop, one.skip)
            )
            return {"stop": stop, "skip": skip, "cv": one.score, "cost": one.cost}
    return None


def described(built: Built) -> dict[str, Any]:
    """Return what `ensemble --json` prints: each rung's passes and scores, the metric's values or None."""
    rungs = [
        {
            "passes": item.rung.text,
            "added": item.added,
            "seconds_per_megapixel": item.seconds,
            "cv": item.rung.cv,
            "fitted": item.fitted,
            "static": item.static,
        }
        for item in built.ladder.rungs
    ]
    metric = competitions.of(built.ensemble).metric
    return {"competition": built.ensemble.competition, "metric": metric, "rungs": rungs}


def show_ensemble(built: Built, prices: Prices) -> None:
    """Print a line for each rung: passes, cost, scores and the settings that differ from their defaults.

    Rungs and passes have numbers from 1, as in what predict.py prints; passes in the order in which the
    ladder adds them. A rung of the ladder has the first ones ("1-4"), a subset any ("1, 3-4").
    "unseen" is the score of images that the search did not see, "fitted" that of the images everything was
    tuned on, and "static" the baseline's score of unseen images at no more cost.
    """
    ensemble = built.ensemble
    metric = competitions.of(ensemble).metric
    defaults: dict[str, Any] = {**to_plain(InstanceFusion()), "thresholds": {}, "min_scores": {}}
    rows = []
    for number, item in enumerate(built.ladder.rungs, 1):
        tuned = [
            f"{name} {_short(value)}"
            for name, value in item.rung.settings.items()
            if value != defaults.get(name)
        ]
        error = "" if math.isnan(item.error) else f" ± {item.error:.4f}"
        rows.append(
            (
                str(number),
                item.rung.text,
                item.added,
                f"{item.seconds:.2f}",
                f"{shown(item.rung.cv)}{error if item.fitted is not None else ''}",
                shown(item.fitted),
                shown(item.static),
                ", ".join(tuned),
            )
        )
    headings = ("rung", "passes", "added", "s / megapixel", "unseen", "fitted", "static", "tuned")
    members = counted(len(ensemble.members), "member")
    passes = counted(len(ensemble.passes), "pass", plural="passes")
    title = f"{ensemble.competition}, {metric}: {members}, {passes}"
    show_table(title, headings, rows)
    _show_stopping(built)
    _show_prices(prices)
    for note in (*built.notes, *prices.notes):
        console().print(note, style="yellow", markup=False)


def _show_stopping(built: Built) -> None:
    """Print for each measured rung of the main path what is skipped after it, and what that costs and saves.

    "unseen" is the score where the images that stopped keep their earlier rows, and confident blocks their
    earlier probabilities; "without" is that of the table above. "cost" is what is left of the cost of all
    passes over all images.
    """
    if len(built.reached) < 2:
        return  # nothing dearer was measured that an image could skip
    rows = [
        (
            str(one.rung + 1),
            "-" if one.stop is None else f"below {one.stop.below:.4f}",
            "-" if one.stop is None else f"{100 * one.stop.share:.0f} %",
            "-" if one.skip is None else f"{one.skip.below:.2g}",
            "-" if one.skip is None else f"{100 * one.skip.share:.0f} %",
            shown(one.score),
            shown(one.without),
            f"{100 * one.cost:.0f} %",
        )
        for one in built.reached
    ]
    headings = ("rung", "stops at doubts", "images", "of blocks", "windows", "unseen", "without", "cost")
    show_table("early stopping: images and windows that skip the dearer rungs", headings, rows)


def _show_prices(prices: Prices) -> None:
    """Print what each rung takes in the hidden run, with those before it: a median, and 68 % of such runs."""
    run = prices.run
    if not prices.rungs or run.hidden is None:
        return
    rows = [
        (
            str(number),
            ", ".join(str(rung + 1) for rung in price.path),
            f"{range_text(*(price.time.at(step) for step in (-1, 0, 1)))} of {run.hours:g} h",
            f"{100 * price.chance:.0f} %",
        )
        for number, price in enumerate(prices.rungs, 1)
    ]
    size = f"{counted(run.hidden.images, 'image')} of {run.hidden.megapixels:.4g} megapixels"
    title = f"the hidden run: {size}, {counted(run.workers, 'worker')} as fast as this machine"
    show_table(title, ("rung", "over", "time", "in time"), rows)


def _short(value: Any) -> str:
    """A setting as a table shows it: of a calibration its kind, since its curve is too long."""
    if isinstance(value, dict):
        return ", ".join(
            f"{key} {item['kind'] if isinstance(item, dict) else item}" for key, item in value.items()
        )
    return str(value)
