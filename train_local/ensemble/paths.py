"""Paths beside the ladder: for some shares of its cost, the subset of its recipe views that is best.

The ladder is the path for a test set that is as small as expected: everything fits, and what comes first
matters little. Of one that is three times larger a third fits, and the best third is rarely the first third.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from train_local.ensemble.scores import Scores
from train_local.ensemble.search import Step, tuned_step
from train_local.ensemble.subsets import Subset, subsets_under
from train_local.ensemble.trial import RecipeView, Selection

SHARES = (1 / 8, 1 / 4, 1 / 3, 1 / 2)
"""Of the ladder's cost, rising. Where all of it just fits, a half is what fits with one card of two or a test
set of twice the size, a third with one of three times the size; a quarter and an eighth are several of these
together. Above a half, little has to be left out, and the ladder's own rungs are near to the best."""
ASKED = 60
"""Subsets that are asked for under each cap, at most; what a cap does not need the next ones get."""


def best_subsets(
    scores: Scores,
    ladder: Sequence[Step],
    costs: Mapping[RecipeView, float],
    ids: Collection[str],
    caps: Sequence[float],
    *,
    on_asked: Callable[[int], None] | None = None,
) -> list[Step | None]:
    """Return the best subset of a ladder's recipe views under each cap, tuned as a step of the ladder is.

    A recipe view keeps the weight that the ladder gave it. So all rungs give their passes weights of the same
    ratios, and maps of passes can be added up once for all rungs that contain them.

    Args:
        scores: of the held-out images.
        ladder: the steps of a search on the same images, at least one; the last one has all recipe views.
        costs: of all recipe views.
        ids: images that the search may see.
        caps: of the cost, rising.
        on_asked: told how many more subsets were asked for, in the end `ASKED` for each cap.

    Returns:
        For each cap the step; it is one of the ladder's where that is the best, and None if nothing that has
        a score of all images fits.
    """
    order = ladder[-1].selection
    own_costs = [costs[recipe_view] for recipe_view in order.recipe_views]
    held_out = [scores.images(recipe_view) for recipe_view in order.recipe_views]
    known: dict[Subset, float] = {}
    told = 0

    def selection(subset: Collection[int]) -> Selection:
        chosen = sorted(subset)
        return Selection(
            tuple(order.recipe_views[place] for place in chosen),
            tuple(order.weights[place] for place in chosen),
        )

    def prepare(subsets: Sequence[Subset]) -> None:
        nonlocal told
        scores.prepare([selection(subset) for subset in subsets], {})
        told += len(subsets)
        if on_asked is not None:
            on_asked(len(subsets))

    def score(subset: Subset) -> float:
        # Scores of different images cannot be compared: a subset that covers some of them only has none.
        covered = frozenset[str]().union(*(held_out[place] for place in subset))
        return scores.quick(selection(subset), ids, {}) if covered >= frozenset(scores.ids) else float("nan")

    prefixes = [range(len(step.selection.recipe_views)) for step in ladder]
    found: list[tuple[int, ...]] = []
    for number, cap in enumerate(caps, 1):
        most = number * ASKED - told
        found.append(
            subsets_under(cap, own_costs, score, starts=prefixes, most=most, known=known, prepare=prepare)
        )
    if on_asked is not None:
        on_asked(len(caps) * ASKED - told)
    tuned: dict[tuple[int, ...], Step | None] = {(): None}
    tuned.update({tuple(prefix): step for prefix, step in zip(prefixes, ladder, strict=True)})
    for subset in found:
        if subset not in tuned:
            cost = sum(own_costs[place] for place in subset)
            tuned[subset] = tuned_step(scores, selection(subset), ids, {}, cost)
    return [tuned[subset] for subset in found]
