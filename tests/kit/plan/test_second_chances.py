"""What was set aside comes back while time is left: simulated runs in which everything may fail."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.plan.changes import BringBack, GiveUp, LoseImage, LoseMember, StartRung
from kit.plan.ladder import Ladder, chosen_policy
from kit.plan.policy import Resources
from kit.plan.state import LadderState
from kit.plan.tasks import TRIES, FuseTask, PassTask
from tests.kit.plan.ladders import ensemble_of

GB = 10**9


class Run:
    """Workers and a clock; a pass takes one second per megapixel, a row 0.01 s, a failure as long as a task.

    Args:
        ensemble: of the run.
        images: image -> megapixels.
        seconds: of the run.
        fails: says for a task and the seconds since the start at which stage it fails, None for a success.
        workers: number of workers.
        free: bytes on the disk.
    """

    def __init__(self, ensemble, images, seconds, fails, *, workers=2, free=10**15):
        self.ensemble, self.seconds, self.fails = ensemble, seconds, fails
        self.workers, self.free = workers, free
        self.now, self.tasks, self.decisions, self.begun = 0.0, [], [], []
        self.state = LadderState(ensemble, images)
        self.state.ready |= set(range(len(ensemble.members)))
        self.ladder = Ladder(self.state, chosen_policy(ensemble), self.measure, self.note)

    def measure(self):
        return Resources(self.seconds - self.now, self.free, self.workers, silence=20.0)

    def note(self, decision):
        if isinstance(decision, BringBack):
            assert not self.begun
            assert not self.state.running
        self.decisions.append((self.now, decision))

    def seconds_of(self, task):
        return self.state.megapixels[task.image] if isinstance(task, PassTask) else 0.01

    def step(self) -> bool:
        while len(self.begun) < self.workers and (task := self.ladder.next_task()) is not None:
            hard = [item for _, item in self.begun if getattr(item, "attempt", 0) >= TRIES]
            assert not hard, "a task that is tried alone has company"
            self.begun.append((self.now + self.seconds_of(task), task))
        if not self.begun:
            self.now += 0.25
            return not self.ladder.exhausted and self.now < self.seconds
        self.begun.sort(key=lambda entry: entry[0])
        self.now, task = self.begun.pop(0)
        stage = self.fails(task, self.now)
        self.tasks.append((task, stage))
        before = {image: self.best(image) for image in [task.image]}
        if stage is not None:
            self.ladder.fail(task, stage, f"{stage} at {self.now}")
        elif isinstance(task, PassTask):
            self.state.finished_pass(task, f"{task.index} {task.image}", self.seconds_of(task))
        elif isinstance(task, FuseTask):
            files = [index for index, _, _ in self.state.results_to_fuse(task)]
            assert files == self.state.live_passes(task.rung)
            self.state.finished_row(task, f"{task.rung} {files}")
        self.state.stored.obsolete.clear()
        assert self.best(task.image) >= before[task.image], "a row got worse"
        return self.now < self.seconds

    def best(self, image):
        row = self.state.rungs.best_row(len(self.ensemble.rungs) - 1, image)
        return (-1, 0) if row is None else (row[0], self.state.rungs.fused_from[row[0], image])

    def work(self):
        while self.step():
            pass
        return self


def complete(run: Run) -> bool:
    last = len(run.ensemble.rungs) - 1
    wanted = (last, len(run.ensemble.rungs[last].passes))
    return all(run.best(image) == wanted for image in run.state.megapixels)


def passes(run: Run, of):
    return [task for task, _ in run.tasks if isinstance(task, PassTask) and of(task)]


STAGES = ("read", "error", "crash", "memory", "stall")
IMAGES = {"a": 1.0, "b": 2.0, "c": 0.5}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("images", [IMAGES, {"only": 1.0}])
@pytest.mark.parametrize("owners", [[0], [0, 1], [0, 1, 0, 1]])
def test_faults_of_the_first_20_seconds_cost_nothing_in_the_end(stage, images, owners):
    rungs = sorted({1, len(owners)})
    run = Run(ensemble_of(owners, rungs), images, 400.0, lambda _, now: stage if now < 20 else None).work()
    assert run.ladder.exhausted
    assert complete(run)
    assert not run.state.losses.members
    assert not run.state.losses.images


@pytest.mark.parametrize("stage", STAGES)
def test_two_failures_of_every_task_cost_nothing(stage):
    failed = Counter()

    def fails(task, now):
        key = (type(task), getattr(task, "index", None), getattr(task, "rung", None), task.image)
        failed[key] += 1
        return stage if failed[key] <= 2 else None

    assert complete(Run(ensemble_of([0, 1, 2], [1, 2, 3]), IMAGES, 2000.0, fails).work())


def test_a_member_of_the_only_rung_that_comes_back_gets_into_rows_that_were_fused_without_it():
    def fails(task, now):
        return "error" if isinstance(task, PassTask) and task.index == 0 and now < 8 else None

    run = Run(ensemble_of([0, 1, 2], [3]), IMAGES, 400.0, fails).work()
    assert set(run.state.rungs.rows.values()) == {"0 [0, 1, 2]"}
    fused = [task for task, _ in run.tasks if isinstance(task, FuseTask)]
    assert len(fused) == 6, "three rows without the member, three with it"
    in_a_hurry = Run(ensemble_of([0, 1, 2], [3]), IMAGES, 18.0, fails).work()
    assert set(in_a_hurry.state.rungs.rows.values()) == {"0 [1, 2]"}
    assert any(isinstance(decision, GiveUp) for _, decision in in_a_hurry.decisions)
    assert in_a_hurry.ladder.exhausted


def test_two_images_that_end_every_worker_cost_no_member_and_no_other_image():
    images = {"poison": 9.0, "worse": 8.0, **IMAGES}

    def fails(task, now):
        return "crash" if isinstance(task, PassTask) and task.image in {"poison", "worse"} else None

    run = Run(ensemble_of([0, 1, 2, 3], [1, 2, 3, 4]), images, 4000.0, fails).work()
    assert not run.state.losses.members
    assert all(run.best(image) == (3, 4) for image in IMAGES)
    assert run.best("poison") == run.best("worse") == (-1, 0)
    assert len(passes(run, lambda task: task.image == "poison")) <= 2 * TRIES + 5
    assert run.ladder.exhausted


def test_an_image_that_hangs_every_worker_costs_two_members_at_most_their_first_tries():
    images = {"hang": 9.0, "worse": 8.0}

    def fails(task, now):
        return "stall" if isinstance(task, PassTask) else None

    run = Run(ensemble_of(list(range(16)), [16]), images, 1e6, fails, workers=1).work()
    assert len(passes(run, lambda task: task.attempt < TRIES)) <= 3 * len(images) * TRIES


def test_what_has_a_chance_runs_alone_and_with_the_smallest_image():
    def fails(task, now):
        return "memory" if isinstance(task, PassTask) and task.index == 1 and now < 9 else None

    images = {**IMAGES, "d": 0.75, "e": 3.0}
    run = Run(ensemble_of([0, 1], [2]), images, 400.0, fails, workers=4).work()
    (alone, *_) = passes(run, lambda task: task.attempt >= TRIES)
    assert (alone.index, alone.image) == (1, "c")
    assert complete(run)


def test_a_member_comes_back_before_the_next_rung_only_if_both_fit():
    def fails(task, now):
        return "error" if isinstance(task, PassTask) and task.index == 1 and now < 27.5 else None

    # 9 s for rung 0, 18 s for four failures; rung 2 takes 9 s (times 1.5), and the member as much again.
    for seconds, first in ((27 + 28.0, BringBack), (27 + 26.0, StartRung)):
        images = {"a": 5.0, "b": 4.0}
        run = Run(ensemble_of([0, 1, 2], [1, 2, 3]), images, seconds, fails, workers=1).work()
        lost = next(position for position, (_, found) in enumerate(run.decisions) if found == StartRung(1))
        later = [found for _, found in run.decisions[lost + 1 :]]
        (decided,) = [found for found in later if isinstance(found, BringBack | StartRung)][:1]
        assert isinstance(decided, first), (seconds, decided)
        assert run.state.settled(2)
        assert (run.best("a") == (2, 3)) is (first is BringBack)


@pytest.mark.parametrize(("stage", "tries"), [("image", 1), ("forward", 3), ("load", 2)])
def test_what_stays_as_it_is_gets_one_chance_or_none_and_no_pause(stage, tries):
    def fails(task, now):
        return stage if isinstance(task, PassTask) and (task.image == "b" or stage != "image") else None

    run = Run(ensemble_of([0], [1]), IMAGES, 400.0, fails, workers=1).work()
    assert run.now < 10
    tried = passes(run, lambda task: stage != "image" or task.image == "b")
    assert len(tried) == tries
    assert run.ladder.exhausted


def test_a_member_whose_weights_are_damaged_never_comes_back():
    run = Run(ensemble_of([0, 1], [1, 2]), IMAGES, 400.0, lambda task, now: None)
    run.ladder.drop_member(1, "damaged")
    run.work()
    assert list(run.state.losses.members) == [1]
    assert not any(isinstance(found, BringBack) for _, found in run.decisions)


def test_an_image_without_room_is_not_waited_for_and_comes_back_once_there_is_room():
    def free(run):
        run.free = 3_000_000 if run.now < 1.2 else GB

    run = Run(ensemble_of([0], [1]), IMAGES, 400.0, lambda task, now: free(run), workers=1, free=3_000_000)
    run.work()
    assert complete(run)
    never = Run(
        ensemble_of([0], [1]), IMAGES, 400.0, lambda task, now: None, workers=1, free=3_000_000
    ).work()
    assert never.best("b") == (-1, 0)
    assert never.ladder.exhausted
    assert never.now < 10


def test_many_hopeless_images_end_soon():
    images = {f"{number}": 0.1 for number in range(200)}

    def fails(task, now):
        return "crash" if isinstance(task, PassTask) and int(task.image) % 2 else None

    run = Run(ensemble_of([0, 1], [2]), images, 1e6, fails).work()
    assert len(passes(run, lambda task: task.attempt >= TRIES)) <= 100 + 12
    assert sum(run.best(image) == (0, 2) for image in images) == 100


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_whatever_fails_it_ends_and_a_fault_that_passes_costs_no_row(data):
    owners = [0, *sorted(data.draw(st.lists(st.integers(0, 3), max_size=5)))]
    owners = [sorted(set(owners)).index(owner) for owner in owners]
    rungs = sorted({*data.draw(st.sets(st.integers(1, len(owners)))), len(owners)})
    images = {
        str(n): data.draw(st.sampled_from((0.5, 1.0, 3.0))) for n in range(data.draw(st.integers(1, 5)))
    }
    seed, until = data.draw(st.integers(0, 10**6)), data.draw(st.sampled_from((0.0, 5.0, 20.0, 1e9)))
    share = data.draw(st.sampled_from((0.1, 0.5, 1.0)))
    chance = random.Random(seed)
    faults = ("read", "error", "crash", "memory", "stall", "disk")
    more = ("image", "load", "forward") if until == 1e9 else ()

    def fails(task, now):
        happens = now < until and chance.random() < share
        stages = faults if isinstance(task, PassTask) else STAGES
        return chance.choice((*stages, *(more if isinstance(task, PassTask) else ()))) if happens else None

    run = Run(ensemble_of(owners, rungs), images, 3000.0, fails, workers=data.draw(st.integers(1, 3))).work()
    assert run.ladder.exhausted
    assert run.now < 2500, "it does not wait for the deadline"
    if until <= 20.0 and "disk" not in {stage for _, stage in run.tasks}:
        assert complete(run)
    for image in images:  # a row, or a reason
        assert (
            run.best(image)[0] >= 0
            or image in run.state.losses.stages
            or run.state.losses.members
            or (image in run.state.losses.images)
        )


def test_nothing_is_brought_back_while_a_started_rung_has_work_and_no_rung_is_missed_for_it():
    """A member that always fails must not cost a rung that fitted without it."""
    images = {"a": 4.0, "b": 4.0, "c": 4.0}

    def fails(task, now):
        return "stall" if isinstance(task, PassTask) and task.index == 1 else None

    for seconds in range(60, 240, 6):
        run = Run(ensemble_of([0, 1, 2, 3], [1, 2, 3, 4]), images, float(seconds), fails, workers=1)
        run.work()
        for now, found in run.decisions:
            if isinstance(found, BringBack) and run.state.rungs.refused == {}:
                assert seconds - now > 0
        dropped = Run(ensemble_of([0, 1, 2, 3], [1, 2, 3, 4]), images, float(seconds), fails, workers=1)
        dropped.state.chances.pending = lambda ready, *, images: []
        dropped.work()
        assert run.state.rungs.started == dropped.state.rungs.started, seconds


@pytest.mark.parametrize("seed", [0, 1])
def test_sixteen_members_over_many_images_with_random_faults_give_every_row_or_a_reason(seed):
    chance = random.Random(seed)
    owners = [number % 16 for number in range(64)]
    images = {f"{number}": chance.uniform(0.1, 1.0) for number in range(60)}
    plan = ensemble_of(owners, list(range(8, 65, 8)))

    def fails(task, now):
        if task.image == "13" and isinstance(task, PassTask):
            return "crash"
        return chance.choice(STAGES) if chance.random() < 0.02 else None

    run = Run(plan, images, 1e6, fails, workers=4).work()
    assert run.ladder.exhausted
    assert not run.state.losses.members
    short = [image for image in images if run.best(image) != (7, 64)]
    assert all(image in run.state.losses.stages for image in short)
    assert len(short) <= 3
    assert not any(isinstance(found, LoseMember | LoseImage) for _, found in run.decisions)
