"""Runs on a virtual clock: they end, tasks take what was said, and files count while they are needed."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.plan.changes import UseRunningMeans
from kit.plan.ladder import chosen_policy
from kit.plan.state import LadderState
from kit.plan.tasks import FuseTask, MeanTask, PassTask, ValidateTask
from kit.plan.virtual_run import Events, VirtualRun, Work
from tests.kit.plan.ladders import ensemble_of


class Run(VirtualRun):
    """A pass takes a second for a megapixel, all else takes none; each complete rung is checked once."""

    def __init__(self, ensemble, images, *, fails=lambda task: None, size=None, **how):
        super().__init__(LadderState(ensemble, images), chosen_policy(ensemble), **how)
        self.fails, self.size = fails, size
        self.started, self.checked, self.valid = [], set(), []

    def work(self, worker, task):
        self.started.append(task)
        seconds = self.state.megapixels[task.image] if isinstance(task, PassTask) else 0.0
        return Work(seconds, stage=self.fails(task))

    def compose(self):
        for rung in sorted(self.state.rungs.started - self.checked):
            if self.state.settled(rung):
                self.checked.add(rung)
                self.validations.append(ValidateTask(rung, f"rung {rung}"))

    def file_bytes(self, task):
        return super().file_bytes(task) if self.size is None else self.size

    def on_validated(self, task):
        self.valid.append(task.rung)

    def tasks(self, kind):
        return [task for task in self.started if isinstance(task, kind)]


def run(owners, rungs, images, *, means=False, deadline=1e6, **how):
    made = Run(ensemble_of(owners, rungs), images, workers=how.pop("workers", 1), deadline=deadline, **how)
    if means:
        made.state.apply(UseRunningMeans())
    made.set_up(2.0, [3.0] * len(set(owners)))
    made.play()
    return made


@given(st.lists(st.floats(0.5, 9), min_size=1, max_size=5), st.integers(1, 3))
def test_all_is_done_at_the_second_that_the_work_takes(sizes, workers):
    images = {f"{number}": size for number, size in enumerate(sizes)}
    played = run([0, 1], [1, 2], images, workers=workers)
    assert played.over()
    assert played.valid == [0, 1]
    assert len(played.tasks(PassTask)) == 2 * len(sizes)
    assert {task.image for task in played.tasks(FuseTask) if task.rung == 1} == set(images)
    begin, work = 3.0, 2 * sum(sizes)
    assert begin + work / workers - 1e-6 <= played.now <= begin + work + 1e-6
    assert played.most_bytes == 0


def test_a_run_that_is_cut_off_ends_at_its_deadline_and_begins_nothing_before_it_is_set_up():
    cut = run([0], [1], {"a": 5.0, "b": 5.0}, deadline=10.0)
    assert (cut.now, cut.over(), cut.valid) == (10.0, False, [])
    assert len(cut.started) > 1
    assert run([0], [1], {"a": 5.0}, deadline=2.5).started == []
    late = Run(ensemble_of([0], [1]), {"a": 5.0}, workers=1, deadline=1e6)
    late.set_up(8.0, [1.0])
    late.play()
    assert late.now == 13.0, "the member was ready first, but nothing was installed"


def test_a_task_that_fails_once_is_done_again_and_a_file_that_is_refused_is_not():
    failed = []

    def fails(task):
        if isinstance(task, ValidateTask):
            return "error"
        once = isinstance(task, PassTask) and task.image == "b" and not failed
        failed.extend([task] if once else [])
        return "error" if once else None

    played = run([0], [1], {"a": 1.0, "b": 2.0}, fails=fails)
    assert [task.image for task in played.tasks(PassTask)].count("b") == 2
    assert len(played.tasks(ValidateTask)) == 1
    assert played.valid == []
    assert played.over()


def test_a_worker_that_died_ends_no_task():
    made = Run(ensemble_of([0], [1]), {"a": 4.0}, workers=2, deadline=1e6)
    made.set_up(0.0, [0.0])

    def die():
        worker = made.workers[0]
        made.fail(worker, "crash")
        worker.up = False

    made.events.at(2.0, die)
    made.play()
    assert made.now == 6.0, "the other worker began the pass again at second 2"
    assert made.valid == [0]


def test_with_running_means_the_disk_holds_fewer_files():
    images = {"a": 1.0, "b": 1.0}
    maps = run([0, 1, 2, 3], [4], images, size=10.0)
    means = run([0, 1, 2, 3], [4], images, size=10.0, means=True)
    assert (len(maps.tasks(MeanTask)), len(means.tasks(MeanTask))) == (0, 2 * 3)
    assert maps.most_bytes == 70, "the row of one image is there before the last map of the other"
    assert 20 <= means.most_bytes < maps.most_bytes
    assert means.valid == maps.valid == [0]


def test_events_happen_in_time_and_those_of_one_moment_in_the_order_they_were_added():
    events, told = Events(), []
    assert events.next == math.inf
    for second, word in ((2.0, "c"), (1.0, "a"), (1.0, "b"), (3.0, "d")):
        events.at(second, lambda word=word: told.append(word))
    events.happen(2.0)
    assert told == ["a", "b", "c"]
    assert events.next == pytest.approx(3.0)
