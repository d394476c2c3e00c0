"""The policy can be replaced, and images can arrive later: both drive the same state."""

import math

import pytest

from kit.ensemble import Ensemble, Member, Pass, Rung
from kit.plan.changes import LoseRow, StartRung
from kit.plan.failure_costs import failure_cost
from kit.plan.ladder import Ladder, chosen_policy
from kit.plan.policy import Policy, Resources
from kit.plan.state import LadderState
from kit.plan.tasks import FuseTask, PassTask

IMAGES = {"a": 1.0, "b": 9.0}


def two_rungs() -> Ensemble:
    members = [
        Member(name=f"m{i}", weights=f"{i}", sha256=f"{i}", size=1, network={}, inference={}, requires=[])
        for i in range(2)
    ]
    return Ensemble(
        competition="kidney",
        kind="semantic",
        members=members,
        passes=[Pass(member=i, view="identity", seconds_per_megapixel=1.0) for i in range(2)],
        rungs=[Rung(passes=list(range(n)), weights=[1.0] * n, settings={}, cv=0.1) for n in (1, 2)],
    )


class ImageByImage:
    """Another policy: all passes over one image before the next image, and only the first for some images."""

    def __init__(self, first_pass_is_enough: set[str]) -> None:
        self.first_pass_is_enough = first_pass_is_enough

    def decide(self, state, resources):
        assert resources.workers == 1
        if state.combinable:
            return state.combinable[0]
        for rung in range(len(state.ensemble.rungs)):
            if rung not in state.rungs.started:
                return StartRung(rung)
        for image in sorted(state.live_images()):
            if image in self.first_pass_is_enough and (1, image) not in state.losses.rows:
                return LoseRow(1, image)
            for index in state.live_passes(1):
                if image in state.images_to_do(index):
                    return PassTask(index, image)
        return None

    def after_failure(self, state, task, stage, reason):
        return failure_cost(state, task, stage, reason)

    def exhausted(self, state):
        open_passes = any(list(state.images_to_do(index)) for index in range(2))
        return not state.running and not state.combinable and not open_passes


def ladder_with(make_policy, images=IMAGES) -> Ladder:
    ensemble = two_rungs()
    state = LadderState(ensemble, images)
    state.ready |= {0, 1}
    policy: Policy = make_policy(ensemble)
    return Ladder(state, policy, lambda: Resources(seconds=math.inf, free=math.inf, workers=1))


def work(ladder: Ladder) -> list:
    done = []
    while (task := ladder.next_task()) is not None:
        done.append(task)
        if isinstance(task, PassTask):
            ladder.state.finished_pass(task, f"{task.index}/{task.image}", seconds=1.0)
        else:
            ladder.state.finished_row(task, f"row {task.rung}/{task.image}")
    return done


def test_a_policy_that_goes_image_by_image_drives_the_same_state():
    ladder = ladder_with(lambda ensemble: ImageByImage(set()))
    assert work(ladder) == [
        step
        for image in ("a", "b")
        for step in (PassTask(0, image), FuseTask(0, image), PassTask(1, image), FuseTask(1, image))
    ]
    assert ladder.exhausted
    assert ladder.state.settled(1)
    assert sorted(ladder.state.stored.obsolete) == ["0/a", "0/b", "1/a", "1/b"]


def test_a_policy_can_stop_early_at_one_image():
    ladder = ladder_with(lambda ensemble: ImageByImage({"a"}))
    assert work(ladder) == [
        *(PassTask(0, "a"), FuseTask(0, "a")),
        *(PassTask(0, "b"), FuseTask(0, "b"), PassTask(1, "b"), FuseTask(1, "b")),
    ]
    assert ladder.exhausted
    assert ladder.state.settled(1)
    assert ladder.state.rungs.best_row(1, "a") == (0, "row 0/a")
    assert ladder.state.rungs.best_row(1, "b") == (1, "row 1/b")
    assert sorted(ladder.state.stored.obsolete) == ["0/a", "0/b", "1/b"]


@pytest.mark.parametrize("make_policy", [chosen_policy, lambda ensemble: ImageByImage(set())])
def test_images_can_be_added_while_others_run_and_after_all_were_done(make_policy):
    ladder = ladder_with(make_policy, images={"a": 1.0})
    first = ladder.next_task()
    ladder.state.add_image("b", 9.0)
    ladder.state.finished_pass(first, "0/a", seconds=1.0)
    done = [first, *work(ladder)]
    assert ladder.exhausted
    ladder.state.add_image("c", 4.0)
    assert not ladder.exhausted
    assert not ladder.state.settled(1)
    done += work(ladder)
    assert ladder.exhausted
    assert ladder.state.settled(1)
    steps = [(index, image) for index in range(2) for image in "abc"]
    assert {task for task in done if isinstance(task, PassTask)} == {PassTask(*step) for step in steps}
    assert set(ladder.state.rungs.rows) == set(steps)


def test_a_ladder_may_start_without_any_image():
    ladder = ladder_with(chosen_policy, images={})
    assert work(ladder) == []
    ladder.state.add_image("a", 1.0)
    assert work(ladder) == [PassTask(0, "a"), FuseTask(0, "a"), PassTask(1, "a"), FuseTask(1, "a")]
