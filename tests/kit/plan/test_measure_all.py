"""The order in which a dry run measures."""

from hypothesis import given
from hypothesis import strategies as st

from kit.plan.changes import TryAgain
from kit.plan.ladder import Ladder
from kit.plan.measure_all import MeasureAll, order_of
from kit.plan.policy import Resources
from kit.plan.state import LadderState
from kit.plan.tasks import FuseTask, PassTask
from tests.kit.plan.ladders import ensemble_of

OWNERS = st.lists(st.integers(0, 4), min_size=1, max_size=8).map(
    lambda owners: [sorted(set(owners)).index(owner) for owner in owners]
)


@given(OWNERS, st.integers(1, 6), st.integers(1, 3))
def test_every_member_comes_first_and_every_pass_goes_over_every_image_once(owners, count, workers):
    ensemble = ensemble_of(owners, [len(owners)])
    images = [f"image{number}" for number in range(count)]
    order = list(order_of(ensemble, images, workers))
    assert sorted(order) == sorted((index, image) for index in range(len(owners)) for image in images)
    members = max(owners) + 1
    firsts = order[: members * min(workers, count)]
    assert {owners[index] for index, _ in firsts} == set(range(members))


def test_all_passes_and_rows_are_done_that_the_disk_has_room_for():
    ensemble = ensemble_of([0, 0, 1], [1, 3])
    sizes = {"small": 1.0, "large": 100.0}
    state = LadderState(ensemble, sizes)
    state.ready |= {0, 1}
    policy = MeasureAll(order_of(ensemble, list(sizes), 1))
    ladder = Ladder(state, policy, lambda: Resources(60.0, 1e8, 1))
    done = []
    while (task := ladder.next_task()) is not None:
        done.append(task)
        if isinstance(task, PassTask):
            state.finished_pass(task, f"{task.index}/{task.image}", 1.0)
        elif isinstance(task, FuseTask):
            state.finished_row(task, f"row {task.rung}/{task.image}", 1.0)
    # A map of the large image takes 200 MB, and there are 100.
    assert {task.index for task in done if isinstance(task, PassTask)} == {0, 1, 2}
    assert {task.image for task in done} == {"small"}
    assert {task.rung for task in done if isinstance(task, FuseTask)} >= {0}
    assert policy.exhausted(state)


def test_a_pass_that_fails_is_tried_once_more():
    state = LadderState(ensemble_of([0], [1]), {"image": 1.0})
    state.ready.add(0)
    ladder = Ladder(
        state, MeasureAll(order_of(state.ensemble, ["image"], 1)), lambda: Resources(60.0, 1e9, 1)
    )
    task = ladder.next_task()
    assert ladder.fail(task, "error", "a library failed") == TryAgain(task)
