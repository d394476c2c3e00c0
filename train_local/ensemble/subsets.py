"""The best subset of candidates under a cap of their cost: what a path of its own gives for less time.

A ladder that grows by the largest gain for its cost is good on the way to everything, and no prefix of it has
to be the best use of a third of the time: a cheap candidate that helped at first may stand in the way of a
dear one that fits only without it. Costs 1, 2 and 3, cap 3, and the ladder goes 0, 1, 2:

    subset      cost   score
    0           1      0.70
    0 1         3      0.74     the longest prefix that fits
    2           3      0.78     the best

The module knows numbers only, no files, no recipes: whoever has costs and a score can ask it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import combinations

MOST = 100
"""Subsets that one search asks for, unless it is told otherwise."""
_COUNTED = 12
"""Up to so many candidates, the subsets that fit are counted: if they are few, all of them are asked for."""

Subset = frozenset[int]
"""Numbers of candidates."""
Score = Callable[[Subset], float]
"""The score of a subset that is not empty; nan if it has none."""


def subsets_under(
    cap: float,
    costs: Sequence[float],
    score: Score,
    *,
    starts: Iterable[Collection[int]] = (),
    most: int = MOST,
    known: dict[Subset, float] | None = None,
    prepare: Callable[[Sequence[Subset]], None] | None = None,
) -> tuple[int, ...]:
    """Return the best subset found among those that cost no more than the cap.

    Are there no more than `most` such subsets, all are compared and the best one is returned. Else, from the
    best of the starts and of two greedy fillings (by score, and by gain for the cost), the search goes to the
    best neighbour (one more, one less, one exchanged) while it is better; from there it drops each candidate
    in turn, fills the room again without it, and goes on from what is better. Equal arguments give equal
    subsets. Of equal scores the lower cost wins, then the lower numbers.

    Args:
        cap: of the sum of costs, in their unit; a subset may reach it.
        costs: of each candidate, above 0.
        score: of a subset; asked once for each.
        starts: subsets to begin from, e.g. the prefixes of a greedy ladder: those that fit are compared
            first, so that the result is never worse than the best of the first `most` of them.
        most: subsets that are asked for, at most.
        known: scores of subsets, from searches under other caps: they are not asked again, do not count, and
            new ones are added.
        prepare: told what `score` will be asked next, so that it can be computed together.

    Returns:
        Numbers of candidates, ascending; empty if nothing fits or nothing has a score.
    """
    search = _Search(cap, costs, score, most=most, known={} if known is None else known, prepare=prepare)
    search.best([frozenset(subset) for subset in starts])
    every = search.all_that_fit()
    if every is not None:
        return tuple(sorted(search.best(every)))
    search.filled(frozenset(), by_rate=False)
    search.filled(frozenset(), by_rate=True)
    best = search.climbed(search.best_known())
    while True:
        search.shaken(best)
        better = search.best_known()
        if better == best:
            return tuple(sorted(best))
        best = search.climbed(better)


class _Search:
    """Subsets with their scores, and the moves between them."""

    def __init__(
        self,
        cap: float,
        costs: Sequence[float],
        score: Score,
        *,
        most: int,
        known: dict[Subset, float],
        prepare: Callable[[Sequence[Subset]], None] | None,
    ) -> None:
        # Sums of the same numbers in another order differ in the last digits.
        self._cap, self._costs = cap * (1 + 1e-9), costs
        self._score, self._prepare = score, prepare
        self._left, self._known = most, known

    def _cost(self, subset: Subset) -> float:
        return math.fsum(self._costs[item] for item in subset)

    def _fits(self, subset: Subset) -> bool:
        return self._cost(subset) <= self._cap

    def _ask(self, subsets: Iterable[Subset]) -> list[Subset]:
        """Score what is not known yet, as far as the limit goes; return those with a score."""
        wanted = [subset for subset in dict.fromkeys(subsets) if subset and self._fits(subset)]
        new = [subset for subset in wanted if subset not in self._known][: self._left]
        self._left -= len(new)
        if new and self._prepare is not None:
            self._prepare(new)
        for subset in new:
            value = self._score(subset)
            self._known[subset] = -math.inf if math.isnan(value) else value
        return [subset for subset in wanted if self._known.get(subset, -math.inf) > -math.inf]

    def _rank(self, subset: Subset) -> tuple[float, float, tuple[int, ...]]:
        return self._known[subset], -self._cost(subset), tuple(-item for item in sorted(subset))

    def best(self, subsets: Iterable[Subset]) -> Subset:
        """Return the best of those that fit; the empty one if there is none."""
        return max(self._ask(subsets), key=self._rank, default=frozenset())

    def best_known(self) -> Subset:
        """Return the best that fits of all that were ever asked for."""
        return self.best(list(self._known))

    def all_that_fit(self) -> list[Subset] | None:
        """Return all subsets that fit, or None if they are more than may be asked for."""
        if len(self._costs) > _COUNTED:
            return None
        found = [
            subset
            for size in range(1, len(self._costs) + 1)
            for subset in map(frozenset, combinations(range(len(self._costs)), size))
            if self._fits(subset)
        ]
        return found if sum(subset not in self._known for subset in found) <= self._left else None

    def filled(self, subset: Subset, *, by_rate: bool, without: int | None = None) -> Subset:
        """Add one candidate after the other, of those that still fit the one that makes the best subset.

        Args:
            subset: to begin with.
            by_rate: add what gains most for its cost instead.
            without: a candidate that is not added.
        """
        self._ask([subset])
        while True:
            added = self._ask(
                subset | {item} for item in range(len(self._costs)) if item not in subset and item != without
            )
            # On top of nothing, or of what was not asked for in time, the gain is the score itself.
            before = self._known.get(subset, -math.inf)
            before = before if math.isfinite(before) else 0.0

            def rate(larger: Subset, base: float = before, cost: float = self._cost(subset)) -> float:
                return (self._known[larger] - base) / (self._cost(larger) - cost)

            better = [larger for larger in added if self._known[larger] > self._known.get(subset, -math.inf)]
            if not better:
                return subset
            subset = max(better, key=(lambda one: (rate(one), self._rank(one))) if by_rate else self._rank)

    def climbed(self, subset: Subset) -> Subset:
        """Go to the best neighbour while it is better: one candidate more, less, or exchanged."""
        while True:
            rest = [item for item in range(len(self._costs)) if item not in subset]
            nearest = [subset | {item} for item in rest] + [subset - {item} for item in sorted(subset)]
            nearest += [(subset - {old}) | {new} for old in sorted(subset) for new in rest]
            better = self.best([subset, *nearest])
            if better == subset:
                return subset
            subset = better

    def shaken(self, subset: Subset) -> None:
        """Drop each candidate in turn, fill the room without it, and climb from there."""
        for item in sorted(subset, key=lambda one: (-self._costs[one], one)):
            self.climbed(self.filled(subset - {item}, by_rate=False, without=item))
