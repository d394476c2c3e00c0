"""What was set aside: which failures leave a chance, and what a member is blamed for."""

import pytest

from kit.plan.changes import LeaveOut, LoseImage, LoseMember, LoseRow, TryAgain, UseRunningMeans
from kit.plan.losses import Losses
from kit.plan.set_aside import comes_back, pending
from kit.plan.state import LadderState
from kit.plan.stored_results import StoredResults
from kit.plan.tasks import FuseTask, MeanTask, PassTask
from tests.kit.plan.ladders import ensemble_of, finish_rung


def ladder(owners=(0, 1), rungs=(2,), images=("a", "b")):
    state = LadderState(ensemble_of(list(owners), list(rungs)), dict.fromkeys(images, 1.0))
    state.ready |= set(owners)
    return state


@pytest.mark.parametrize(
    ("lost", "again"),
    [
        (LoseMember(0, "too little memory", stage="memory"), True),
        (LoseMember(0, "damaged"), False),
        (LoseImage("a", "the worker ended", stage="crash"), True),
        (LoseImage("a", "no image", stage="image"), False),
        (LoseRow(0, "a", stage="error"), True),
        (LeaveOut(1, "a", "forward", "no numbers"), True),
        (LeaveOut(1, "a", "image", "no image"), False),
    ],
)
def test_what_may_pass_may_come_back(lost, again):
    state = ladder()
    state.apply(lost)
    assert comes_back(state, lost) is again


def test_what_is_tried_again_was_not_set_aside():
    assert not comes_back(ladder(), TryAgain(PassTask(0, "a")))


def test_an_image_with_its_row_of_the_last_rung_is_not_waited_for():
    state = ladder()
    finish_rung(state, 0)
    for image in ("a", "b"):
        state.apply(LoseImage(image, "the worker ended", stage="crash"))
    assert pending(state) == []
    early = ladder()
    early.apply(LoseImage("a", "the worker ended", stage="crash"))
    assert pending(early) == ["a"]


def test_members_that_may_come_back_are_not_gone():
    losses = Losses(ensemble_of([0, 1], [2]))
    losses.add(LoseMember(0, "damaged"))
    losses.add(LoseMember(1, "too little memory", stage="memory"))
    assert not losses.all_members_gone
    losses.add(LoseMember(1, "damaged"))
    assert losses.all_members_gone


def test_a_member_is_forgiven_its_own_failures_and_no_others():
    losses = Losses(ensemble_of([0, 1, 1], [3]))
    for index, image, stage in ((0, "a", "error"), (1, "a", "error"), (2, "a", "crash"), (1, "b", "disk")):
        losses.add(LeaveOut(index, image, stage, stage))
    assert losses.blamed_on(1) == {"a"}
    losses.forgive(1)
    assert losses.left_out == {"a": {0: "error"}, "b": {1: "disk"}}
    assert losses.blamed_on(0) == {"a"}


def test_a_mean_that_holds_a_lost_member_gives_no_further_row():
    state = ladder(images=("a",))
    state.apply(UseRunningMeans())
    finish_rung(state, 0)
    mean = MeanTask(1, "a")
    assert list(state.combinable) == [mean]
    state.apply(mean)
    state.finished_mean(mean, "mean")
    assert list(state.combinable) == [FuseTask(0, "a")]
    state.apply(LoseMember(1, "damaged"))
    assert list(state.combinable) == []


def test_a_mean_gets_only_passes_of_its_rung():
    stored = StoredResults()
    stored.averaging = True
    for index in (0, 1, 2):
        stored.add(index, "a", f"map {index}")
    assert stored.next_to_average([0, 1], "a") == 1
    stored.averaged(1, "a", "mean")
    assert stored.averaged_passes("a") == (0, 1)
    assert stored.next_to_average([0, 1], "a") is None, "it holds them all"
    assert stored.next_to_average([0, 2], "a") is None, "it holds one that the rung has not"
    assert stored.next_to_average([0, 1, 2], "a") == 2
