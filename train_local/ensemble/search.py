"""The search of one ladder: what is added next is what gains most for its cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from train_local.ensemble.scores import Assigned, Scores, Settings
from train_local.ensemble.trial import RecipeView, Selection

FIRST_SHARE = 0.9
"""The first recipe view scores at least this share of the best one: everything else is built on it."""
_LEAST_GAIN = 1e-6
"""Smaller gains are rounding."""
_WEIGHED = 3
"""So many of the best additions are tried with all weights, the others with the first one only."""


@dataclass(frozen=True)
class Candidate:
    """A recipe view that may be added.

    Attributes:
        recipe_view: the recipe and the view.
        cost: of one fold's pass per megapixel, above 0, in any unit (`train_local.ensemble.costs`).
    """

    recipe_view: RecipeView
    cost: float


@dataclass(frozen=True)
class Step:
    """One step of a ladder.

    Attributes:
        selection: all recipe views so far.
        settings: tuned for it on the images of the search.
        score: with these settings on the same images, so fitted to them.
        cost: per megapixel, of one fold's pass of each recipe view.
    """

    selection: Selection
    settings: Settings
    score: float
    cost: float


def search_ladder(
    scores: Scores,
    candidates: Sequence[Candidate],
    ids: Collection[str],
    *,
    keep_all: bool = False,
    on_step: Callable[[Step], None] | None = None,
) -> list[Step]:
    """Build a ladder step by step, each time with the candidate of the largest gain for its cost.

    A candidate is tried with several weights and counts with the best one. Its gain is measured on those of
    the images that it has held out. With a selection that scores 0.80:

        candidate   cost   score of both together   gain / cost
        a hflip     1      0.82                     0.02
        b           4      0.84                     0.01

    "a hflip" is added, and b is tried again on top of it.

    Args:
        scores: of the held-out images.
        candidates: recipe views. The ladder begins with one that held out all images of `scores`, so that
            each step has a score of all of them; those that held out none of `ids` are left out.
        ids: the images that the search may see.
        keep_all: go on without a gain until all measurable candidates are in.
        on_step: called with each step.
    """
    steps: list[Step] = []

    def add(selection: Selection, start: Settings, cost: float) -> None:
        steps.append(tuned_step(scores, selection, ids, start, cost))
        if on_step is not None:
            on_step(steps[-1])

    left = [item for item in candidates if scores.images(item.recipe_view) & frozenset(ids)]
    whole = [item for item in left if scores.images(item.recipe_view) >= frozenset(scores.ids)]
    if not whole:
        return []
    singles = {item: Selection((item.recipe_view,), (1.0,)) for item in whole}
    scores.prepare(list(singles.values()), {})
    values = {item: scores.quick(single, ids, {}) for item, single in singles.items()}
    worth = {item: worth_of(value, max(values.values())) for item, value in values.items()}
    enough = FIRST_SHARE * max(worth.values())
    # Of 0.75 at a cost of 1 and 0.80 at a cost of 2, the first one gives more for its cost.
    first = max((item for item in whole if worth[item] >= enough), key=lambda item: worth[item] / item.cost)
    left.remove(first)
    add(singles[first], {}, first.cost)
    while left:
        chosen = _best_addition(scores, steps[-1], left, ids)
        if chosen is None or (chosen.gain <= _LEAST_GAIN and not keep_all):
            break
        left.remove(chosen.candidate)
        add(chosen.selection, steps[-1].settings, steps[-1].cost + chosen.candidate.cost)
    return steps


def worth_of(value: float, best: float) -> float:
    """Return a score as something that may be divided by a cost: of a loss, the best one's share of it.

    Losses are negative here: of -0.25 and -0.5 the first one is best, and the second has half of its worth.

    >>> worth_of(0.75, 0.8), worth_of(-0.5, -0.25), worth_of(-0.25, -0.25)
    (0.75, 0.5, 1.0)
    """
    return best / value if best < 0 else value


def tuned_step(
    scores: Scores, selection: Selection, ids: Collection[str], start: Settings, cost: float
) -> Step:
    """Return a selection with the settings that are best for some images, and its score with them.

    Args:
        scores: of the held-out images.
        selection: recipe views and weights.
        ids: the images that count.
        start: settings that the tuning begins at; {} begins at the published ones.
        cost: of the selection.
    """
    settings = scores.tune(selection, ids, start)
    value = scores.score({image_id: Assigned(selection, settings) for image_id in sorted(ids)})
    return Step(selection, settings, value, cost)


@dataclass(frozen=True)
class _Addition:
    """A candidate with a weight on top of a step, and what it gains."""

    candidate: Candidate
    selection: Selection
    gain: float

    @property
    def rate(self) -> float:
        """Gain for its cost. A loss is multiplied: -0.01 at a cost of 4 is no better than at a cost of 1."""
        return self.gain / self.candidate.cost if self.gain > 0 else self.gain * self.candidate.cost


def _best_addition(
    scores: Scores, before: Step, left: Sequence[Candidate], ids: Collection[str]
) -> _Addition | None:
    """Return the addition with the largest gain for its cost; None if no candidate held an image out."""
    weights = {item: scores.relative_weights(before.selection, item.recipe_view) for item in left}
    tried = _tried(scores, before, ids, [(item, weights[item][0]) for item in left])
    best = sorted(tried, key=lambda item: -item.rate)[:_WEIGHED]
    more = [(item.candidate, weight) for item in best for weight in weights[item.candidate][1:]]
    # Of equal rates the first one stays: candidates come cheapest first, weight 1 in front of others.
    return max([*tried, *_tried(scores, before, ids, more)], key=lambda item: item.rate, default=None)


def _tried(
    scores: Scores, before: Step, ids: Collection[str], additions: Sequence[tuple[Candidate, float]]
) -> list[_Addition]:
    """Return what additions with a weight each gain on the images that they have held out."""
    seen = frozenset(ids)
    selections = [before.selection.plus(item.recipe_view, weight) for item, weight in additions]
    scores.prepare([before.selection, *selections], before.settings)
    found = []
    for (item, _), selection in zip(additions, selections, strict=True):
        common = scores.images(item.recipe_view) & seen
        gain = scores.quick(selection, common, before.settings) - scores.quick(
            before.selection, common, before.settings
        )
        # The search of detections asks for a sample, and a recipe view may have held out none of it.
        if math.isfinite(gain):
            found.append(_Addition(item, selection, gain))
    return found


def within_cost(steps: Sequence[Step], cost: float) -> list[Step]:
    """Return the steps that cost no more, or the first one if all cost more."""
    return [step for step in steps if step.cost <= cost * (1 + 1e-9)] or list(steps[:1])


def at_cost(steps: Sequence[Step], cost: float) -> Step:
    """Return the last step that costs no more, or the first one if all cost more."""
    return within_cost(steps, cost)[-1]
