from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.ensemble import Ensemble, Member, Pass, Rung
from kit.plan.costs import Costs, loading_seconds, reserve_seconds


def ensemble(*priors: float, members: tuple[int, ...] | None = None) -> Ensemble:
    owners = members or tuple(range(len(priors)))
    return Ensemble(
        competition="kidney",
        kind="semantic",
        members=[
            Member(name=f"m{i}", weights=f"{i}", sha256=f"{i}", size=1, network={}, inference={}, requires=[])
            for i in sorted(set(owners))
        ],
        passes=[
            Pass(member=owner, view="identity", seconds_per_megapixel=prior)
            for owner, prior in zip(owners, priors, strict=True)
        ],
        rungs=[Rung(passes=list(range(len(priors))), weights=[1.0] * len(priors), settings={}, cv=0.5)],
    )


def test_a_measured_cost_replaces_the_prior():
    costs = Costs(ensemble(1.0, 4.0))
    costs.observe(0, megapixels=10, seconds=5)
    costs.observe(0, megapixels=10, seconds=7)
    assert costs.per_megapixel(0) == pytest.approx(0.6)


def test_an_unmeasured_pass_is_scaled_by_the_speed_of_this_machine():
    costs = Costs(ensemble(1.0, 4.0))
    costs.observe(0, megapixels=10, seconds=20)
    assert costs.per_megapixel(1) == pytest.approx(8.0)


def test_another_view_of_a_measured_member_keeps_its_ratio_to_the_views_that_ran():
    costs = Costs(ensemble(1.0, 4.0, members=(0, 0)))
    costs.observe(0, megapixels=10, seconds=20)
    assert costs.per_megapixel(1) == pytest.approx(8.0)
    costs = Costs(ensemble(1.0, 4.0, 8.0, members=(0, 0, 0)))
    costs.observe(0, megapixels=10, seconds=10)
    costs.observe(1, megapixels=10, seconds=30)
    # 1 s and 3 s per megapixel are 1 and 0.75 times what was expected: 0.875 on average.
    assert costs.per_megapixel(2) == pytest.approx(7.0)


def test_wall_time_is_work_over_workers_but_never_less_than_the_longest_image():
    costs = Costs(ensemble(2.0))
    assert costs.seconds([0], {"a": 3.0, "b": 3.0}, workers=2) == pytest.approx(6.0)
    assert costs.seconds([0], {"a": 9.0, "b": 1.0}, workers=8) == pytest.approx(18.0)
    assert costs.seconds([0], {}, workers=8) == 0
    assert Costs(ensemble(1.0, 4.0)).seconds([0, 1], {"a": 9.0}, workers=8) == pytest.approx(36.0)


def test_wall_time_has_the_loading_of_each_member_by_one_worker():
    costs = Costs(ensemble(1.0, 1.0))
    costs.observe(0, 1.0, 1.0, load=4.0)
    images = {f"{number}": 1.0 for number in range(10)}
    assert costs.seconds([0], images, workers=1) == pytest.approx(10 + 4)
    assert costs.seconds([0], images, workers=2) == pytest.approx(5 + 4), "each loads the only member"
    assert costs.seconds([0, 1], images, workers=2) == pytest.approx(10 + 4 / 2 + 4)
    assert costs.seconds([0, 1], {"a": 1.0}, workers=8) == pytest.approx(4 + 1)


@given(st.lists(st.floats(0, 100), max_size=8), st.integers(1, 4))
def test_workers_that_each_load_what_nobody_has_loaded_are_done_within_the_loading_time(loads, workers):
    busy = [0.0] * workers
    for load in loads:
        busy[busy.index(min(busy))] += load
    assert max(busy) <= loading_seconds(loads, workers) + 1e-9
    assert loading_seconds(loads, 1) == pytest.approx(sum(loads))
    assert loading_seconds(loads, workers + 1) <= loading_seconds(loads, workers) + 1e-9


@given(st.floats(1, 1e6), st.floats(0, 1e6))
def test_the_reserve_leaves_most_of_a_short_budget(budget, declared):
    reserve = reserve_seconds(budget, declared)
    assert 0 <= reserve <= declared
    assert reserve <= 0.15 * budget
    assert reserve == declared or reserve == pytest.approx(0.15 * budget)


def one_member(*tasks: tuple[float, float]) -> Costs:
    """Costs after a member's tasks of (megapixels, seconds)."""
    costs = Costs(ensemble(1.0))
    for megapixels, seconds in tasks:
        costs.observe(0, megapixels, seconds)
    return costs


def test_tasks_of_two_sizes_tell_the_seconds_of_an_image_from_those_of_a_megapixel():
    # 2 s for each image and 1 s for each megapixel: after ten of each size, ten images of 1 megapixel take
    # 30 s and ten of 9 megapixels 110 s.
    costs = one_member(*[(9.0, 11.0), (1.0, 3.0)] * 10)
    assert costs.expected(0, 10, 10.0) / costs.pace == pytest.approx(30, rel=0.06)
    assert costs.expected(0, 10, 90.0) / costs.pace == pytest.approx(110, rel=0.06)
    # By the line through both, and not by their mean of 1.4 s per megapixel.
    assert costs.expected(0, 1, 1.0) / costs.pace > 2.5


def test_tasks_of_one_size_say_nothing_of_the_parts_so_all_is_per_megapixel():
    costs = one_member((4.0, 8.0), (4.0, 8.0), (4.0, 8.0))
    assert costs.pace == pytest.approx(1.0)
    assert costs.expected(0, 1, 4.0) == pytest.approx(8.0)
    assert costs.expected(0, 5, 4.0) == pytest.approx(8.0)
    assert costs.expected(0, 1, 40.0) == pytest.approx(80.0)


def test_neither_part_is_negative_even_if_large_images_were_faster():
    faster = one_member((1.0, 10.0), (9.0, 1.0))
    assert faster.expected(0, 0, 50.0) == 0
    assert faster.expected(0, 1, 0.0) > 0
    steeper = one_member((1.0, 1.0), (9.0, 100.0))
    assert steeper.expected(0, 1, 0.0) == 0


def test_a_task_that_hung_moves_the_estimate_only_a_little():
    usual = [(1.0, 1.0)] * 10
    costs = one_member(*usual, (1.0, 300.0))
    assert 1.0 < costs.expected(0, 1, 1.0) < 1.5
    assert 1.0 < costs.pace < 1.1


def test_a_task_that_hung_does_not_make_the_other_members_seem_slow():
    costs = Costs(ensemble(1.0, 2.0))
    for seconds in (*[1.0] * 10, 300.0):
        costs.observe(0, 1.0, seconds)
    assert costs.speed() < 1.5
    assert costs.expected(1, 1, 1.0) < 3.0


def test_the_pace_follows_a_machine_that_gets_slower_and_one_that_recovers():
    costs = one_member(*[(2.0, 2.0)] * 20)
    assert costs.pace == pytest.approx(1.0)
    assert costs.drift() == pytest.approx(0.04)
    for _ in range(10):
        costs.observe(0, 2.0, 4.0)
    slower = costs.expected(0, 1, 2.0)
    assert costs.pace > 1.2
    assert 3.0 < slower < 4.5
    assert costs.drift() > 0.1, "how fast it is now is less certain"
    for _ in range(40):
        costs.observe(0, 2.0, 2.0)
    assert costs.expected(0, 1, 2.0) < 2.6


def test_loading_takes_as_long_per_byte_as_measured():
    plan = ensemble(1.0, 1.0, 1.0)
    sizes = (100, 300, 200)
    members = [replace(member, size=size) for member, size in zip(plan.members, sizes, strict=True)]
    costs = Costs(replace(plan, members=members))
    assert costs.load(2) == 0
    costs.observe(0, 1.0, 1.0, load=1.0)
    assert costs.load(2) == pytest.approx(2.0)
    costs.observe(1, 1.0, 1.0, load=7.0)
    assert costs.load(2) == pytest.approx(4.0), "8 s for 400 bytes"
    costs.observe(0, 1.0, 1.0)
    assert costs.load(0) == 1.0, "it was loaded already"


def test_rows_take_their_seconds_per_megapixel():
    costs = one_member()
    assert costs.row_seconds(100.0) == 0
    costs.observe_row(10.0, 2.0)
    costs.observe_row(30.0, 2.0)
    assert costs.row_seconds(100.0) == pytest.approx(10.0)


def test_the_spread_shrinks_with_what_is_known():
    costs = Costs(ensemble(1.0, 1.0))
    assert costs.spread(0) == 0.8
    costs.observe(0, 1.0, 1.0)
    assert (costs.spread(0), costs.spread(1)) == (0.3, 0.3)
    for _ in range(8):
        costs.observe(0, 1.0, 1.0)
    assert costs.spread(0) == pytest.approx(0.1)


@given(st.lists(st.tuples(st.floats(0.01, 100), st.floats(0.001, 1e4)), min_size=1, max_size=20))
def test_whatever_was_measured_more_images_and_more_megapixels_never_take_less(tasks):
    costs = one_member(*tasks)
    assert 0 < costs.pace < 2.1
    one = costs.expected(0, 1, 5.0)
    assert 0 <= one <= costs.expected(0, 2, 5.0)
    assert one <= costs.expected(0, 1, 6.0)
