"""Measurements in turns."""

import pytest

from benchmarks.rounds import in_turns, median_ratio


@pytest.mark.parametrize(("warm_up", "orders"), [(True, "abc cba abc"), (False, "abc cba")])
def test_every_way_runs_once_per_round_and_the_order_alternates(warm_up, orders):
    calls = []
    steps = {name: lambda name=name: calls.append(name) for name in "abc"}
    seconds = in_turns(steps, 2, warm_up=warm_up)
    assert "".join(calls) == orders.replace(" ", "")
    assert {name: len(times) for name, times in seconds.items()} == {"a": 2, "b": 2, "c": 2}


def test_load_that_meets_one_way_in_one_round_does_not_move_the_ratio():
    assert median_ratio([4.0, 10.0, 9.0], [2.0, 5.0, 2.2]) == 2.0


def test_a_round_that_only_one_way_took_part_in_does_not_count():
    assert median_ratio([6.0], [2.0, 1.0, 1.0]) == 3.0
