"""Drawn worlds: what they promise, and the scores of passes."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from benchmarks.budget import ladders, stopping
from benchmarks.budget.machine import Device, Drift
from benchmarks.budget.truth import Errors, Truth
from benchmarks.budget.world import world_of

NUMBERS = range(30)


@pytest.fixture(scope="module")
def worlds():
    return [world_of(11, number) for number in NUMBERS]


def test_a_world_is_a_pure_function_of_its_numbers(worlds):
    for number in (0, 7):
        again = world_of(11, number)
        assert again.ensemble == worlds[number].ensemble
        assert again.images == worlds[number].images
        assert (again.machine.seconds == worlds[number].machine.seconds).all()
    assert worlds[0].ensemble != worlds[1].ensemble
    assert world_of(12, 0).ensemble != worlds[0].ensemble


def test_worlds_are_of_both_kinds_with_one_worker_and_two_and_budgets_from_too_little_to_plenty(worlds):
    assert {world.ensemble.kind for world in worlds} == {"semantic", "instance"}
    assert {len(world.machine.devices) for world in worlds} == {1, 2}
    assert min(world.share for world in worlds) < 0.4
    assert max(world.share for world in worlds) > 1.5
    for world in worlds:
        assert 3 <= len(world.ensemble.members) <= 16
        assert 8 <= len(world.images) <= 60
        assert len(world.ensemble.passes) <= 64


def test_the_share_of_the_ladder_that_fits_is_the_one_that_was_drawn(worlds):
    for world in worlds:
        machine = world.machine
        work = machine.seconds[0].sum() + machine.fuse.sum() * len(world.ensemble.passes)
        # Stalls and noise come on top of what was drawn.
        assert 0.3 * world.share < machine.capacity(world.deadline) / work < 1.5 * world.share


def test_rungs_rise_in_cost_and_do_not_fall_in_score_and_the_last_has_all_passes(worlds):
    for world in worlds:
        passes = world.ensemble.passes
        costs = [
            sum(passes[index].seconds_per_megapixel for index in rung.passes) for rung in world.ensemble.rungs
        ]
        cvs = [rung.cv for rung in world.ensemble.rungs]
        assert costs == sorted(costs)
        assert cvs == sorted(cvs)
        assert len(world.ensemble.rungs) <= 48


def test_only_the_rungs_differ_without_other_paths(worlds):
    more = 0
    for world in worlds:
        nested = world_of(11, world.number, nested=True)
        assert nested.ensemble.passes == world.ensemble.passes
        assert (nested.machine.seconds == world.machine.seconds).all()
        assert nested.budget == world.budget
        ends = [rung.passes for rung in nested.ensemble.rungs]
        assert all(end == list(range(len(end))) for end in ends)
        more += any(rung.passes != list(range(len(rung.passes))) for rung in world.ensemble.rungs)
    assert more > len(worlds) // 3


def test_the_greedy_order_takes_the_largest_gain_for_the_cost_and_paths_what_fits():
    # Costs 1, 2 and 3: the first is best for its cost, but the third alone beats the first two for the same.
    worth = {0: 0.70, 1: 0.08, 2: 0.78}

    def score(passes):
        return 0.0 if not passes else max(worth[i] for i in passes) + 0.02 * (len(passes) - 1)

    order = ladders.greedy_order([1.0, 2.0, 3.0], score)
    assert order[0] == 0
    nested = ladders.prefixes(3, lambda passes: score(frozenset(order[index] for index in passes)))
    assert nested[0] == {0}
    assert nested[-1] == {0, 1, 2}
    rungs = ladders.with_subsets(nested, [1.0, 2.0, 3.0], score)
    assert frozenset([2]) in rungs
    assert all(score(one) < score(other) for one, other in pairwise(rungs[:-1]))


def errors(**changes):
    facts = {
        "common": 0.5, "family": (0.3, 0.3), "families": (0, 0, 1),
        "members": np.ones((3, 4)), "views": np.full(3, 0.2),
    }  # fmt: skip
    return Errors(**{**facts, **changes})


def test_further_members_views_and_families_help_less_and_less():
    two, three = {0: 1, 1: 1}, {0: 1, 1: 1, 2: 1}
    alone, views = errors().variance_I({0: 1})[0], errors().variance_I({0: 4})[0]
    same, other = errors().variance_I(two)[0], errors().variance_I({0: 1, 2: 1})[0]
    assert alone == pytest.approx(0.5 + 0.3 + 1.2)
    assert alone > views > same > other > errors().variance_I(three)[0]
    assert alone - views < alone - same
    assert errors().variance(three) == pytest.approx(errors().variance_I(three)[0])
    # A member without worth adds next to nothing and takes nothing away.
    weak = errors(members=np.array([[1.0] * 4, [1.0] * 4, [1000.0] * 4]))
    assert weak.variance_I(two)[0] >= weak.variance_I(three)[0] > weak.variance_I(two)[0] - 0.01


def truth(*, mixes, gains=(1.0, 1.0, 1.0, 1.0)):
    return Truth(
        owners=(0, 1, 2), errors=errors(), mixes=mixes, first=2.0, slope=0.4, loss=0.3,
        difficulty=np.array([0.5, 0.5, 1.0, 2.0]), penalty=0.1, gains=np.array(gains),
    )  # fmt: skip


def test_dice_is_the_mean_of_the_images_and_nothing_for_one_without_a_row():
    here = truth(mixes=True)
    scores = here.scores_I((0,))
    assert scores.mean() == pytest.approx(0.7)
    assert here.of_file({0: (0,), 3: (0,)}) == pytest.approx((scores[0] + scores[3]) / 4)
    assert here.of_file({}) == 0.0


def test_ap_is_of_all_images_together_and_suffers_from_two_scales():
    here = truth(mixes=False)
    whole = dict.fromkeys(range(4), (0,))
    better = dict.fromkeys(range(4), (0, 1))
    mixed = {0: (0,), 1: (0,), 2: (0, 1), 3: (0, 1)}
    assert here.of_file(whole) == pytest.approx(0.7)
    assert here.of_file({0: (0,), 1: (0,)}) == pytest.approx(0.35)
    assert here.of_file(mixed) == pytest.approx((here.of_file(whole) + here.of_file(better)) / 2 * 0.9)


def test_a_calm_image_gains_nothing_and_loses_nothing_where_it_stops():
    calm = (0.0, 1.0, 1.0, 2.0)
    dice, ap = truth(mixes=True, gains=calm), truth(mixes=False, gains=calm)
    assert dice.scores_I((0, 1))[0] == dice.scores_I((0,))[0]
    assert dice.scores_I((0, 1))[1] == truth(mixes=True).scores_I((0, 1))[1]
    whole = dict.fromkeys(range(4), (0, 1))
    for here in (dice, ap):
        assert here.of_file({**whole, 0: (0,)}, {0}) == pytest.approx(here.of_file(whole))
        assert here.of_file({**whole, 3: (0,)}, {3}) < here.of_file(whole)
    low, high = ap.scores_I((0,))[0], ap.scores_I((0, 1))[0]
    assert ap.of_file({**whole, 3: (0,)}, {3}) == pytest.approx(high - 2 * (high - low) / 4)
    assert ap.of_file({**whole, 0: (0,)}) < ap.of_file({**whole, 0: (0,)}, {0}), "a row of another scale"
    alone = dict.fromkeys(range(4), (0,))
    assert ap.of_file(alone, set(range(4))) == pytest.approx(ap.of_file(alone))


def test_some_worlds_stop_images_at_rungs_of_the_main_path_and_the_others_are_as_before(worlds):
    stopping = [world for world in worlds if world.stopping.stops]
    assert 5 < len(stopping) < 20
    for world in stopping:
        rungs, stops = world.ensemble.rungs, world.stopping.stops
        assert stops.keys() <= set(world.ensemble.main_path[:-1])
        assert {number: rung.stop for number, rung in enumerate(rungs) if rung.stop is not None} == stops
        assert world.truth.gains.mean() == pytest.approx(1.0)
        assert world.stopping.doubts.shape == (len(rungs), len(world.images))
        assert ((world.stopping.doubts > 0) & (world.stopping.doubts <= 1)).all()
    for world in worlds:
        if not world.stopping.stops:
            assert all(rung.stop is None for rung in world.ensemble.rungs)


def test_doubts_below_the_limits_are_mostly_those_of_images_that_gain_nothing():
    random = np.random.default_rng(5)
    ensemble = world_of(11, 0, nested=True).ensemble
    found = [stopping.draw(random, ensemble, 60) for _ in range(50)]
    stops = [(one, number, stop) for one in found for number, stop in one.stops.items()]
    assert len(stops) > 25
    below = [one.doubts[number] < stop.below for one, number, stop in stops]
    calm = [one.gains == 0 for one, *_ in stops]
    right = sum((low & quiet).sum() for low, quiet in zip(below, calm, strict=True))
    assert right > 0.7 * sum(low.sum() for low in below)
    shares = [low.mean() for low in below]
    assert min(abs(share - stop.share) for share, (*_, stop) in zip(shares, stops, strict=True)) < 0.1


def test_capacity_counts_slow_lost_and_drifting_workers():
    machine = world_of(11, 0).machine
    begin = machine.set_up.installed
    machine = replace(
        machine, drift=Drift((0.0,), (1.0,), steps=False), devices=(Device(), Device(slowness=2.0))
    )
    assert machine.capacity(begin + 100) == pytest.approx(150)
    lost = replace(machine, devices=(Device(lost=begin + 40, back=20),))
    assert lost.capacity(begin + 100) == pytest.approx(80)
    slower = replace(machine, drift=Drift((0.0, begin + 50), (1.0, 2.0), steps=True), devices=(Device(),))
    assert slower.capacity(begin + 100) == pytest.approx(75, rel=0.02)
