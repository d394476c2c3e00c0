import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train_local.ensemble.paths import ASKED, SHARES
from train_local.ensemble.subsets import subsets_under


class World:
    """Candidates with costs, and the score of their weighted mean: errors that they partly share."""

    def __init__(self, seed, number):
        random = np.random.default_rng(seed)
        # Views of a member have its cost and most of its errors; members differ in cost by up to 12.
        member = np.arange(number) % random.integers(2, max(3, number // 2 + 1))
        error = random.uniform(0.5, 3, number)[member]
        alike = np.where(member[:, None] == member, 0.85, random.uniform(0, 0.5))
        np.fill_diagonal(alike, 1)
        self.costs = np.exp(random.uniform(0, np.log(12), number))[member].tolist()
        self.error = np.sqrt(error[:, None] * error) * alike
        self.weights = random.choice([0.5, 1.0, 2.0], number)
        self.asked = []

    def score(self, subset):
        self.asked.append(subset)
        chosen = sorted(subset)
        weights = self.weights[chosen] / self.weights[chosen].sum()
        return 1 / (1 + 0.3 * float(weights @ self.error[np.ix_(chosen, chosen)] @ weights))

    def cost(self, subset):
        return math.fsum(self.costs[item] for item in subset)

    def ladder(self):
        """Prefixes of the candidates in the order of the largest gain for its cost."""
        order, left, value = [], set(range(len(self.costs))), 0.0
        while left:
            gains = {item: self.score(frozenset([*order, item])) - value for item in left}
            item = max(left, key=lambda one: (gains[one] / self.costs[one], -one))
            if gains[item] <= 0:
                break
            order.append(item)
            left.remove(item)
            value += gains[item]
        return [order[: length + 1] for length in range(len(order))]


worlds = st.builds(World, st.integers(0, 10_000), st.integers(1, 15))
some = settings(max_examples=40, deadline=None)


@some
@given(worlds, st.sampled_from(SHARES), st.integers(1, 120))
def test_what_is_found_fits_and_is_no_worse_than_any_start(world, share, most):
    ladder = world.ladder()
    cap = share * world.cost(ladder[-1])
    world.asked.clear()
    found = subsets_under(cap, world.costs, world.score, starts=ladder, most=most)
    assert len(world.asked) <= most
    assert len(set(world.asked)) == len(world.asked), "nothing is asked twice"
    assert all(world.cost(subset) <= cap * (1 + 1e-9) for subset in world.asked)
    assert list(found) == sorted(set(found))
    fitting = [prefix for prefix in ladder if world.cost(prefix) <= cap][:most]
    if min(world.costs) > cap:
        assert found == ()
    elif fitting:
        assert world.score(found) >= max(map(world.score, fitting))


@some
@given(worlds, st.sampled_from(SHARES))
def test_the_same_question_has_the_same_answer_with_all_scores_known_together(world, share):
    cap = share * world.cost(range(len(world.costs)))
    prepared = []
    found = subsets_under(cap, world.costs, world.score)
    world.asked.clear()
    assert subsets_under(cap, world.costs, world.score, prepare=prepared.extend) == found
    assert prepared == world.asked


@some
@given(worlds)
def test_searches_under_several_caps_share_their_scores(world):
    known = {}
    for share in SHARES:
        cap, before = share * world.cost(range(len(world.costs))), dict(known)
        found = subsets_under(cap, world.costs, world.score, known=known, most=30)
        assert len(known) <= len(before) + 30
        fitting = [value for subset, value in known.items() if world.cost(subset) <= cap * (1 + 1e-9)]
        assert known.get(frozenset(found), 0.0) == max(fitting, default=0.0)
    assert len(world.asked) == len(set(world.asked)) == len(known)


@pytest.mark.parametrize(("number", "least"), [(6, 1.0), (10, 0.95), (12, 0.95)])
def test_the_best_subset_of_all_is_found_most_of_the_time(number, least):
    best, of_prefix, asked = 0, 0, 0
    for seed in range(6):
        world = World(seed, number)
        ladder = world.ladder()
        values = {
            subset: (world.score(subset), world.cost(subset))
            for size in range(1, number + 1)
            for subset in combinations(range(number), size)
        }
        for share in SHARES:
            cap = share * world.cost(ladder[-1])
            known = [value for value, cost in values.values() if cost <= cap * (1 + 1e-9)]
            if not known:
                continue
            found = subsets_under(cap, world.costs, world.score, starts=ladder, most=ASKED)
            prefixes = [world.score(one) for one in ladder if world.cost(one) <= cap * (1 + 1e-9)]
            asked += 1
            best += world.score(found) >= max(known) - 1e-12
            of_prefix += max(prefixes, default=0.0) >= max(known) - 1e-12
    assert best >= least * asked
    assert best > of_prefix, "the longest prefix that fits is the best subset less often"


def test_the_dear_one_that_fits_only_without_the_first_is_found():
    scores = {(0,): 0.70, (1,): 0.69, (0, 1): 0.74, (2,): 0.78}
    costs = [1.0, 2.0, 3.0]
    found = subsets_under(3.0, costs, lambda one: scores[tuple(sorted(one))], starts=[[0], [0, 1]])
    assert found == (2,)
    assert subsets_under(0.5, costs, lambda one: scores[tuple(sorted(one))]) == ()


def test_of_equal_scores_the_cheaper_subset_and_of_equal_costs_the_first_one():
    assert subsets_under(10.0, [2.0, 1.0, 1.0], lambda _: 0.5) == (1,)
    assert subsets_under(10.0, [1.0] * 14, lambda _: 0.5) == (0,)


def test_a_subset_without_a_score_is_never_the_best():
    assert subsets_under(9.0, [1.0, 1.0], lambda one: math.nan if 0 in one else 0.5) == (1,)
    assert subsets_under(9.0, [1.0, 1.0], lambda _: math.nan) == ()
