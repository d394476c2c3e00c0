"""The ladder of a simulated ensemble: an order of its passes and rungs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_STEPS = 40
"""A rung has to gain this part of the whole ladder's gain, or it is left out."""

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


def prefixes(order: Sequence[int], score: Score) -> list[tuple[int, ...]]:
    """Return the rungs of a nested ladder: those prefixes of an order that gain enough, and all passes.

    Args:
        order: of the passes.
        score: on held-out images.
    """
    ends = range(1, len(order) + 1)
    scores = [score(frozenset(order[:end])) for end in ends]
    step = (max(scores) - scores[0]) / _STEPS
    rungs, best = [tuple(order[:1])], scores[0]
    for end in ends[1:-1]:
        if scores[end - 1] > best + step:
            rungs.append(tuple(order[:end]))
            best = scores[end - 1]
    return [*rungs, tuple(order)]
