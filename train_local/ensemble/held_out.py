"""Held-out images with their truth and predictions, as the scores of a competition's kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kit.local.competitions.labelled import LabelledData
from kit.predictions import Instances, SemanticMask
from train_local.data.prepared import Prepared
from train_local.ensemble import instance_scores, semantic_scores
from train_local.ensemble.finished_runs import FinishedRun
from train_local.ensemble.scores import Scores
from train_local.ensemble.search import Candidate
from train_local.ensemble.trial import RecipeView, held_out_files, runs_of


def candidates_of(runs: Sequence[FinishedRun]) -> list[Candidate]:
    """Return the recipe views with held-out images, first views of recipes first, cheapest in front."""
    found: dict[RecipeView, tuple[int, Candidate]] = {}
    for run in runs:
        for rank, view in enumerate(run.views):
            recipe_view = RecipeView(run.recipe, view)
            if recipe_view not in found and held_out_files(recipe_view, runs):
                # Members of a recipe differ in what the machine did beside them, not in what they compute.
                seconds = max(other.seconds(view) for other in runs_of(recipe_view, runs))
                found[recipe_view] = (rank, Candidate(recipe_view, seconds))
    ranked = sorted(found.values(), key=lambda item: (item[0], item[1].coarse_seconds, item[1].recipe_view))
    return [candidate for _, candidate in ranked]


def scores_of(
    prepared: Prepared,
    runs: Sequence[FinishedRun],
    candidates: Sequence[Candidate],
    *,
    processes: int | None = None,
    on_image: Callable[[], None] | None = None,
) -> Scores:
    """Read the truth and the stored predictions of all held-out images.

    Args:
        prepared: what the runs were trained on.
        runs: the finished runs.
        candidates: recipe views that somebody held images out for, at least one.
        processes: that read and fuse; None takes one for each CPU.
        on_image: called after each image whose maps were read; detections are read when they are fused.

    Raises:
        KitError: a stored prediction is missing or damaged, or the truth cannot be read.
    """
    files = {item.recipe_view: held_out_files(item.recipe_view, runs) for item in candidates}
    # With all folds trained these are all labelled images; with fold 0 only, those that fold 0 held out.
    ids = sorted({image_id for of_view in files.values() for image_id in of_view})
    truth = LabelledData(prepared.source, prepared.data).truth(ids)
    if prepared.kind == "instance":
        instances = {}
        for image_id in ids:
            true = truth[image_id]
            assert isinstance(true, Instances)
            found = {
                recipe_view: (of_view[image_id][0].member, of_view[image_id][1])
                for recipe_view, of_view in files.items()
                if image_id in of_view
            }
            instances[image_id] = instance_scores.HeldOut(true, found)
        return instance_scores.InstanceScores(prepared.source, instances, processes=processes)
    images = {}
    for image_id in ids:
        mask = truth[image_id]
        assert isinstance(mask, SemanticMask)
        maps = {
            recipe_view: of_view[image_id][1] for recipe_view, of_view in files.items() if image_id in of_view
        }
        images[image_id] = semantic_scores.HeldOut(mask, maps, prepared.images[image_id].info)
    return semantic_scores.SemanticScores(images, processes=processes, on_image=on_image)
