"""Gather what the page says about one competition; what is missing or damaged is said, not fatal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from kit.errors import KitError
from train_local.data import prepared as prepared_data
from train_local.report.curves import learning_curves
from train_local.report.ladder import RungShown, draw_ladder, hidden_run_of, read_ladder
from train_local.report.pictures import Pictures, draw
from train_local.report.recipe_table import RecipeTable, recipe_table
from train_local.report.runs import RecipeScores, by_recipe, read_runs

T = TypeVar("T")


@dataclass(frozen=True)
class Source:
    """Where one competition's files lie.

    Attributes:
        name: of the competition.
        runs: its folder of runs, RECIPE/foldK below it.
        prepared: its prepared folder.
        ensemble: its ensemble.json, which need not be there yet.
    """

    name: str
    runs: Path
    prepared: Path
    ensemble: Path


@dataclass(frozen=True)
class Chapter:
    """One competition's part of the page."""

    name: str
    metric: str
    recipes: list[RecipeScores]
    folds: list[int]
    curves: dict[str, list[str]]
    pictures: Pictures | None
    rungs: list[RungShown]
    ladder_chart: str
    hidden_run: str
    tables: list[RecipeTable]
    notes: list[str]

    @property
    def best(self) -> RecipeScores | None:
        """The recipe with the highest mean score."""
        return next(iter(ranked(self.recipes)), None)


def gather(source: Source, *, pictures: int) -> Chapter:
    """Read everything, draw charts and pictures.

    Args:
        source: where the files lie.
        pictures: held-out images with a picture, at most.
    """
    notes: list[str] = []

    def attempt(what: str, make: Callable[[], T], otherwise: T) -> T:
        try:
            return make()
        except KitError as error:
            place = f" ({error.where})" if error.where else ""
            notes.append(f"{what}: {error.problem}{place}")
            return otherwise

    recipes = by_recipe(read_runs(source.runs))
    metric = next((run.metric_name for item in recipes for run in item.runs if run.metric_name), "metric")
    rungs: list[RungShown] = []
    hidden_run = ""
    if source.ensemble.is_file():
        rungs = attempt("the ladder is left out", lambda: read_ladder(source.ensemble), rungs)
        hidden_run = attempt("times are left out", lambda: hidden_run_of(source.ensemble), hidden_run)
    return Chapter(
        name=source.name,
        metric=metric,
        recipes=recipes,
        folds=sorted({run.fold for item in recipes for run in item.runs}),
        curves={item.recipe: learning_curves(item.runs) for item in recipes},
        pictures=attempt("pictures are left out", lambda: _pictures(source, recipes, pictures), None),
        rungs=rungs,
        ladder_chart=draw_ladder(rungs, metric),
        hidden_run=hidden_run,
        tables=[recipe_table(item.recipe, item.runs[0].config) for item in recipes],
        notes=notes,
    )


def _pictures(source: Source, recipes: Sequence[RecipeScores], most: int) -> Pictures | None:
    """Of the best recipe with stored predictions."""
    order = ranked(recipes)
    if not order or most < 1:
        return None
    data = prepared_data.load(source.prepared)
    return next((found for item in order if (found := draw(data, item.runs, most=most))), None)


def ranked(recipes: Sequence[RecipeScores]) -> list[RecipeScores]:
    """Return the recipes that have a score, best first.

    A mean over fewer folds comes after all means over more folds: the easiest fold alone proves nothing.
    """
    scored = [item for item in recipes if item.mean is not None]
    return sorted(
        scored,
        key=lambda item: (sum(run.metric is not None for run in item.runs), item.mean or 0.0),
        reverse=True,
    )
