import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.plan.changes import LeaveOut, LoseMember, StartRung
from kit.plan.forecast import Forecast, Rest, saved_seconds, skipped_seconds
from kit.plan.state import LadderState
from kit.plan.tasks import FuseTask, PassTask
from tests.kit.plan.ladders import finish_rung, of_subsets

IMAGES = {"small": 1.0, "large": 9.0, "middle": 4.0}
SECONDS = st.floats(1e-3, 1e6)


def ladder(images=IMAGES, owners=(0, 1)) -> LadderState:
    return LadderState(of_subsets(owners, [[0], list(range(len(owners)))]), images)


def test_of_a_time_of_100_seconds_give_or_take_30_percent():
    time = Forecast(100.0, 0.3)
    assert time.at(0) == 100
    assert time.at(1) == pytest.approx(134.986, abs=1e-3)
    assert time.chance(100) == pytest.approx(0.5)
    assert time.chance(134.986) == pytest.approx(0.8413, abs=1e-4)
    assert time.chance(74.082) == pytest.approx(0.1587, abs=1e-4)
    assert time.chance(0) == time.chance(-5) == 0


def test_what_is_done_needs_no_time_and_what_is_sure_has_no_spread():
    assert Forecast(0.0, 0.3).chance(0) == 1
    assert Forecast(100.0, 0.0).chance(101) == pytest.approx(1)
    assert Forecast(100.0, 0.0).chance(99) == pytest.approx(0)


@given(SECONDS, st.floats(0, 2), SECONDS, SECONDS)
def test_more_time_is_never_less_likely_to_be_enough(median, spread, one, other):
    time = Forecast(median, spread)
    assert 0 <= time.chance(min(one, other)) <= time.chance(max(one, other)) <= 1
    assert time.at(-1) <= time.at(0) == median <= time.at(1)


def test_work_is_shared_among_the_workers_but_takes_no_less_than_its_longest_task():
    # A pass over 1 + 4 + 9 megapixels is 14 s of work, of which one task takes 9 s.
    assert Rest(ladder(), workers=1).time([0]).median == pytest.approx(14)
    assert Rest(ladder(), workers=2).time([0]).median == pytest.approx(9)
    assert Rest(ladder(), workers=2).time([0, 1]).median == pytest.approx(14), "pass 0 counts once"
    assert Rest(ladder(), workers=8).time([0, 1]).median == pytest.approx(9)


def test_doubts_about_two_members_partly_cancel_out_and_those_about_the_machine_do_not():
    # 0.8 for each member as long as nothing was measured, 0.04 for the machine.
    assert Rest(ladder(owners=(0, 0)), 1).time([1]).spread == pytest.approx(math.hypot(0.8, 0.04))
    both = math.hypot(0.8 * 14, 0.8 * 14) / 28
    assert Rest(ladder(), 1).time([1]).spread == pytest.approx(math.hypot(both, 0.04))


def test_passes_done_over_all_images_cost_nothing():
    state = ladder()
    finish_rung(state, 0)
    done = Rest(state, 1).time([0])
    assert (done.median, done.spread) == (0, 0)
    assert done.chance(0) == 1
    # Pass 1 takes as long as the ensemble says, since pass 0 did; its member is better known than before.
    rest = Rest(state, 1).time([0, 1])
    assert rest.median == pytest.approx(14)
    assert rest.spread == pytest.approx(math.hypot(0.3, 0.04))


def test_images_with_their_result_are_not_counted_and_later_ones_are():
    state = ladder()
    state.apply(StartRung(0))
    state.apply(PassTask(0, "large"))
    state.finished_pass(PassTask(0, "large"), "map", 9.0)
    assert Rest(state, 1).time([0]).median == pytest.approx(5)
    state.add_image("late", 7.0)
    assert Rest(state, 1).time([0]).median == pytest.approx(12)


def test_an_image_that_cannot_get_its_row_any_more_is_not_counted():
    state = ladder({"small": 1.0, "large": 20.0}, owners=(0, 1, 2))
    finish_rung(state, 0)
    state.apply(StartRung(1))
    for index in (1, 2):
        state.apply(PassTask(index, "small"))
        state.finished_pass(PassTask(index, "small"), f"{index}/small", 1.0)
    state.costs.observe_row(1.0, 0.5)
    assert Rest(state, 1).time([1]).median == pytest.approx(20 + 20 + 10.5)
    state.apply(LeaveOut(1, "large", "forward", "no numbers"))
    assert Rest(state, 1).time([1]).median == pytest.approx(0.5), "the row of the small image"


def test_a_member_is_loaded_by_one_worker_and_the_last_one_of_a_rung_by_all():
    state = ladder()
    state.costs.observe(0, 1.0, 1.0, load=3.0)
    # 14 s of pass 0 and 14 s of pass 1; both members load for 3 s.
    assert Rest(state, 1).time([0]).median == pytest.approx(14 + 3)
    assert Rest(state, 1).time([0, 1]).median == pytest.approx(28 + 6)
    assert Rest(state, 2).time([1]).median == pytest.approx(28 / 2 + 3 / 2 + 3)
    assert Rest(state, 2).time([0, 1]).median == pytest.approx(28 / 2 + 3 + 3), "both workers load both"
    assert Rest(state, 8).time([0, 1]).median == pytest.approx(3 + 9), "the largest image, and its member"


def test_another_view_in_a_later_rung_loads_its_member_again():
    state = LadderState(of_subsets([0, 1, 0, 0], [[0, 1], [0, 1, 2, 3]]), IMAGES)
    state.costs.observe(0, 1.0, 1.0, load=3.0)
    assert Rest(state, 1).time([0]).median == pytest.approx(2 * 14 + 2 * 3)
    assert Rest(state, 1).time([0, 1]).median == pytest.approx(4 * 14 + 3 * 3)
    assert Rest(state, 1).time([1]).median == pytest.approx(4 * 14 + 2 * 3), "passed over, it is one rung"


def test_rows_that_lack_are_counted_and_those_there_are_not():
    state = ladder()
    finish_rung(state, 0)
    state.costs.observe_row(10.0, 5.0)
    assert Rest(state, 1).time([0]).median == 0
    assert Rest(state, 1).time([1]).median == pytest.approx(14 + 7)
    assert Rest(state, 2).time([1]).median == pytest.approx(10.5)


@given(st.dictionaries(st.text("abc", min_size=1), st.floats(0.1, 50), max_size=5), st.integers(1, 8))
def test_a_further_rung_never_takes_less_and_a_further_worker_never_more(images, workers):
    state = LadderState(of_subsets([0, 1, 1], [[0], [1], [0, 1, 2]]), images)
    rest, more = Rest(state, workers), Rest(state, workers + 1)
    for rungs in ([0], [0, 1], [0, 1, 2]):
        assert rest.time(rungs[:-1]).median <= rest.time(rungs).median
        assert more.time(rungs).median <= rest.time(rungs).median
        assert rest.time(rungs).median >= max(images.values(), default=0.0)


def stopping(shares, doubts=None) -> LadderState:
    """Ten images of a megapixel; rung 0 is done over five of them, of which those of small doubts stopped."""
    images = {f"{number}": 1.0 for number in range(10)}
    state = LadderState(of_subsets([0, 1, 2], [[0], [0, 1], [0, 1, 2]], stops=shares), images)
    if doubts is not None:
        state.ready |= {0, 1, 2}
        state.apply(StartRung(0))
        for image, doubt in doubts.items():
            state.apply(PassTask(0, image))
            state.finished_pass(PassTask(0, image), image, 1.0)
            state.apply(FuseTask(0, image))
            state.finished_row(FuseTask(0, image), image, doubt=doubt)
    return state


def test_passes_after_a_rung_count_for_the_share_of_images_that_is_expected_to_go_on():
    state = stopping({0: 0.4, 1: 0.5})
    assert Rest(state, 1).time([0]).median == pytest.approx(10)
    assert Rest(state, 1).time([0, 1]).median == pytest.approx(10 + 6)
    assert Rest(state, 1).time([0, 1, 2]).median == pytest.approx(10 + 6 + 3)
    assert Rest(state, 1).time([0, 2]).median == pytest.approx(10 + 6 + 6), "nobody stops at a rung left out"
    plain = Rest(stopping({}), 1).time([0, 1, 2])
    assert plain.median == pytest.approx(30)
    assert plain.spread < Rest(state, 1).time([0, 1, 2]).spread, "nobody knows yet how many stop"


def test_what_was_seen_counts_for_images_that_are_there_and_for_the_share_of_the_others():
    doubts = dict(zip("01234", (0.1, 0.9, 0.9, 0.9, 0.9), strict=True))
    state = stopping({0: 0.4}, doubts)
    share = (10 * 0.4 + 1) / 15
    assert Rest(state, 1).time([0, 1]).median == pytest.approx(5 + 4 + 5 * (1 - share))
    every = stopping({0: 0.4}, dict.fromkeys(map(str, range(10)), 0.1))
    assert Rest(every, 1).time([1, 2]) == Forecast(0.0, 0.0)


def test_without_a_member_of_a_rung_nobody_is_expected_to_stop_there():
    state = LadderState(
        of_subsets([0, 1, 2], [[0, 1], [0, 1, 2]], stops={0: 0.4}), {f"{number}": 1.0 for number in range(10)}
    )
    assert Rest(state, 1).time([0, 1]).median == pytest.approx(20 + 6)
    state.apply(LoseMember(1, "damaged"))
    assert Rest(state, 1).time([0, 1]).median == pytest.approx(10 + 10)


def test_what_stopped_images_save_are_the_passes_of_started_rungs_that_they_never_had():
    state = stopping({0: 0.4}, dict.fromkeys(map(str, range(10)), 0.1))
    assert saved_seconds(state, 2) == 0
    state.apply(StartRung(1))
    assert saved_seconds(state, 2) == pytest.approx(5)
    state.apply(StartRung(2))
    assert saved_seconds(state, 2) == pytest.approx(10)


def skipping(lefts=None) -> LadderState:
    """Ten images of a megapixel; rung 0 is done over some, which have a part of their windows left."""
    images = {f"{number}": 1.0 for number in range(10)}
    state = LadderState(of_subsets([0, 1, 1], [[0], [0, 1], [0, 1, 2]], skips={0: 0.4}), images)
    state.ready |= {0, 1}
    state.apply(StartRung(0))
    for image, left in (lefts or {}).items():
        state.apply(PassTask(0, image))
        state.finished_pass(PassTask(0, image), image, 1.0)
        state.apply(FuseTask(0, image))
        state.finished_row(FuseTask(0, image), image, doubt=0.6, left=left)
    return state


def test_passes_after_a_rung_count_for_the_windows_that_are_expected_to_be_left():
    assert Rest(skipping(), 1).time([0, 1]).median == pytest.approx(10 + 6)
    assert Rest(skipping(), 1).time([0, 1, 2]).median == pytest.approx(10 + 6 + 6)
    state = skipping()
    state.apply(LoseMember(0, "damaged"))
    assert Rest(state, 1).time([0, 1]).median == pytest.approx(10), "without a member nothing is skipped"


def test_of_images_with_a_row_the_windows_that_are_left_are_known():
    state = skipping({"0": (0.9, 0.5), "1": (0.2, 0.1)})
    seen = 1 - (0.7 + 0.15) / 2
    skipped = (10 * 0.4 + 2 * seen) / 12
    second = 0.5 + 0.1 + 8 * (1 - skipped)
    assert Rest(state, 1).time([0, 1]).median == pytest.approx(8 + second)
    assert Rest(state, 1).time([0, 1, 2]).median == pytest.approx(8 + 2 * second), "of the same member"
    assert state.work(1, "0") == 0.5
    assert state.work(1, "9") == 1.0


def test_an_image_stops_if_no_member_has_a_window_left():
    state = skipping({"0": (0.0, 0.0), "1": (0.0, 0.1)})
    assert state.rungs.stopped == {"0": 0}


def test_the_time_of_a_part_of_the_windows_tells_of_as_many_megapixels():
    state = skipping(dict.fromkeys(map(str, range(10)), (1.0, 0.25)))
    state.apply(StartRung(1))
    assert skipped_seconds(state, 1) == 0
    for image in ("0", "1"):
        state.apply(PassTask(1, image))
        state.finished_pass(PassTask(1, image), f"1/{image}", 0.5, left=0.25)
    assert state.costs.measured(1) == pytest.approx(2.0)
    assert skipped_seconds(state, 1) == pytest.approx(2 * 2.0 * 0.75)
    state.apply(PassTask(1, "2"))
    state.finished_pass(PassTask(1, "2"), "1/2", 0.01, left=0.0)
    assert state.costs.measured(1) == pytest.approx(2.0), "no window tells nothing"
