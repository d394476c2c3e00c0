"""The order of a rung's passes: the example of the comment in `plan.next_pass`, and what it leaves out."""

from kit.plan.changes import StartRung, UseRunningMeans
from kit.plan.next_pass import Order
from kit.plan.policy import ANYONE, Asking
from kit.plan.state import LadderState
from kit.plan.tasks import PassTask
from tests.kit.plan.ladders import finish_rung, of_subsets

IMAGES = {"1": 1.0, "2": 2.0, "4": 4.0, "8": 8.0}


def ladder(images=IMAGES) -> LadderState:
    """Rung 0 has passes 3 and 4, of members 1 and 2, and is started."""
    state = LadderState(of_subsets([0, 0, 0, 1, 2], [[3, 4], [0, 1, 2, 3, 4]]), images)
    state.ready |= {0, 1, 2}
    state.apply(StartRung(0))
    return state


def order(
    state: LadderState, *, sure: bool, workers: int = 2, rung: int = 0, asking: Asking = ANYONE
) -> list[str]:
    """Start all passes of a rung; return them as "pass/image"."""
    found, chosen = [], Order()
    while (step := chosen.next(state, rung, sure=sure, workers=workers, asking=asking)) is not None:
        state.apply(PassTask(*step))
        found.append(f"{step[0]}/{step[1]}")
    return found


def test_a_sure_rung_goes_pass_by_pass_the_largest_image_first():
    assert order(ladder(), sure=True) == ["3/8", "3/4", "3/2", "3/1", "4/8", "4/4", "4/2", "4/1"]


def test_a_rung_that_is_not_sure_goes_block_by_block_the_smallest_images_first():
    assert order(ladder(), sure=False) == ["3/1", "3/2", "4/1", "4/2", "3/4", "3/8", "4/4", "4/8"]
    assert order(ladder(), sure=False, workers=1) == ["3/1", "4/1", "3/2", "4/2", "3/4", "4/4", "3/8", "4/8"]


def test_with_no_more_images_than_workers_the_largest_is_first_in_any_case():
    images = {"1": 1.0, "2": 2.0}
    assert order(ladder(images), sure=False, workers=2) == ["3/2", "3/1", "4/2", "4/1"]


def test_the_longer_members_take_to_load_the_larger_is_a_block():
    # Both members load for 0.3 s: a block for one worker lasts 10 x 0.3 s for each of them. Images of 1 and
    # 2 megapixels take 6 s.
    state = ladder()
    state.costs.observe(3, 1.0, 1.0, load=0.3)
    assert order(state, sure=False, workers=1) == ["3/1", "3/2", "4/1", "4/2", "3/4", "4/4", "3/8", "4/8"]
    slow = ladder()
    slow.costs.observe(3, 1.0, 1.0, load=10.0)
    assert order(slow, sure=False, workers=1) == ["3/1", "3/2", "3/4", "3/8", "4/1", "4/2", "4/4", "4/8"]


def test_the_passes_of_one_member_need_no_larger_blocks():
    state = LadderState(of_subsets([0, 0], [[0, 1]]), IMAGES)
    state.ready.add(0)
    state.apply(StartRung(0))
    state.costs.observe(0, 1.0, 1.0, load=10.0)
    assert order(state, sure=False, workers=1) == ["0/1", "1/1", "0/2", "1/2", "0/4", "1/4", "0/8", "1/8"]


def test_a_member_that_is_not_ready_is_left_out_until_it_is():
    state = ladder()
    state.ready.remove(1)
    assert order(state, sure=True) == ["4/8", "4/4", "4/2", "4/1"]
    state.ready.add(1)
    assert order(state, sure=False) == ["3/1", "3/2", "3/4", "3/8"]


def test_another_rung_gets_blocks_of_its_own_of_what_is_left():
    state, chosen = ladder(), Order()
    assert chosen.next(state, 0, sure=False, workers=2) == (3, "1")
    state.apply(PassTask(3, "1"))
    state.apply(StartRung(1))
    assert chosen.next(state, 1, sure=False, workers=2) == (0, "1")
    assert chosen.next(state, 0, sure=False, workers=2) == (3, "2")
    assert order(state, sure=True, rung=1)[-1] == "4/1"
    assert chosen.next(state, 0, sure=False, workers=2) is None


def test_an_image_that_comes_late_is_in_a_later_block():
    state, chosen = ladder(), Order()
    assert chosen.next(state, 0, sure=False, workers=2) == (3, "1")
    state.add_image("late", 0.1)
    assert order(state, sure=False)[0] == "3/late", "an order that begins now takes it first"


def test_a_rung_with_nothing_left_to_start_does_not_break_the_block_of_the_next():
    # The policy asks for all rungs in work, in their order, while the last passes of the first one still run.
    state, chosen, found = LadderState(of_subsets([0, 1, 2], [[0], [0, 1, 2]]), IMAGES), Order(), []
    state.ready |= {0, 1, 2}
    state.apply(StartRung(0))
    order(state, sure=True)
    state.apply(StartRung(1))
    while chosen.next(state, 0, sure=False, workers=2) is None:
        if (step := chosen.next(state, 1, sure=False, workers=2)) is None:
            break
        state.apply(PassTask(*step))
        found.append(f"{step[0]}/{step[1]}")
    assert found == ["1/1", "1/2", "2/1", "2/2", "1/4", "1/8", "2/4", "2/8"]


def test_images_that_gain_most_in_a_second_come_first_once_their_doubts_are_known():
    state = LadderState(of_subsets([0, 1, 2], [[0], [0, 1, 2]]), IMAGES)
    finish_rung(state, 0, doubts={"1": 0.1, "2": 0.1, "4": 0.4, "8": 0.9})
    state.apply(StartRung(1))
    found = order(state, sure=False, workers=1, rung=1)
    assert found == ["1/8", "2/8", "1/1", "2/1", "1/4", "2/4", "1/2", "2/2"]
    unknown = LadderState(of_subsets([0, 1], [[0], [0, 1]]), IMAGES)
    finish_rung(unknown, 0, doubts={"1": 0.0, "2": 0.1})
    unknown.apply(StartRung(1))
    assert order(unknown, sure=False, workers=1, rung=1) == ["1/4", "1/8", "1/2", "1/1"]


def test_a_worker_begins_with_the_member_that_it_holds():
    holds_2 = Asking(loaded=2)
    assert order(ladder(), sure=True, asking=holds_2)[:5] == ["4/8", "4/4", "4/2", "4/1", "3/8"]
    assert order(ladder(), sure=False, asking=holds_2)[:5] == ["4/1", "4/2", "3/1", "3/2", "4/4"]


def test_a_worker_that_holds_none_takes_a_member_that_no_other_holds():
    assert order(ladder(), sure=True, asking=Asking(elsewhere=frozenset({1})))[0] == "4/8"
    assert order(ladder(), sure=True, asking=Asking(elsewhere=frozenset({1, 2})))[0] == "3/8"


def test_two_workers_load_each_member_once_until_one_helps_the_other():
    state, chosen, loaded, loads = ladder(), Order(), [None, None], []
    for turn in range(8):
        own, other = turn % 2, 1 - turn % 2
        asking = Asking(loaded=loaded[own], elsewhere=frozenset({loaded[other]} - {None}))
        index, image = chosen.next(state, 0, sure=True, workers=2, asking=asking)
        state.apply(PassTask(index, image))
        member = state.ensemble.passes[index].member
        loads += [member] if member != loaded[own] else []
        loaded[own] = member
    assert loads == [1, 2]


def test_a_running_mean_takes_the_passes_in_their_order_whatever_is_loaded():
    state = ladder()
    state.apply(UseRunningMeans())
    assert order(state, sure=False, asking=Asking(loaded=2))[:2] == ["3/1", "3/2"]
