"""The ladder against simulated workers: every order of endings, every kind of failure."""

import dataclasses
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.plan.changes import LoseRow
from kit.plan.ladder import Ladder, chosen_policy
from kit.plan.policy import Asking, Resources
from kit.plan.state import LadderState
from kit.plan.tasks import FuseTask, PassTask
from tests.kit.plan.ladders import ensemble_of

IMAGES = {"small": 1.0, "large": 9.0, "middle": 4.0}


class Clocked(Ladder):
    """A ladder with a clock that tests move."""

    def __init__(self, state: LadderState, seconds: float) -> None:
        self.left = seconds
        super().__init__(
            state, chosen_policy(state.ensemble), lambda: Resources(self.left, math.inf, workers=2)
        )


def make(owners=(0, 1), rungs=(1, 2), images=IMAGES, seconds=1e9, *, ready=True, kind="semantic") -> Clocked:
    plan = dataclasses.replace(ensemble_of(list(owners), list(rungs)), kind=kind)
    state = LadderState(plan, images)
    if ready:
        state.ready |= set(range(len(plan.members)))
    return Clocked(state, seconds)


def work(ladder: Clocked, fail=lambda task: None) -> list:
    """Do everything one task at a time; `fail` names a stage for tasks that fail."""
    done = []
    while not ladder.exhausted:
        if (task := ladder.next_task()) is None:
            if not ladder.state.losses.stages:
                break  # the rest waits for members
            ladder.left -= 1.0
            continue
        done.append(task)
        stage = fail(task)
        if stage is not None:
            ladder.fail(task, stage, f"reason {stage}")
        elif isinstance(task, PassTask):
            ladder.state.finished_pass(task, f"{task.index}/{task.image}", seconds=1.0)
        else:
            ladder.state.finished_row(task, f"row {task.rung}/{task.image}")
    return done


def test_a_row_is_fused_as_soon_as_its_passes_are_there_and_large_images_go_first():
    assert work(make()) == [
        *(
            item
            for image in ("large", "middle", "small")
            for item in (PassTask(0, image), FuseTask(0, image))
        ),
        *(
            item
            for image in ("large", "middle", "small")
            for item in (PassTask(1, image), FuseTask(1, image))
        ),
    ]


def test_of_a_rung_that_cannot_be_done_in_time_parts_count_where_rows_may_mix():
    ladder = make(seconds=0.5)
    tasks = iter(work(ladder))
    assert {task.index for task in tasks if isinstance(task, PassTask)} == {0, 1}
    assert not ladder.state.rungs.refused


def test_a_rung_that_cannot_be_done_in_time_is_not_begun_where_only_the_whole_counts():
    ladder = make(seconds=0.1, kind="instance")
    assert {task.index for task in work(ladder) if isinstance(task, PassTask)} == {0}
    assert ladder.exhausted
    assert list(ladder.state.rungs.refused) == [1]
    assert ladder.state.settled(0)
    assert not ladder.state.settled(1)


def test_the_first_rung_is_begun_even_if_it_seems_too_long():
    ladder = make(rungs=(2,), seconds=0.0)
    work(ladder)
    assert ladder.state.settled(0)


def test_the_next_rung_starts_while_the_last_image_of_this_one_is_still_at_work():
    ladder = make()
    first = [ladder.next_task() for _ in range(4)]
    assert first == [PassTask(0, "large"), PassTask(0, "middle"), PassTask(0, "small"), PassTask(1, "large")]


def test_a_member_whose_weights_are_not_verified_yet_waits():
    ladder = make(ready=False)
    assert ladder.next_task() is None
    assert not ladder.exhausted
    ladder.state.ready.add(0)
    assert ladder.next_task() == PassTask(0, "large")


def test_an_unreadable_image_costs_that_image_only():
    ladder = make()
    work(ladder, lambda task: "image" if task.image == "middle" else None)
    assert PassTask(1, "middle") not in work(
        make(rungs=(2,)), lambda task: "image" if task.image == "middle" else None
    )
    assert list(ladder.state.losses.images) == ["middle"]
    assert not ladder.state.losses.members
    assert ladder.state.settled(1)
    assert ladder.state.rungs.best_row(1, "middle") is None
    assert ladder.state.rungs.best_row(1, "large") == (1, "row 1/large")


@pytest.mark.parametrize("stage", ["crash", "memory", "stall", "error"])
def test_a_crash_is_tried_again_once(stage):
    ladder = make()
    tasks = work(ladder, lambda task: stage if task == PassTask(0, "large") else None)
    assert tasks[:2] == [PassTask(0, "large"), PassTask(0, "large", attempt=1)]
    assert ladder.state.settled(1)
    assert len(ladder.state.rungs.rows) == 6


@pytest.mark.parametrize("stage", ["crash", "memory", "stall", "error"])
def test_a_row_whose_worker_died_is_fused_again_once(stage):
    ladder = make()
    failing = iter([stage])
    tasks = work(ladder, lambda task: next(failing, None) if task == FuseTask(0, "large") else None)
    assert tasks.count(FuseTask(0, "large")) == 2
    assert ladder.state.rungs.best_row(0, "large") == (0, "row 0/large")
    ladder = make()
    tasks = work(ladder, lambda task: stage if isinstance(task, FuseTask) and task.image == "large" else None)
    assert tasks.count(FuseTask(0, "large")) == 2 + 5, "five more chances"
    assert tasks.count(FuseTask(1, "large")) == 2 + 4, "the first chance came before this rung"
    assert ladder.state.rungs.best_row(1, "large") is None
    assert ladder.state.settled(1)


def test_what_a_lost_row_leaves_its_image_with_is_told():
    ladder = make(images={"only": 1.0})
    told = []
    while (task := ladder.next_task()) is not None:
        if isinstance(task, PassTask):
            ladder.state.finished_pass(task, "map", seconds=1.0)
        elif task.rung == 0:
            ladder.state.finished_row(task, "row")
        else:
            told.append(ladder.fail(task, "forward", "damaged"))
    assert told == [LoseRow(1, "only")] * 2
    assert ladder.state.rungs.best_row(1, "only") == (0, "row")
    ladder = make(rungs=(2,), images={"only": 1.0})
    ladder.state.finished_pass(ladder.next_task(), "map", seconds=1.0)
    ladder.state.finished_pass(ladder.next_task(), "map", seconds=1.0)
    assert ladder.fail(ladder.next_task(), "disk", "full") == LoseRow(0, "only")
    assert ladder.state.rungs.best_row(0, "only") is None


def test_a_member_that_cannot_be_loaded_is_dropped_and_its_rungs_are_fused_without_it():
    ladder = make(owners=(0, 1, 2), rungs=(1, 2, 3))
    fused = {}

    def fail(task):
        if isinstance(task, FuseTask):
            fused[task.rung, task.image] = ladder.state.results_to_fuse(task)
        return "load" if isinstance(task, PassTask) and task.index == 1 else None

    work(ladder, fail)
    assert list(ladder.state.losses.members) == [1]
    assert not ladder.state.settled(1), "it would be the first rung again"
    assert ladder.state.settled(2)
    assert fused[2, "small"] == [(0, "0/small", 1.0), (2, "2/small", 3.0)]


def test_a_member_that_fails_on_two_images_before_its_first_success_is_dropped():
    ladder = make()
    tasks = work(ladder, lambda task: "forward" if isinstance(task, PassTask) and task.index == 1 else None)
    assert [task.image for task in tasks if isinstance(task, PassTask) and task.index == 1] == [
        *("large", "middle"),
        "small",  # it is tried once more, alone, with an image that it did not fail on
    ]
    assert list(ladder.state.losses.members) == [1]
    assert ladder.state.settled(0)


def test_with_a_single_image_one_failure_drops_a_member():
    ladder = make(rungs=(2,), images={"only": 1.0})
    work(ladder, lambda task: "forward" if isinstance(task, PassTask) and task.index == 0 else None)
    assert list(ladder.state.losses.members) == [0]
    assert ladder.state.rungs.best_row(0, "only") is not None


def test_a_member_that_works_elsewhere_keeps_going_and_the_image_keeps_its_earlier_row():
    ladder = make()
    work(ladder, lambda task: "forward" if (task.image, *vars(task).values())[:2] == ("middle", 1) else None)
    assert not ladder.state.losses.members
    assert ladder.state.settled(1)
    assert ladder.state.rungs.best_row(1, "middle") == (0, "row 0/middle")


def test_with_all_members_lost_nothing_is_left_to_do():
    ladder = make()
    ladder.drop_member(0, "gone")
    ladder.drop_member(1, "gone")
    assert work(ladder) == []
    assert ladder.exhausted


@given(st.data())
@settings(max_examples=200)
def test_it_always_ends_and_every_settled_rung_has_a_row_or_a_reason(data):
    owners = data.draw(st.lists(st.integers(0, 2), min_size=1, max_size=4).map(lambda o: [0, *o]))
    owners = [sorted(set(owners)).index(owner) for owner in owners]
    rungs = sorted(data.draw(st.sets(st.integers(1, len(owners))))) or [len(owners)]
    ladder = make(owners, sorted({*rungs, len(owners)}))
    stages = st.sampled_from(
        [None, None, None, "image", "read", "load", "forward", "error", "crash", "memory", "stall"]
    )
    running, steps = [], 0
    while True:
        steps += 1
        assert steps < 3000
        task = ladder.next_task() if len(running) < 3 else None
        if task is not None:
            assert task not in running
            running.append(task)
            continue
        if not running and ladder.exhausted:
            break
        if not running:
            ladder.left -= 1.0
            continue
        task = running.pop(data.draw(st.integers(0, len(running) - 1)))
        stage = data.draw(stages)
        if isinstance(task, FuseTask):
            assert task.image in ladder.state.megapixels
            if stage is None:
                ladder.state.finished_row(task, "row")
            else:
                ladder.fail(task, stage, "reason")
        elif stage is None:
            ladder.state.finished_pass(task, "file", seconds=1.0)
        else:
            ladder.fail(task, stage, "reason")
    alive = (
        len(ladder.state.losses.members) < len(ladder.state.ensemble.members) and ladder.state.live_images()
    )
    if alive:
        assert ladder.exhausted
        assert any(ladder.state.settled(rung) for rung in range(len(ladder.state.ensemble.rungs)))


def test_a_helper_gets_rows_and_workers_on_gpus_passes():
    ladder, gpu, helper = make(), Asking(kinds="passes"), Asking(kinds="rows")
    assert ladder.next_task(helper) is None
    first = ladder.next_task(gpu)
    assert first == PassTask(0, "large")
    ladder.state.finished_pass(first, "0/large", seconds=1.0)
    assert ladder.next_task(gpu) == PassTask(0, "middle")
    assert ladder.next_task(helper) == FuseTask(0, "large")
    assert ladder.next_task(helper) is None
    assert not ladder.exhausted


def test_what_probably_comes_next_is_told_and_not_started():
    ladder, gpu = make(), Asking(kinds="passes")
    assert ladder.likely_next(gpu) == PassTask(0, "large")  # of the rung that would start
    assert not ladder.state.rungs.started
    assert ladder.next_task(gpu) == PassTask(0, "large")
    for _ in range(2):
        assert ladder.likely_next(gpu) == PassTask(0, "middle")
    assert ladder.state.running == {PassTask(0, "large")}
    assert [ladder.next_task(gpu) for _ in range(2)] == [PassTask(0, "middle"), PassTask(0, "small")]
    assert ladder.likely_next(gpu) == PassTask(1, "large")


def test_while_a_rung_waits_for_weights_the_next_one_begins_with_a_member_that_is_ready():
    ladder = make(owners=(0, 1, 0), rungs=(1, 2, 3), ready=False)
    ladder.state.ready.add(0)
    images = ("large", "middle", "small")
    assert [task for task in work(ladder) if isinstance(task, PassTask)] == [
        *(PassTask(0, image) for image in images),
        *(PassTask(2, image) for image in images),
    ]
    assert not ladder.exhausted
    ladder.state.ready.add(1)
    rest = work(ladder)
    assert [task for task in rest if isinstance(task, PassTask)] == [PassTask(1, image) for image in images]
    assert all(ladder.state.settled(rung) for rung in range(3))


def test_shortly_before_the_end_rows_are_more_urgent_than_passes():
    ladder, gpu = make(), Asking(kinds="passes")
    for image in ("large", "middle"):
        task = ladder.next_task(gpu)
        assert task == PassTask(0, image)
        ladder.state.finished_pass(task, f"0/{image}", seconds=1.0)
    row = ladder.next_task(Asking(kinds="rows"))
    ladder.state.finished_row(row, "row 0/large", seconds=9.0)  # a second for each megapixel
    assert isinstance(ladder.next_task(gpu), PassTask)
    ladder.left = 11.9  # the row of 4 megapixels waits
    assert ladder.next_task(gpu) == FuseTask(0, "middle")
