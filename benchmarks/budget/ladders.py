"""The rungs of a simulated ensemble: a greedy ladder of its passes, and paths beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from train_local.ensemble.subsets import subsets_under

_STEPS = 40
"""A prefix has to gain this part of the whole ladder's gain to become a rung."""
_SHARES = (1 / 8, 1 / 4, 1 / 3, 1 / 2)
"""Of the cost of all passes; for each the best subset is a rung."""
_ASKED = 60
"""Subsets that are asked for under each cap."""

Score = Callable[[frozenset[int]], float]


def greedy_order(costs: Sequence[float], score: Score) -> list[int]:
    """Return all passes: each time the one with the largest gain for its cost.

    Args:
        costs: of the passes.
        score: of some passes.
    """
    chosen: list[int] = []
    left = set(range(len(costs)))
    reached = 0.0
    while left:
        gains = {index: score(frozenset([*chosen, index])) - reached for index in sorted(left)}
        best = max(gains, key=lambda index: (gains[index] / costs[index], -index))
        reached += gains[best]
        chosen.append(best)
        left.remove(best)
    return chosen


def prefixes(passes: int, score: Score) -> list[frozenset[int]]:
    """Return the rungs of a nested ladder: the first passes that gain enough, and all passes.

    Args:
        passes: number of passes, in the order of the ladder.
        score: on held-out images.
    """
    found = [frozenset(range(end)) for end in range(1, passes + 1)]
    scores = [score(passes) for passes in found]
    step = (max(scores) - scores[0]) / _STEPS
    rungs, best = found[:1], scores[0]
    for prefix, value in zip(found[1:-1], scores[1:-1], strict=True):
        if value > best + step:
            rungs.append(prefix)
            best = value
    return [*rungs, found[-1]]


def with_subsets(
    nested: Sequence[frozenset[int]], costs: Sequence[float], score: Score
) -> list[frozenset[int]]:
    """Return rungs by rising cost, each better than all cheaper ones; the first and the last stay.

    Args:
        nested: the rungs of a ladder; the last has all passes.
        costs: of the passes.
        score: on held-out images.
    """
    known: dict[frozenset[int], float] = {}
    total = sum(costs)
    best = [
        frozenset(subsets_under(share * total, costs, score, starts=nested, most=_ASKED, known=known))
        for share in _SHARES
    ]

    def cost(passes: frozenset[int]) -> float:
        return sum(costs[index] for index in passes)

    first, last = nested[0], nested[-1]
    between = {*nested[1:-1], *(rung for rung in best if cost(first) < cost(rung) < cost(last))}
    rungs, reached = [first], score(first)
    for rung in sorted(between, key=lambda rung: (cost(rung), -score(rung), sorted(rung))):
        if score(rung) > reached:
            rungs.append(rung)
            reached = score(rung)
    return [*rungs, last]
