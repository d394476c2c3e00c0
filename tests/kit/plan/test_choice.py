from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.plan.changes import LoseMember, RefuseRung, UseRunningMeans
from kit.plan.choice import best_done, best_route, values_of
from kit.plan.forecast import Rest
from kit.plan.state import LadderState
from tests.kit.plan.ladders import finish_rung, of_subsets

TEN = {f"{number}": 1.0 for number in range(10)}
RUNGS = [[0], [0, 1], [0, 2, 3, 4], [0, 1, 2, 3, 4]]
"""Over ten images of a megapixel they take 10, 20, 40 and 50 s."""
SCORES = [0.5, 0.6, 0.8, 0.8]


def ladder(rungs=RUNGS, scores=SCORES, *, kind="semantic", done=(0,), images=TEN) -> LadderState:
    owners = range(len(rungs[-1]))
    state = LadderState(of_subsets(owners, rungs, scores, kind=kind), images)
    for rung in done:
        finish_rung(state, rung)
    return state


def test_a_rung_is_never_worth_less_than_one_before_and_a_further_one_a_little_more():
    values = values_of(of_subsets(range(4), [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3]], [0.5, 0.7, 0.6, None]))
    assert values == pytest.approx([0.5, 0.700001, 0.700002, 0.700003], abs=1e-9)
    assert values_of(of_subsets(range(2), [[0], [0, 1]], [None, None])) == pytest.approx([0.0, 1e-6])


def test_losses_are_worth_more_the_closer_they_are_to_zero_and_all_more_than_nothing():
    values = values_of(of_subsets(range(3), [[0], [0, 1], [0, 1, 2]], [-0.08, -0.06, None]))
    assert values == pytest.approx([0.08, 0.100001, 0.100002], abs=1e-9)
    state = ladder([[0], [1, 2], [0, 1, 2]], [-0.9, -0.2, -0.1], done=())
    assert best_route(state, 1e6, 1).rungs == (0, 1, 2)
    # A rung of unknown score is no reason to leave out the first.
    assert best_route(ladder([[0, 1], [2], [0, 1, 2]], [-0.5, None, -0.1], done=()), 1e6, 1).rungs[0] == 0


def test_the_main_path_is_the_longest_to_the_last_rung():
    rungs = [[0], [2], [0, 1], [3], [0, 1, 2], [0, 1, 2, 3]]
    assert of_subsets(range(4), rungs).main_path == [0, 2, 4, 5]
    assert of_subsets(range(4), [[1], [0], [0, 1, 2, 3]]).main_path == [1, 2]
    assert of_subsets([0], [[0]]).main_path == [0]


def test_with_much_time_the_route_leads_to_the_last_rung():
    state = ladder(done=())
    route = best_route(state, 1e6, 1)
    assert route.rungs == (0, 2, 3), "rung 2 does not contain rung 1"
    assert [time.median for time in route.times] == pytest.approx([10, 40, 50])
    assert route.score == pytest.approx(0.8, abs=1e-4)


def test_the_first_rung_comes_first_even_if_the_end_does_not_contain_it():
    state = ladder([[0], [1, 2], [0, 1, 2]], [0.1, 0.8, 0.8], done=())
    assert best_route(state, 50.0, 1).rungs[:2] == (0, 1)


def test_a_better_rung_that_takes_no_longer_than_the_first_comes_in_its_place():
    # Passes 0 and 1 take 20 s, pass 2 takes 10 s.
    rungs = [[0, 1], [2], [0, 1, 2]]
    state = ladder(rungs, [0.5, 0.6, 0.8], done=())
    assert best_route(state, 1e6, 1).rungs == (1, 2)
    assert best_route(state, 12.0, 1).rungs[0] == 1
    finish_rung(state, 1)
    assert best_route(state, 1e6, 1).rungs == (2,), "rung 0 is worth less than what is done"
    longer = ladder([[0], [1, 2], [0, 1, 2]], [0.5, 0.6, 0.8], done=())
    assert best_route(longer, 1e6, 1).rungs[0] == 0
    for unknown in ([None, None, None], [0.6, 0.6, 0.8]):
        assert best_route(ladder(rungs, unknown, done=()), 1e6, 1).rungs[0] == 0, "nobody says it is better"
    # With a worker for each image rungs 0 and 1 take as long as one pass; rung 0 is on the way to rung 1.
    assert best_route(ladder(done=()), 1e6, 50).rungs[0] == 0


def test_where_only_the_whole_counts_a_smaller_rung_wins_over_one_that_cannot_be_finished():
    # 15 s are left. Rung 1 takes 10 s and gives 0.6. Rung 2 takes 30 s: it gives 0.8 only as a whole.
    route = best_route(ladder(kind="instance"), 15.0, 1)
    assert route.rungs == (1,)
    # Done in 9 of 10 runs: 0.5 + 0.9 x 0.1.
    assert route.score == pytest.approx(0.5 + 0.1 * route.times[0].chance(15.0), abs=0.01)


def test_where_a_part_counts_half_of_a_better_rung_wins_over_a_smaller_one():
    route = best_route(ladder(), 15.0, 1)
    assert route.rungs[0] == 2, "0.5 + 0.3 x 15 / 30 = 0.65"
    assert 0.63 < route.score < 0.68


def test_with_time_for_both_the_whole_rung_is_better_than_the_smaller_one():
    assert best_route(ladder(kind="instance"), 60.0, 1).rungs[0] == 2


def test_where_nothing_can_be_done_in_time_the_route_leads_to_what_is_nearest_to_it():
    route = best_route(ladder(kind="instance"), 0.1, 1)
    assert route.rungs == (1,)
    assert route.score == pytest.approx(0.5)
    assert best_route(ladder(), -1.0, 1).score == pytest.approx(0.5)


def test_a_part_of_the_first_rung_counts_in_any_case():
    route = best_route(ladder(kind="instance", done=()), 5.0, 1)
    assert route.rungs[0] == 0
    assert 0.1 < route.score < 0.5


def test_scores_that_nobody_knows_or_that_fall_lead_to_the_last_rung_all_the_same():
    for scores in ([None] * 4, [0.8, 0.7, 0.6, 0.5], [0.8, None, 0.9, 0.2]):
        assert best_route(ladder(scores=scores), 1e6, 1).rungs[-1] == 3


def test_running_means_keep_to_the_main_path():
    state = ladder(done=())
    state.apply(UseRunningMeans())
    for seconds in (5.0, 15.0, 35.0, 1e6):
        assert set(best_route(state, seconds, 1).rungs) <= {0, 2, 3}, "rung 1 is not on it"


def test_done_rungs_and_after_a_refusal_those_not_started_are_on_no_route():
    state = ladder(done=(0, 2))
    assert best_route(state, 1e6, 1).rungs == (3,), "rung 1 is worth less than what is done"
    state.apply(RefuseRung(3, reason="no room"))
    assert best_route(state, 1e6, 1) is None


def test_a_rung_that_is_another_one_without_its_lost_members_is_on_no_route():
    state = ladder(done=())
    for member in (2, 3, 4):
        state.apply(LoseMember(member, "damaged"))
    assert best_route(state, 1e6, 1).rungs == (0, 1)


@st.composite
def states(draw):
    passes = draw(st.integers(1, 5))
    everything = tuple(range(passes))
    subsets = st.sets(st.integers(0, passes - 1), min_size=1).map(lambda some: tuple(sorted(some)))
    rungs = draw(st.lists(subsets, max_size=5, unique=True))
    rungs = [*(rung for rung in rungs if rung != everything), everything]
    scores = draw(st.lists(st.none() | st.floats(0, 1), min_size=len(rungs), max_size=len(rungs)))
    kind = draw(st.sampled_from(("semantic", "instance")))
    images = {"a": 2.0, "b": 0.5}
    state = LadderState(of_subsets(everything, rungs, scores, kind=kind), images)
    for rung in range(draw(st.integers(0, len(rungs)))):
        finish_rung(state, rung, draw(st.sampled_from((0.3, 1.0, 3.0))))
    return state


@given(states(), st.floats(-10, 60), st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_the_rungs_of_a_route_contain_one_another_and_none_is_done(state, seconds, workers):
    route, rungs = best_route(state, seconds, workers), state.ensemble.rungs
    if route is None:
        assert all(state.settled(rung) or not state.rungs.adds(rung) for rung in range(len(rungs)))
        return
    assert route == best_route(state, seconds, workers)
    assert not any(state.settled(rung) for rung in route.rungs)
    rest, begun = Rest(state, workers), best_done(state) is not None
    first = next(rung for rung in range(len(rungs)) if state.rungs.adds(rung))
    assert begun or rest.time(route.rungs[:1]).median <= rest.time([first]).median
    path = route.rungs[not begun :]
    assert all(set(rungs[one].passes) < set(rungs[two].passes) for one, two in pairwise(path))
    assert list(route.rungs) == sorted(set(route.rungs))
    medians = [time.median for time in route.times]
    assert medians == sorted(medians)
    values = values_of(state.ensemble)
    assert not begun or route.score >= values[best_done(state)] - 1e-9
    assert route.score <= max(values) + 1e-9
    assert best_route(state, seconds + 5.0, workers).score >= route.score - 1e-9, "more time is worth no less"
