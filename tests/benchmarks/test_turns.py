"""Loops in turns."""

import pytest

from benchmarks.turns import Finished, step_by_step
from kit.errors import KitError


def endless(name, calls):
    def loop(turns):
        while True:
            calls.append((name, turns.arrive(name)))

    return loop


def test_loops_take_turns_and_the_order_alternates():
    calls = []
    seconds = step_by_step({name: endless(name, calls) for name in "ab"}, 3)
    assert calls == [("a", 0), ("b", 0), ("b", 1), ("a", 1), ("a", 2), ("b", 2), ("b", 3), ("a", 3)]
    lengths = {name: (len(times.seconds), len(times.processor)) for name, times in seconds.items()}
    assert lengths == {"a": (3, 3), "b": (3, 3)}, "the first warms up"


def test_each_step_has_its_own_seconds(monkeypatch):
    now = 0.0
    monkeypatch.setattr("benchmarks.turns.time.perf_counter", lambda: now)

    def loop(name, cost):
        def run(turns):
            nonlocal now
            while True:
                turns.arrive(name)
                now += cost

        return run

    measured = step_by_step({"a": loop("a", 1.0), "b": loop("b", 5.0)}, 2)
    assert {name: times.seconds for name, times in measured.items()} == {"a": [1.0, 1.0], "b": [5.0, 5.0]}


def test_a_loop_that_fails_ends_the_others():
    def fails(turns):
        turns.arrive("b")
        raise ValueError("no such file")

    with pytest.raises(KitError, match="b could not be measured: ValueError: no such file"):
        step_by_step({"a": endless("a", []), "b": fails}, 5)


def test_a_loop_that_ends_too_early_is_told():
    def short(turns):
        turns.arrive("b")

    with pytest.raises(KitError, match=r"b could not be measured: .*ended after 0 steps"):
        step_by_step({"a": endless("a", []), "b": short}, 5)


def test_the_end_is_no_error_that_a_loop_would_catch():
    assert not issubclass(Finished, (ValueError, RuntimeError, OSError))
