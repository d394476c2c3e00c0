"""Held-out images with their truth and predictions, as the scores of a competition's kind."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from kit.ensemble import Member
from kit.local.competitions.labelled import LabelledData
from kit.predictions import Instances, SemanticMask
from train_local.data.prepared import Prepared
from train_local.ensemble import (
    class_tuning,
    fused_scores,
    instance_scores,
    instance_tuning,
    kept_images,
    semantic_scores,
    values_tuning,
)
from train_local.ensemble.costs import CostOf
from train_local.ensemble.finished_runs import FinishedRun
from train_local.ensemble.scores import Scores
from train_local.ensemble.search import Candidate
from train_local.ensemble.trial import RecipeView, held_out_files, runs_of


def scored_recipe_views(runs: Sequence[FinishedRun]) -> dict[RecipeView, frozenset[str]]:
    """Return the recipe views with the images that their folds held out; first views of recipes first."""
    found: dict[RecipeView, int] = {}
    for run in runs:
        for rank, view in enumerate(run.views):
            found.setdefault(RecipeView(run.recipe, view), rank)
    ranked = sorted(found, key=lambda item: (found[item], item))
    held_out = {item: frozenset(held_out_files(item, runs)) for item in ranked}
    return {item: ids for item, ids in held_out.items() if ids}


def candidates_of(runs: Sequence[FinishedRun], ids: Collection[str], cost_of: CostOf) -> list[Candidate]:
    """Return the recipe views that held some of the images out: first views of recipes first, cheap in front.

    Args:
        runs: the finished runs.
        ids: the images that count.
        cost_of: the cost of one fold's pass of a recipe view.
    """
    scored = [item for item, held in scored_recipe_views(runs).items() if held & frozenset(ids)]
    rank = {item: run.views.index(item.view) for item in scored for run in runs_of(item, runs)[:1]}
    found = [Candidate(item, cost_of(item)) for item in scored]
    return sorted(found, key=lambda one: (rank[one.recipe_view], one.cost, one.recipe_view))


def scores_of(
    prepared: Prepared,
    runs: Sequence[FinishedRun],
    recipe_views: Collection[RecipeView],
    ids: Collection[str],
    *,
    processes: int | None = None,
    on_image: Callable[[], None] | None = None,
) -> Scores:
    """Read the truth and the stored predictions of held-out images.

    Args:
        prepared: what the runs were trained on.
        runs: the finished runs.
        recipe_views: those that are asked for, at least one.
        ids: the images that count, each held out by one of the recipe views or several.
        processes: that read and fuse; None takes one for each CPU.
        on_image: called after each image whose maps were read; detections are read when they are fused.

    Raises:
        KitError: a stored prediction is missing or damaged, or the truth cannot be read.
    """
    files = {item: held_out_files(item, runs) for item in recipe_views}
    truth = LabelledData(prepared.source, prepared.data).truth(sorted(ids))
    if (tuner := tuner_of(prepared)) is not None:
        held_out = {
            image_id: fused_scores.HeldOut(
                truth[image_id],
                (prepared.images[image_id].height, prepared.images[image_id].width),
                prepared.images[image_id].info,
                _members(files, image_id),
            )
            for image_id in sorted(ids)
        }
        return fused_scores.FusedScores(prepared.source, held_out, tuner, processes=processes)
    if prepared.kind == "instance":
        instances = {}
        for image_id in sorted(ids):
            true = truth[image_id]
            assert isinstance(true, Instances)
            instances[image_id] = kept_images.HeldOut(true, _members(files, image_id))
        return instance_scores.InstanceScores(prepared.source, instances, processes=processes)
    images = {}
    for image_id in sorted(ids):
        mask = truth[image_id]
        assert isinstance(mask, SemanticMask)
        maps = {
            recipe_view: of_view[image_id][1] for recipe_view, of_view in files.items() if image_id in of_view
        }
        images[image_id] = semantic_scores.HeldOut(mask, maps, prepared.images[image_id].info)
    return semantic_scores.SemanticScores(images, processes=processes, on_image=on_image)


def tuner_of(prepared: Prepared) -> fused_scores.Tuner | None:
    """Return what tunes the fusion of a competition; None of one class under mean Dice or AP.

    Those have scores and a tuning of their own, which are faster and know no other metric.
    """
    classes, metric = prepared.source.format.classes, prepared.source.format.metric.name
    if prepared.kind == "values":
        return values_tuning.tune
    if prepared.kind == "instance":
        fast = metric == "AP" and not classes
        return None if fast else instance_tuning.tuner(classes, cut=metric != "AP")
    if classes:
        return class_tuning.tuner(classes)
    return None if metric == "mean Dice" else class_tuning.tune_mask


def _members(
    files: Mapping[RecipeView, Mapping[str, tuple[FinishedRun, Path]]], image_id: str
) -> dict[RecipeView, tuple[Member, Path]]:
    return {
        recipe_view: (of_view[image_id][0].member, of_view[image_id][1])
        for recipe_view, of_view in files.items()
        if image_id in of_view
    }
