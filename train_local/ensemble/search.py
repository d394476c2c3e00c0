"""The search of one ladder: what is added next is what gains most per second."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from train_local.ensemble.scores import Assigned, Scores, Settings, covered
from train_local.ensemble.trial import RecipeView, Selection

FIRST_SHARE = 0.9
"""The first recipe view scores at least this share of the best one: everything else is built on it."""
_LEAST_GAIN = 1e-6
"""Smaller gains are rounding."""


@dataclass(frozen=True)
class Candidate:
    """A recipe view that may be added.

    Attributes:
        recipe_view: the recipe and the view.
        seconds: per megapixel, of one fold's pass.
    """

    recipe_view: RecipeView
    seconds: float

    @property
    def coarse_seconds(self) -> float:
        """Seconds rounded to a power of two: equal runs measure 1.0 and 1.1, and need equal ladders."""
        return 2.0 ** round(math.log2(max(self.seconds, 1e-3)))


@dataclass(frozen=True)
class Step:
    """One step of a ladder.

    Attributes:
        selection: all recipe views so far.
        settings: tuned for it on the images of the search.
        score: with these settings on the same images, so fitted to them.
        seconds: per megapixel, of one fold's pass of each recipe view, coarse.
    """

    selection: Selection
    settings: Settings
    score: float
    seconds: float


def search_ladder(
    scores: Scores,
    candidates: Sequence[Candidate],
    ids: Collection[str],
    *,
    keep_all: bool = False,
    on_step: Callable[[Step], None] | None = None,
) -> list[Step]:
    """Build a ladder step by step, each time with the candidate of the largest gain per second.

    A candidate is tried with several weights and counts with the best one. Its gain is measured on the images
    that both it and the selection so far have held out. With a selection that scores 0.80:

        candidate   seconds   score of both together   gain per second
        a hflip     1         0.82                     0.02
        b           4         0.84                     0.01

    "a hflip" is added, and b is tried again on top of it. Candidates that share no image with the selection
    cannot be measured and are left out.

    Args:
        scores: of the held-out images.
        candidates: recipe views that somebody held images out for.
        ids: the images that the search may see.
        keep_all: go on without a gain until all measurable candidates are in.
        on_step: called with each step.
    """
    steps: list[Step] = []

    def add(selection: Selection, start: Settings, seconds: float) -> None:
        steps.append(_step(scores, selection, ids, start, seconds))
        if on_step is not None:
            on_step(steps[-1])

    left = [item for item in candidates if scores.images(item.recipe_view) & set(ids)]
    if not left:
        return []
    singles = [Selection((item.recipe_view,), (1.0,)) for item in left]
    scores.prepare(singles, {})
    values = [scores.quick(single, ids, {}) for single in singles]
    enough = FIRST_SHARE * max(values)
    fit = [place for place in range(len(left)) if values[place] >= enough]
    # Of 0.75 at 1 second and 0.80 at 2 seconds, the first one gives more per second.
    first = max(fit, key=lambda place: (values[place] / left[place].coarse_seconds, -place))
    add(singles[first], {}, left.pop(first).coarse_seconds)
    while left:
        chosen = _best_addition(scores, steps[-1], left, ids)
        if chosen is None or (chosen[0] <= _LEAST_GAIN and not keep_all):
            break
        _, place, selection = chosen
        add(selection, steps[-1].settings, steps[-1].seconds + left.pop(place).coarse_seconds)
    return steps


def _step(
    scores: Scores, selection: Selection, ids: Collection[str], start: Settings, seconds: float
) -> Step:
    settings = scores.tune(selection, ids, start)
    value = scores.score({image_id: Assigned(selection, settings) for image_id in sorted(ids)})
    return Step(selection, settings, value, seconds)


def _best_addition(
    scores: Scores, before: Step, left: Sequence[Candidate], ids: Collection[str]
) -> tuple[float, int, Selection] | None:
    """Return gain, place and selection of the candidate with the largest gain per second."""
    seen = covered(scores, before.selection) & set(ids)
    tried = [
        (place, before.selection.plus(item.recipe_view, weight), scores.images(item.recipe_view) & seen)
        for place, item in enumerate(left)
        for weight in scores.relative_weights(before.selection, item.recipe_view)
    ]
    tried = [item for item in tried if item[2]]
    scores.prepare([before.selection, *(selection for _, selection, _ in tried)], before.settings)
    found: list[tuple[float, float, int, Selection]] = []
    for place, selection, common in tried:
        gain = scores.quick(selection, common, before.settings) - scores.quick(
            before.selection, common, before.settings
        )
        seconds = left[place].coarse_seconds
        # A loss per second would prefer the slow ones: -0.01 in 4 seconds is no better than in 1 second.
        rate = gain / seconds if gain > 0 else gain * seconds
        found.append((rate, gain, place, selection))
    if not found:
        return None
    # Of equal rates the first one stays: candidates come cheapest first, weight 1 in front of others.
    _, gain, place, selection = max(found, key=lambda item: item[0])
    return gain, place, selection


def at_cost(steps: Sequence[Step], seconds: float) -> Step:
    """Return the last step that costs no more, or the first one if all cost more."""
    within = [step for step in steps if step.seconds <= seconds * (1 + 1e-9)]
    return within[-1] if within else steps[0]
