"""From finished runs to an ensemble: passes by cost, nested rungs, each tuned for itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from kit.ensemble import Ensemble, Pass, Rung
from kit.inference.instance_settings import InstanceFusion
from kit.local.console import track
from kit.predictions import Instances
from kit.typed_json import from_plain
from train_local.data.prepared import Prepared
from train_local.ensemble import calibrations, instance_tuning, semantic_tuning
from train_local.ensemble.finished_runs import FinishedRun
from train_local.ensemble.trial import RecipeView, Trial, TrialPass, files_of, passes_of

WEIGHTS = (0.5, 1.0, 2.0)
"""Weights a recipe view is tried with, relative to those before it."""
_SHORTEST = 1e-3
"""Seconds per megapixel; no pass is cheaper."""


def build_ensemble(prepared: Prepared, runs: Sequence[FinishedRun], *, keep_all: bool = False) -> Ensemble:
    """Tune every rung and keep those that gain.

    Recipe views are tried in order. One that does not raise the metric is dropped, unless `keep_all`. With
    several folds the very first pass is a rung of its own, so that something better than nothing exists as
    early as possible; its metric is that of the images its fold held out only.

    Two recipes of two folds, the second without a gain under "hflip", give for example

        rung 0   1 pass     a.fold0 identity
        rung 1   2 passes   + a.fold1 identity
        rung 2   4 passes   + b.fold0 and b.fold1 identity
        rung 3   6 passes   + a.fold0 and a.fold1 hflip

    Args:
        prepared: what the runs were trained on.
        runs: the finished runs.
        keep_all: keep recipe views that gain nothing as well.

    Raises:
        KitError: two runs have equal weights, or a stored prediction is damaged.
    """
    trial = Trial(prepared, runs)
    kept: list[RecipeView] = []
    shares: list[float] = []
    rungs: list[Rung] = []
    order = order_by_cost(runs)
    for item in track(order, total=len(order), description="tune rungs"):
        tried = [*kept, item]
        passes = passes_of(tried, runs)
        # The search begins where the rung before ended: from rung to rung the best settings change little.
        start = rungs[-1].settings if rungs else {}
        # Views of a member are merged without weights, so only a new recipe's weight matters there.
        new_recipe = item.recipe not in {other.recipe for other in kept}
        matters = kept and (prepared.kind == "semantic" or new_recipe)
        choices = [[*shares, share] for share in (WEIGHTS if matters else (1.0,))]
        rung = tune_rung(trial, passes, [_of_passes(passes, tried, choice) for choice in choices], start)
        if kept and not keep_all and rung.cv <= rungs[-1].cv:
            continue
        if not kept and len(passes) > 1:
            # This rung comes before the one that was just tuned: 1 pass, then one pass for each fold.
            rungs.append(tune_rung(trial, passes[:1], [[1.0]], start))
        kept, shares = tried, _of_recipe_views(passes, tried, rung.weights)
        rungs.append(rung)
    return _ensemble(prepared, runs, passes_of(kept, runs), rungs)


def order_by_cost(runs: Sequence[FinishedRun]) -> list[RecipeView]:
    """Return what is added, in order: first views of all recipes, cheapest in front, then second views."""
    cost: dict[RecipeView, tuple[int, int, str]] = {}
    for run in runs:
        for rank, view in enumerate(run.files):
            seconds = [other.seconds_per_megapixel[view] for other in runs if other.recipe == run.recipe]
            # Rank first: the second view of a cheap network comes after the first view of an expensive one. A
            # second network brings more than a second view of the same. Costs are rounded to powers of two:
            # equal runs measure 1.0 s and 1.1 s, and their ensembles have to be equal.
            coarse = round(math.log2(max(*seconds, _SHORTEST)))
            cost[RecipeView(run.recipe, view)] = (rank, coarse, run.recipe)
    return sorted(cost, key=lambda item: cost[item])


def tune_rung(
    trial: Trial,
    passes: Sequence[TrialPass],
    candidates: Sequence[Sequence[float]],
    start: dict[str, Any],
) -> Rung:
    """Find the weights and settings of a rung, and score it with them.

    Args:
        trial: knows the truth.
        passes: of the rung.
        candidates: weights to try, one for each pass.
        start: settings the search begins with.
    """

    def scored(weights: Sequence[float], settings: dict[str, Any]) -> float:
        return trial.score(passes, weights, settings)

    if trial.prepared.kind == "semantic":
        weights, settings = semantic_tuning.tune(trial.truth, files_of(passes), candidates, trial.infos)
    else:
        plain = replace(from_plain(InstanceFusion, start), calibration={})
        weights, settings = instance_tuning.tune(candidates, plain, scored)
        choices = calibrations.choices(_judged(trial, passes))
        settings = instance_tuning.tune_calibration(choices, settings, lambda tried: scored(weights, tried))
    return Rung(passes=len(passes), weights=weights, settings=settings, cv=scored(weights, settings))


def _judged(trial: Trial, passes: Sequence[TrialPass]) -> list[calibrations.Judged]:
    """Detections of each member of some passes, its views merged, held against the truth.

    Of a metric over several overlaps, such as 0.50 to 0.95, the middle one decides what is a hit.
    """
    truth = {key: value for key, value in trial.truth.items() if isinstance(value, Instances)}
    ious = trial.prepared.source.format.metric.iou
    # The views of a member come one after another in the rungs; here they are brought together.
    by_member: dict[str, list[TrialPass]] = {}
    for item in passes:
        by_member.setdefault(item.run.member.name, []).append(item)
    judged = []
    for of_member in by_member.values():
        run = of_member[0].run
        files = [run.files[item.view] for item in of_member]
        judged.append(calibrations.judge(run.recipe, run.member, files, truth, ious[len(ious) // 2]))
    return judged


def _of_passes(
    passes: Sequence[TrialPass], recipe_views: Sequence[RecipeView], shares: Sequence[float]
) -> list[float]:
    """The weight of each pass, from the weight of each recipe view."""
    return [shares[recipe_views.index(item.recipe_view)] for item in passes]


def _of_recipe_views(
    passes: Sequence[TrialPass], recipe_views: Sequence[RecipeView], weights: Sequence[float]
) -> list[float]:
    """The weight of each recipe view, from the weight of each pass: the way back."""
    weight_of = {item.recipe_view: weight for item, weight in zip(passes, weights, strict=True)}
    return [weight_of[item] for item in recipe_views]


def _ensemble(
    prepared: Prepared, runs: Sequence[FinishedRun], passes: Sequence[TrialPass], rungs: list[Rung]
) -> Ensemble:
    # Members are the runs that have a pass; a recipe that gained nothing leaves none behind. Passes refer to
    # members by position: runs a.fold0, a.fold1, b.fold0 without a pass of a give members [b.fold0], b = 0.
    used = [run for run in runs if any(item.run.recipe == run.recipe for item in passes)]
    index = {run.member.name: position for position, run in enumerate(used)}
    return Ensemble(
        competition=prepared.competition,
        kind=prepared.kind,
        members=[run.member for run in used],
        passes=[
            Pass(
                member=index[item.run.member.name],
                view=item.view,
                seconds_per_megapixel=item.seconds_per_megapixel,
            )
            for item in passes
        ],
        rungs=rungs,
        inputs={"prepared": prepared.identity, **{run.member.name: run.member.sha256 for run in used}},
        definition=prepared.definition,
    )
