"""Greedy selection with a fixed price of time: the baseline that our ladders are compared with.

Greedy ensemble selection with replacement (Caruana et al., Ensemble selection from libraries of models, 2004)
adds, again and again, the one that raises the score most; what is added twice counts twice. HAPEns (Maier and
Purucker, arXiv 2603.10582, 2026) makes it aware of cost by "static weighting": the objective is

    (1 - w) * score - w * seconds / seconds of all

with a fixed w, and several w give a front of score against cost. Its ensembles are not nested, so no ladder
can be made of them: each of them is the best of its cost, and ours has to come near without that freedom.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from train_local.ensemble.scores import Assigned, Scores
from train_local.ensemble.search import Candidate, Step
from train_local.ensemble.trial import Selection

PRICES = (0.0, 0.01, 0.03, 0.1, 0.3)
"""Weights w of the time."""
ROUNDS = 12
"""Additions under each price, repetitions included."""


def comparable(
    scores: Scores, candidates: Sequence[Candidate], ids: Collection[str]
) -> tuple[list[Candidate], frozenset[str]]:
    """Return the candidates that share held-out images with the one that has most, and the shared images.

    Selections can only be compared on the same images. With recipes a and b in all folds and c in fold 1,
    these are the images of fold 1.
    """
    wanted = frozenset(ids)
    largest = max(candidates, key=lambda item: len(scores.images(item.recipe_view) & wanted))
    common, kept = scores.images(largest.recipe_view) & wanted, []
    for item in candidates:
        if smaller := common & scores.images(item.recipe_view):
            common = smaller
            kept.append(item)
    return kept, common


def front(scores: Scores, candidates: Sequence[Candidate], ids: Collection[str]) -> list[Step]:
    """Return ensembles on the front of score against seconds, cheapest first; each beats all cheaper ones.

    Args:
        scores: of the held-out images.
        candidates: recipe views that somebody held images out for.
        ids: images that the selection may see.
    """
    usable, seen = comparable(scores, candidates, ids)
    if not seen:
        return []
    total = sum(item.coarse_seconds for item in usable)
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
            values = [(scores.quick(one, seen, {}), _seconds(usable, one)) for one in selections]
            found.update(zip(selections, values, strict=True))
            aims = [(1 - price) * value - price * seconds / total for value, seconds in values]
            counts = tried[max(range(len(aims)), key=aims.__getitem__)]
    best: list[Step] = []
    for selection, (value, seconds) in sorted(found.items(), key=lambda item: (item[1][1], -item[1][0])):
        if not best or value > best[-1].score:
            best.append(Step(selection, {}, value, seconds))
    return [_tuned(scores, step, seen) for step in best]


def _selection(candidates: Sequence[Candidate], counts: Sequence[int]) -> Selection:
    chosen = [
        (item.recipe_view, float(count)) for item, count in zip(candidates, counts, strict=True) if count
    ]
    return Selection(tuple(view for view, _ in chosen), tuple(count for _, count in chosen))


def _seconds(candidates: Sequence[Candidate], selection: Selection) -> float:
    return sum(item.coarse_seconds for item in candidates if item.recipe_view in selection.recipe_views)


def _tuned(scores: Scores, step: Step, ids: Collection[str]) -> Step:
    settings = scores.tune(step.selection, ids, {})
    value = scores.score({image_id: Assigned(step.selection, settings) for image_id in sorted(ids)})
    return Step(step.selection, settings, value, step.seconds)
