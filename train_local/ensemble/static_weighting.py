"""Greedy selection in which cost has a fixed price: the baseline that our ladders are compared with.

Greedy ensemble selection with replacement (Caruana et al., Ensemble selection from libraries of models, 2004)
adds, again and again, the one that raises the score most; what is added twice counts twice. HAPEns (Maier and
Purucker, arXiv 2603.10582, 2026) makes it aware of cost by "static weighting": the objective is

    (1 - w) * score - w * cost / cost of all

with a fixed w, and several w give a front of score against cost. Its ensembles are not nested, so no ladder
can be made of them: each of them is the best of its cost, and ours has to come near without that freedom.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from train_local.ensemble.scores import Scores
from train_local.ensemble.search import Candidate, Step, tuned_step
from train_local.ensemble.trial import Selection

PRICES = (0.0, 0.01, 0.03, 0.1, 0.3)
"""Weights w of the cost."""
ROUNDS = 12
"""Additions under each price, repetitions included."""


def front(scores: Scores, candidates: Sequence[Candidate], ids: Collection[str]) -> list[Step]:
    """Return ensembles on the front of score against cost, cheapest first; each beats all cheaper ones.

    Args:
        scores: of the held-out images.
        candidates: recipe views; those that held out all images of `scores` can be compared and are used.
        ids: images that the selection may see.
    """
    usable = [item for item in candidates if scores.images(item.recipe_view) >= frozenset(scores.ids)]
    if not usable:
        return []
    total = sum(item.cost for item in usable)
    found: dict[Selection, tuple[float, float]] = {}
    for price in PRICES:
        counts = [0] * len(usable)
        for _ in range(ROUNDS):
            tried = [
                [count + (place == added) for place, count in enumerate(counts)]
                for added in range(len(usable))
            ]
            selections = [_selection(usable, one) for one in tried]
            scores.prepare(selections, {})
            values = [(scores.quick(one, ids, {}), _cost(usable, one)) for one in selections]
            found.update(zip(selections, values, strict=True))
            aims = [(1 - price) * value - price * cost / total for value, cost in values]
            counts = tried[max(range(len(aims)), key=aims.__getitem__)]
    best: list[Step] = []
    for selection, (value, cost) in sorted(found.items(), key=lambda item: (item[1][1], -item[1][0])):
        if not best or value > best[-1].score:
            best.append(Step(selection, {}, value, cost))
    return [tuned_step(scores, step.selection, ids, {}, step.cost) for step in best]


def _selection(candidates: Sequence[Candidate], counts: Sequence[int]) -> Selection:
    chosen = [
        (item.recipe_view, float(count)) for item, count in zip(candidates, counts, strict=True) if count
    ]
    return Selection(tuple(view for view, _ in chosen), tuple(count for _, count in chosen))


def _cost(candidates: Sequence[Candidate], selection: Selection) -> float:
    return sum(item.cost for item in candidates if item.recipe_view in selection.recipe_views)
