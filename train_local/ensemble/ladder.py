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

Subsets of the search stand between these rungs, where their cost puts them: they have the first fold's
passes of their recipe views, with the weights of rung 2. "b identity, a hflip", best for half of the cost:

    rung 1   2 passes   passes 2 and 3              cv of b identity and a hflip
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from kit.ensemble import EarlyStop, Rung, WindowSkip
from train_local.ensemble.costs import CostOf
from train_local.ensemble.finished_runs import FinishedRun
from train_local.ensemble.front import kept_of
from train_local.ensemble.nested import ScoredStep, Searched
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
        added: what it has more than the rung of the ladder before; of a subset all that it has.
        seconds: per megapixel, of all its passes.
        fitted: score on the images that everything was tuned on; None if the rung adds nothing measured.
        error: standard error of `rung.cv`; nan if unknown.
        static: cv of the static weighting at this cost; None if unknown.
        share: of the ladder's cost for which this subset is the best; None of a rung of the ladder.
        scored: the step or subset whose passes it has; None if it has others that were not measured.
    """

    rung: Rung
    added: str
    seconds: float
    fitted: float | None
    error: float
    static: float | None
    share: float | None = None
    scored: ScoredStep | None = None


@dataclass(frozen=True)
class Ladder:
    """All passes in order, and the rungs.

    Attributes:
        passes: in the order in which the ladder adds them.
        rungs: by rising cost and score; the last one has all passes.
    """

    passes: list[TrialPass]
    rungs: list[LadderRung]

    def stopping(
        self, stops: Mapping[int, EarlyStop | None], skips: Mapping[int, WindowSkip | None]
    ) -> Ladder:
        """Return the same ladder with early stopping at some of its rungs."""
        rungs = [
            replace(item, rung=replace(item.rung, stop=stops.get(number), skip=skips.get(number)))
            for number, item in enumerate(self.rungs)
        ]
        return Ladder(self.passes, rungs)


def build_ladder(
    searched: Searched,
    runs: Sequence[FinishedRun],
    cost_of: CostOf,
    unscored: Sequence[Unscored] = (),
    *,
    keep_all: bool = False,
) -> Ladder:
    """Return the passes and rungs of what a search found.

    Args:
        searched: at least one step.
        runs: all finished runs.
        cost_of: the cost of one fold's pass of a recipe view, in which the search counted.
        unscored: recipes to add without a score.
        keep_all: keep steps that promise nothing as well.
    """

    def closed(used: Collection[RecipeView]) -> bool:
        return bool(unscored) or any(len(runs_of(item, runs)) > 1 for item in used)

    kept, steps = kept_of(searched, closed=closed, keep_all=keep_all), searched.steps
    order, used = kept.end.step.selection, kept.used
    builder = _Builder(runs, dict(zip(order.recipe_views, order.weights, strict=True)))
    waiting, added = list(unscored), list[RecipeView]()
    for place, recipe_view in enumerate(order.recipe_views):
        # In front of rung 0 comes nothing: what is written first has to be known to be good.
        ready = [item for item in waiting if place and recipe_view.recipe in item.before]
        builder.add_unscored(ready, steps[place - 1])
        waiting = [item for item in waiting if item not in ready]
        if recipe_view in used:
            builder.add(recipe_view, 0)
            added.append(recipe_view)
        if place in kept.places:
            builder.close(steps[place], _names(added), measured=True)
            added = []
    builder.add_unscored(waiting, kept.closing)
    builder.add_folds(kept.closing)
    for scored in kept.subsets:
        builder.add_subset(scored)
    if not any(len(item.rung.passes) == len(builder.passes) for item in builder.rungs):
        builder.close(kept.closing, "all of these together (not measured)", measured=False)
    return Ladder(builder.passes, _on_front(builder, cost_of, keep_all=keep_all))


def _on_front(builder: _Builder, cost_of: CostOf, *, keep_all: bool) -> list[LadderRung]:
    """Return the rungs by rising cost, without those that cost more than another and promise less.

    The first and the last one stay. An unmeasured one says no more than the score of what was measured in it.
    """
    costs = [cost_of(item.recipe_view) for item in builder.passes]
    rungs = sorted(builder.rungs, key=lambda item: sum(costs[index] for index in item.rung.passes))
    kept, best = [], -math.inf
    for item in rungs:
        value = -math.inf if item.rung.cv is None else item.rung.cv
        needed = item is rungs[0] or item is rungs[-1] or (keep_all and item.share is None)
        if needed or value > best or (value == best and item.fitted is None):
            kept.append(item)
            best = max(best, value)
    return kept


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
        settings: dict[str, Any] = scored.step.settings
        # Calibrated scores and those of a member that nobody could calibrate are of different scales, and no
        # image tells what comes of their mixture.
        if not self._all_scored and settings.get("calibration"):
            settings = {**settings, "calibration": {}}
        passes = list(range(len(self.passes)))
        rung = Rung(passes=passes, weights=weights, settings=settings, cv=scored.promise)
        self._append(rung, scored, added, measured=measured, exactly=measured and self._all_scored)

    def add_subset(self, scored: ScoredStep) -> None:
        """Make a rung of the first fold's passes of some recipe views, which all have one."""
        wanted = scored.step.selection.recipe_views
        first = {item.recipe_view: index for index, item in reversed(list(enumerate(self.passes)))}
        passes = sorted(first[recipe_view] for recipe_view in wanted)
        weights = [round(self._shares[self.passes[index].recipe_view], 6) for index in passes]
        rung = Rung(passes=passes, weights=weights, settings=scored.step.settings, cv=scored.promise)
        share = Fraction(scored.share or 1).limit_denominator(100)
        self._append(
            rung, scored, f"best of {share} of the cost: {_names(wanted)}", measured=True, exactly=True
        )

    def _append(self, rung: Rung, scored: ScoredStep, added: str, *, measured: bool, exactly: bool) -> None:
        self.rungs.append(
            LadderRung(
                rung=rung,
                added=added,
                seconds=sum(self.passes[index].seconds_per_megapixel for index in rung.passes),
                fitted=scored.step.score if measured else None,
                error=scored.error,
                static=scored.static if measured else None,
                share=scored.share if measured else None,
                scored=scored if exactly else None,
            )
        )


def _names(recipe_views: Sequence[RecipeView]) -> str:
    """Return recipes with their views, each recipe once: "a identity hflip, b identity"."""
    views: dict[str, list[str]] = {}
    for item in recipe_views:
        views.setdefault(item.recipe, []).append(item.view)
    return ", ".join(" ".join([recipe, *names]) for recipe, names in views.items())
