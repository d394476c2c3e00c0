"""Recipe views, selections of them, and the passes they stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from train_local.ensemble.finished_runs import FinishedRun


@dataclass(frozen=True, order=True)
class RecipeView:
    """One recipe under one view, in all its folds: what is added to the ensemble at a time.

    Of a held-out image there is a prediction of one fold only, the one that did not train on it. So the folds
    of a recipe cannot be weighed against each other, and they share a weight.
    """

    recipe: str
    view: str


@dataclass(frozen=True)
class Selection:
    """Recipe views with their weights, in the order in which they were added.

    Attributes:
        recipe_views: each one once.
        weights: one for each, positive; only their ratios count.
    """

    recipe_views: tuple[RecipeView, ...]
    weights: tuple[float, ...]

    def plus(self, recipe_view: RecipeView, weight: float) -> Selection:
        """Return this selection with one more recipe view."""
        return Selection((*self.recipe_views, recipe_view), (*self.weights, weight))


@dataclass(frozen=True)
class TrialPass:
    """One member under one view.

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
        """What the pass costs, measured when the results were stored, or estimated."""
        return self.run.seconds(self.view)


def runs_of(recipe_view: RecipeView, runs: Sequence[FinishedRun]) -> list[FinishedRun]:
    """Return the runs of a recipe that have this view, fold by fold."""
    return [run for run in runs if run.recipe == recipe_view.recipe and recipe_view.view in run.views]


def held_out_files(
    recipe_view: RecipeView, runs: Sequence[FinishedRun]
) -> Mapping[str, tuple[FinishedRun, Path]]:
    """Return image id -> the run that held the image out, and its stored result under the view.

    With two folds that hold out the images a and b: {"a": (fold0, ...), "b": (fold1, ...)}. An image that
    several folds held out is taken from the first of them.
    """
    found: dict[str, tuple[FinishedRun, Path]] = {}
    for run in runs_of(recipe_view, runs):
        for image_id, path in run.files.get(recipe_view.view, {}).items():
            found.setdefault(image_id, (run, path))
    return found
