"""From the steps of a search to passes and rungs: one fold, then members nobody can score, then other folds.

Of a held-out image there is the prediction of one fold. So a search scores one fold's pass of each recipe
view, and these come first: each image stands for what one member of each recipe shows of an image that it
never saw. Further folds make the mean steadier, but no held-out image can tell by how much. They come when
nothing measured is left, a rung for each fold. Recipes a and b of two folds, c trained on all images, and the
search "a identity, b identity, a hflip":

    rung 0   1 pass     a.fold0 identity            cv of a identity
    rung 1   2 passes   + b.fold0 identity          cv of a and b
    rung 2   3 passes   + a.fold0 hflip             cv of all three
    rung 3   4 passes   + c identity                the same cv: nothing was held out from c
    rung 4   7 passes   + a.fold1 (both), b.fold1   the same cv: their images are in it already

A recipe view keeps its share of the mean, however many of its folds have a pass: in rung 3, a identity has
the weight of one pass, in rung 4 two passes have half of it each.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kit.ensemble import Rung
from train_local.ensemble.finished_runs import FinishedRun
from train_local.ensemble.nested import ScoredStep, front_of
from train_local.ensemble.trial import RecipeView, TrialPass, runs_of


@dataclass(frozen=True)
class Unscored:
    """A recipe that no search can score: it held no image out, or none that the others held out, too.

    Attributes:
        recipe: its name.
        views: to add.
        weight: of each view, relative to the mean weight of the scored recipe views.
        before: it comes in front of the first of these recipes, or after all scored recipe views.
    """

    recipe: str
    views: tuple[str, ...]
    weight: float = 1.0
    before: frozenset[str] = frozenset()


@dataclass(frozen=True)
class LadderRung:
    """A rung with what people want to know of it.

    Attributes:
        rung: as `ensemble.json` has it.
        added: what it has more than the one before.
        seconds: per megapixel, of all its passes.
        fitted: score on the images that everything was tuned on; None if the rung adds nothing measured.
        error: standard error of `rung.cv`; nan if unknown.
        static: cv of the static weighting at this cost; None if unknown.
    """

    rung: Rung
    added: str
    seconds: float
    fitted: float | None
    error: float
    static: float | None


@dataclass(frozen=True)
class Ladder:
    """All passes in order, and the rungs.

    Attributes:
        passes: in the order in which Kaggle runs them.
        rungs: growing prefixes.
    """

    passes: list[TrialPass]
    rungs: list[LadderRung]


def build_ladder(
    steps: Sequence[ScoredStep],
    runs: Sequence[FinishedRun],
    unscored: Sequence[Unscored] = (),
    *,
    keep_all: bool = False,
) -> Ladder:
    """Return the passes and rungs of a search's steps.

    Args:
        steps: of the search, at least one.
        runs: all finished runs.
        unscored: recipes to add without a score.
        keep_all: keep steps that promise nothing as well.
    """
    kept = list(range(len(steps))) if keep_all else front_of(steps)
    order = steps[kept[-1]].step.selection
    shares = dict(zip(order.recipe_views, order.weights, strict=True))
    builder = _Builder(runs, shares)
    waiting = list(unscored)
    for place, recipe_view in enumerate(order.recipe_views):
        # In front of rung 0 comes nothing: what is written first has to be known to be good.
        ready = [item for item in waiting if place and recipe_view.recipe in item.before]
        builder.add_unscored(ready, steps[place - 1])
        waiting = [item for item in waiting if item not in ready]
        builder.add(recipe_view, 0)
        if place in kept:
            builder.close(steps[place], f"{recipe_view.recipe} {recipe_view.view}", measured=True)
    builder.add_unscored(waiting, steps[kept[-1]])
    builder.add_folds(steps[kept[-1]])
    return Ladder(builder.passes, builder.rungs)


class _Builder:
    """Adds passes, and closes rungs over those that are there."""

    def __init__(self, runs: Sequence[FinishedRun], shares: Mapping[RecipeView, float]) -> None:
        self._runs, self._shares = runs, dict(shares)
        self._all_scored = True
        self._mean = sum(shares.values()) / len(shares)
        self.passes: list[TrialPass] = []
        self.rungs: list[LadderRung] = []

    def add(self, recipe_view: RecipeView, fold: int) -> bool:
        """Add the pass of a recipe's run number `fold`; False if it has no such run."""
        found = runs_of(recipe_view, self._runs)[fold : fold + 1]
        self.passes += [TrialPass(run, recipe_view.view) for run in found]
        return bool(found)

    def add_unscored(self, unscored: Sequence[Unscored], scored: ScoredStep) -> None:
        """Add recipes without a score, a rung for each."""
        for item in unscored:
            self._all_scored = False
            for view in item.views:
                self._shares[RecipeView(item.recipe, view)] = item.weight * self._mean
                self.add(RecipeView(item.recipe, view), 0)
            self.close(scored, f"{item.recipe} (not measured)", measured=False)

    def add_folds(self, scored: ScoredStep) -> None:
        """Add the further runs of all recipe views so far, a rung for each number."""
        recipe_views = list(dict.fromkeys(item.recipe_view for item in self.passes))
        fold = 1
        while sum(self.add(item, fold) for item in recipe_views):
            self.close(scored, f"run {fold + 1} of each recipe (not measured)", measured=False)
            fold += 1

    def close(self, scored: ScoredStep, added: str, *, measured: bool) -> None:
        """Make a rung of all passes so far."""
        count: dict[RecipeView, int] = {}
        for item in self.passes:
            count[item.recipe_view] = count.get(item.recipe_view, 0) + 1
        most = max(count.values())
        weights = [
            round(self._shares[item.recipe_view] * most / count[item.recipe_view], 6) for item in self.passes
        ]
        cv = scored.step.score if math.isnan(scored.cv) else scored.cv
        settings: dict[str, Any] = scored.step.settings
        # Calibrated scores and those of a member that nobody could calibrate are of different scales, and no
        # image tells what comes of their mixture.
        if not self._all_scored and settings.get("calibration"):
            settings = {**settings, "calibration": {}}
        self.rungs.append(
            LadderRung(
                rung=Rung(passes=list(range(len(self.passes))), weights=weights, settings=settings, cv=cv),
                added=added,
                seconds=sum(item.seconds_per_megapixel for item in self.passes),
                fitted=scored.step.score if measured else None,
                error=scored.error,
                static=scored.static if measured else None,
            )
        )
