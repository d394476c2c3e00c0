"""Passes on trial: fused and scored on the held-out images exactly as Kaggle would fuse them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.inference.fusion import PassResult
from kit.local.competitions.labelled import LabelledData
from train_local.data.prepared import Prepared
from train_local.ensemble.finished_runs import FinishedRun
from train_local.evaluate import score


@dataclass(frozen=True)
class RecipeView:
    """One recipe under one view, in all its folds: what is added to the ensemble at a time.

    Of a held-out image there is a prediction of one fold only, the one that did not train on it. So the folds
    of a recipe cannot be weighed against each other, and they share a weight.
    """

    recipe: str
    view: str


@dataclass(frozen=True)
class TrialPass:
    """One pass whose results on the held-out images are stored already.

    Attributes:
        run: whose network it is.
        view: the view of the images.
    """

    run: FinishedRun
    view: str

    @property
    def recipe_view(self) -> RecipeView:
        """The recipe and view that this pass belongs to."""
        return RecipeView(self.run.recipe, self.view)

    @property
    def seconds_per_megapixel(self) -> float:
        """Measured when the results were stored."""
        return self.run.seconds_per_megapixel[self.view]


def passes_of(recipe_views: Sequence[RecipeView], runs: Sequence[FinishedRun]) -> list[TrialPass]:
    """Return the passes of some recipe views in order, each view fold by fold."""
    return [
        TrialPass(run, item.view)
        for item in recipe_views
        for run in runs
        if run.recipe == item.recipe and item.view in run.files
    ]


def files_of(passes: Sequence[TrialPass]) -> dict[str, dict[int, Path]]:
    """Return image id -> position of the pass -> stored result, for the images that the passes cover.

    With two folds that hold out the images a and b, the passes fold0 and fold1 under "identity" and fold0
    under "hflip" give {"a": {0: ..., 2: ...}, "b": {1: ...}}.
    """
    found: dict[str, dict[int, Path]] = {}
    for position, item in enumerate(passes):
        for image_id, path in item.run.files[item.view].items():
            found.setdefault(image_id, {})[position] = path
    return found


class Trial:
    """Scores passes with any weights and settings.

    Args:
        prepared: what the runs were trained on.
        runs: the runs; the truth of the images they held out is read once.
    """

    def __init__(self, prepared: Prepared, runs: Sequence[FinishedRun]) -> None:
        self.prepared = prepared
        # With all folds trained these are all labelled images; with fold 0 only, those that fold 0 held out.
        ids = sorted({image_id for run in runs for of_view in run.files.values() for image_id in of_view})
        self.truth = LabelledData(prepared.source, prepared.data).truth(ids)
        self.infos = {image_id: prepared.images[image_id].info for image_id in ids}

    def score(
        self, passes: Sequence[TrialPass], weights: Sequence[float], settings: Mapping[str, Any]
    ) -> float:
        """Return the competition's metric of a rung, over the images that its passes cover.

        Args:
            passes: of the rung.
            weights: one for each pass.
            settings: of the rung, as `ensemble.json` has them.
        """
        # As the worker and the supervisor do on Kaggle: the stored result of each pass, with its weight and
        # its member, in the order of the passes. Of a held-out image only the passes of one fold are there.
        results = {
            image_id: [
                PassResult(file=path, weight=weights[position], member=passes[position].run.member)
                for position, path in of_pass.items()
            ]
            for image_id, of_pass in files_of(passes).items()
        }
        return score(self.prepared, results, settings, self.truth)
