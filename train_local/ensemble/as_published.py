"""A published ensemble from finished runs: nothing is tuned, and its score is measured where it can be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kit.ensemble import Rung
from kit.errors import KitError
from kit.inference import views
from kit.inference.instance_settings import InstanceFusion
from kit.inference.semantic_settings import SemanticFusion
from kit.typed_json import from_plain, to_plain
from train_local.data.prepared import Prepared
from train_local.ensemble.build import Built, to_ensemble
from train_local.ensemble.finished_runs import FinishedRun
from train_local.ensemble.held_out import scored_recipe_views, scores_of
from train_local.ensemble.ladder import Ladder, LadderRung
from train_local.ensemble.parts import reference_images
from train_local.ensemble.published_plans import TINY, PlannedMember, PublishedPlan
from train_local.ensemble.scores import Assigned, Scores
from train_local.ensemble.trial import RecipeView, Selection, TrialPass


@dataclass(frozen=True)
class _Found:
    """The runs of a planned member, and the views under which they predict."""

    planned: PlannedMember
    runs: tuple[FinishedRun, ...]
    views: tuple[str, ...]


def build_as_published(
    prepared: Prepared,
    runs: Sequence[FinishedRun],
    plan: PublishedPlan,
    *,
    allow_missing: bool = False,
    processes: int | None = None,
) -> Built:
    """Return a published ensemble.

    Each rung has one network more, in the published order, with all its views: first the first network of
    each recipe, then the second of each, and so on. All rungs have the published settings. All scores are of
    the same held-out images (`train_local.ensemble.parts.reference_images`), on which nothing was tuned. A
    rung has none as long as its networks did not hold out all of them.

    Args:
        prepared: what the runs were trained on.
        runs: the finished runs.
        plan: the published ensemble.
        allow_missing: go on with the networks that there are.
        processes: that read predictions; None takes one for each CPU.

    Raises:
        KitError: the plan is of another competition, or networks are missing.
    """
    if plan.competition != prepared.competition:
        raise KitError(
            f"ensemble {plan.name} is of {plan.competition}, the data is of {prepared.competition}",
            where=prepared.root,
            fix=f"prepare {plan.competition}, or take another ensemble (--as-published list)",
        )
    found, missing = _find(runs, plan)
    if missing and not (allow_missing and found):
        raise KitError(
            f"ensemble {plan.name} needs networks that are not trained yet: {'; '.join(missing)}",
            where=runs[0].weights.parent.parent.parent if runs else prepared.root,
            fix="train them first (train-all), or add --allow-missing to build it from those that are there",
        )
    used = [run for item in found for run in item.runs]
    wanted = {RecipeView(item.runs[0].recipe, view) for item in found for view in item.views}
    held_out = {item: ids for item, ids in scored_recipe_views(used).items() if item in wanted}
    ids = reference_images(held_out)
    scores = scores_of(prepared, used, list(held_out), ids, processes=processes) if ids else None
    ladder = _ladder(prepared, found, plan, scores)
    notes = [
        *(f"missing: {text}" for text in missing),
        *(f"{plan.name}: {text}" for text in plan.notes),
        *(f"{plan.name} differs from what was published: {text}." for text in plan.deviations),
        *(
            f"{run.member.name} held out none of the images that are scored; the scores are those without it."
            for item in found
            for run in item.runs
            if not any(frozenset(ids) & run.files.get(view, {}).keys() for view in item.views)
        ),
    ]
    return Built(to_ensemble(prepared, used, ladder), ladder, tuple(notes))


def _find(runs: Sequence[FinishedRun], plan: PublishedPlan) -> tuple[list[_Found], list[str]]:
    """Return the planned members that have runs, and what is missing."""
    found, missing = [], []
    for planned in plan.members:
        # A tiny form stands for its recipe while that one is not trained.
        full = [run for run in runs if run.recipe == planned.recipe]
        of_recipe = full or [run for run in runs if run.recipe == planned.recipe + TINY]
        if len(of_recipe) < planned.runs:
            missing.append(f"{planned.recipe} ({len(of_recipe)} of {planned.runs})")
        if of_recipe:
            chosen = tuple(of_recipe[: planned.runs])
            names = views_of(planned, chosen[0]) if full else chosen[0].views
            found.append(_Found(planned, chosen, names))
    return found, missing


def views_of(planned: PlannedMember, run: FinishedRun) -> tuple[str, ...]:
    """Return the names of a planned member's views, sizes written as scales of the run's settings.

    With `size` 1400 in its settings, the sizes 1600 and 1400 are "hflip@1.142857" and "hflip". A run that has
    predicted its held-out images under a set of just these views keeps the set, and one that spells a scale
    in another way keeps its spelling.
    """
    own = run.member.inference.get("size")
    if not planned.sizes:
        wanted = planned.symmetries
    elif own is None:
        raise KitError(
            f"{planned.recipe} predicts in windows, but the published ensemble names sizes of whole images",
            where=run.weights,
            fix="train the recipe as published",
        )
    else:
        wanted = tuple(
            symmetry if size == own else f"{symmetry}@{size / own:.6f}"
            for size in planned.sizes
            for symmetry in planned.symmetries
        )

    def pixels(name: str) -> list[tuple[str, int]]:
        """Symmetries and sizes of a set: "hflip@0.8" of 960 pixels is ("hflip", 768)."""
        return sorted(
            (view.name.partition("@")[0], round(view.scale * (own or 1000))) for view in views.get_set(name)
        )

    known = {str(pixels(name)): name for name in run.views}
    together = known.get(str(sorted(pair for name in wanted for pair in pixels(name))))
    return (together,) if together else tuple(known.get(str(pixels(name)), name) for name in wanted)


def _ladder(
    prepared: Prepared, found: Sequence[_Found], plan: PublishedPlan, scores: Scores | None
) -> Ladder:
    fusion = SemanticFusion if prepared.kind == "semantic" else InstanceFusion
    settings = to_plain(from_plain(fusion, dict(plan.settings), where=plan.name))
    passes: list[TrialPass] = []
    weights: list[float] = []
    rungs: list[LadderRung] = []
    values: dict[Selection, float | None] = {}
    order = [
        (item, item.runs[number])
        for number in range(max(len(item.runs) for item in found))
        for item in found
        if number < len(item.runs)
    ]
    closed: list[tuple[int, str, Selection]] = []
    for item, run in order:
        passes += [TrialPass(run, view) for view in item.views]
        weights += [item.planned.weight] * len(item.views)
        closed.append((len(passes), run.member.name, _measured(passes, weights, scores)))
    if scores is not None:
        wanted = {
            selection: dict.fromkeys(scores.ids, Assigned(selection, settings))
            for *_, selection in closed
            if frozenset(scores.ids) == frozenset().union(*map(scores.images, selection.recipe_views))
        }
        scores.count(list(wanted.values()))
        values = {selection: scores.score(assigned) for selection, assigned in wanted.items()}
    for length, added, selection in closed:
        cv = values.get(selection)
        rung = Rung(passes=list(range(length)), weights=weights[:length], settings=settings, cv=cv)
        seconds = sum(one.seconds_per_megapixel for one in passes[:length])
        rungs.append(LadderRung(rung, added, seconds, None, math.nan, None))
    return Ladder(passes, rungs)


def _measured(passes: Sequence[TrialPass], weights: Sequence[float], scores: Scores | None) -> Selection:
    """Return the recipe views among some passes that held images out."""
    found: dict[RecipeView, float] = {}
    for item, weight in zip(passes, weights, strict=True):
        if scores is not None and scores.images(item.recipe_view):
            found[item.recipe_view] = weight
    return Selection(tuple(found), tuple(found.values()))
