"""Which steps of a ladder, and which subsets of it, become rungs: the front of score against cost."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from train_local.ensemble.nested import ScoredStep, Searched, front_of
from train_local.ensemble.trial import RecipeView


@dataclass(frozen=True)
class Kept:
    """What becomes rungs.

    Attributes:
        rungs: the kept steps and subsets, by rising cost.
        places: of the kept steps in the search's ladder.
        end: the step that the ladder ends with, whether it became a rung or not.
    """

    rungs: list[ScoredStep]
    places: list[int]
    end: ScoredStep

    @property
    def subsets(self) -> list[ScoredStep]:
        """The kept subsets."""
        return [scored for scored in self.rungs if scored.share is not None]

    @property
    def used(self) -> frozenset[RecipeView]:
        """The recipe views of all rungs."""
        return frozenset().union(*map(_views, self.rungs))

    @property
    def closing(self) -> ScoredStep:
        """What a rung of everything says: settings tuned for most of it, and the score of the best rung."""
        top = self.rungs[-1]
        if top is self.end or _views(top) == self.used:
            return top
        return ScoredStep(self.end.step, top.promise, top.error, None)


def kept_of(
    searched: Searched, *, closed: Callable[[Collection[RecipeView]], bool], keep_all: bool = False
) -> Kept:
    """Return the steps and subsets that promise more than all that cost less.

    The first step stays, and nothing that costs no more than it does comes in front of it. With steps of the
    scores 0.70, 0.74 and 0.80 that cost 1, 3 and 8, and a subset of 0.78 that costs 4, all four are kept; if
    it cost 3, the second step would go.

    The last rung of an ensemble has all its passes. A subset that promises more than the whole ladder puts
    an end to it: what it does not have is left out, with the rungs that need it. If not even the first step
    would be left, the subset goes instead. Where unmeasured passes close the ladder, there is such a last
    rung in any case.

    Args:
        searched: at least one step.
        closed: whether a rung of unmeasured passes comes after all rungs, if these are their recipe views.
        keep_all: keep all steps, and the subsets that promise more than all that cost less.
    """
    steps = searched.steps
    end = len(steps) - 1 if keep_all else front_of(steps)[-1]
    whole = _views(steps[end])
    first = steps[0].step.cost
    subsets = [one for one in searched.subsets if _views(one) < whole and one.step.cost > first]
    while True:
        rungs = _front(steps[: end + 1], subsets, keep_all=keep_all)
        top = rungs[-1]
        kept = Kept(rungs, _places(steps, rungs), steps[end])
        if _views(top) == kept.used or closed(kept.used):
            return kept
        inside = [scored for scored in rungs if _views(scored) <= _views(top)]
        if inside[0] is steps[0]:
            return Kept(inside, _places(steps, inside), steps[end])
        subsets.remove(top)


def _front(steps: Sequence[ScoredStep], subsets: Sequence[ScoredStep], *, keep_all: bool) -> list[ScoredStep]:
    """Return what promises more than all that costs less, the first step in any case."""
    rest = sorted([*steps[1:], *subsets], key=lambda one: (one.step.cost, -one.promise))
    kept, best = [steps[0]], steps[0].promise
    for scored in rest:
        if scored.promise > best or (keep_all and scored.share is None):
            kept.append(scored)
            best = max(best, scored.promise)
    return kept


def _places(steps: Sequence[ScoredStep], kept: Sequence[ScoredStep]) -> list[int]:
    return [place for place, step in enumerate(steps) if any(step is one for one in kept)]


def _views(scored: ScoredStep) -> frozenset[RecipeView]:
    return frozenset(scored.step.selection.recipe_views)
