"""The policy in simulated runs: any sets of passes as rungs, members slower than told, any failure."""

import math
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.plan.changes import BringBack, RefuseRung, StartRung
from kit.plan.ladder import Ladder, chosen_policy
from kit.plan.policy import Resources
from kit.plan.state import LadderState, results_to_average
from kit.plan.tasks import FuseTask, MeanTask, PassTask
from tests.kit.plan.ladders import of_subsets

TEN = {f"{number}": 1.0 for number in range(10)}
STAGES = [None] * 8 + ["image", "read", "load", "forward", "error", "crash", "memory", "stall", "disk"]


class Run:
    """Workers, a clock, and a disk that knows what each file was made of.

    Args:
        ensemble: of the run.
        images: image -> megapixels.
        seconds: until the last task has to be finished; the run goes on until nothing is left.
        pace: member -> seconds per megapixel on this machine; 1 where not given.
        workers: number of workers.
        megabytes: size of the disk; a map takes 2 MB per megapixel, detections nothing.
        doubt: of the row of a rung and an image.
    """

    def __init__(  # what a run depends on
        self,
        ensemble,
        images,
        seconds,
        *,
        pace=None,
        workers=1,
        megabytes=math.inf,
        doubt=lambda rung, image: None,
    ):
        self.doubt = doubt
        self.ensemble, self.seconds, self.pace, self.workers = ensemble, seconds, pace or {}, workers
        self.bytes = megabytes * 1e6
        self.now, self.begun, self.tasks, self.decisions = 0.0, [], [], []
        self.files, self.rows, self.done_at = {}, {}, {}
        self.state = LadderState(ensemble, images)
        self.state.ready |= set(range(len(ensemble.members)))
        self.ladder = Ladder(self.state, chosen_policy(ensemble), self.measure, self.decisions.append)

    def measure(self):
        of_pixel = 2e6 if self.ensemble.kind == "semantic" else 0.0
        used = sum(of_pixel * self.state.megapixels[image] for image, _ in self.files.values())
        return Resources(self.seconds - self.now, self.bytes - used, self.workers, silence=1.0)

    def work(self, fails=lambda task: None, before=lambda run: None, pick=lambda number: 0):
        """Do everything; `fails` names the stage of a failure, `pick` says which running task ends next."""
        for _ in range(3000):
            before(self)
            self.ask_of_all_images()
            task = self.ladder.next_task() if len(self.begun) < self.workers else None
            self.clear()
            if task is not None:
                self.begin(task)
            elif self.begun:
                self.end(self.begun.pop(pick(len(self.begun))), fails)
            elif self.ladder.exhausted:
                return self
            else:
                self.now += 1.0  # a pause before another chance
        raise AssertionError("it does not end")

    def ask_of_all_images(self):
        """Each image alone has to give the answers that one image of each group gives for all."""
        state = self.state
        live = [image for image in state.to_do.largest_first() if image not in state.losses.images]
        assert state.live_images() == live
        assert sorted(image for group in state.groups for image in group) == sorted(live)
        for rung in range(len(self.ensemble.rungs)):
            assert state.settled(rung) == state.rungs.settled(rung, live)
        for index in range(len(self.ensemble.passes)):
            assert state.finished_images(index) == sum(state.stored.was_done(index, image) for image in live)

    def begin(self, task):
        assert task not in [other.task for other in self.begun]
        reads = []
        if isinstance(task, PassTask):
            again = any(isinstance(decision, BringBack) for decision in self.decisions)
            assert again or not self.state.stored.was_done(task.index, task.image), "done twice"
            enough = self.state.rungs.stopped.get(task.image, len(self.ensemble.rungs))
            needed = [self.state.live_passes(rung) for rung in self.state.rungs.started if rung <= enough]
            assert any(task.index in passes for passes in needed), "the image had stopped"
        elif isinstance(task, MeanTask):
            reads = results_to_average(self.state, task)
        else:
            reads = [(file, weight) for _, file, weight in self.state.results_to_fuse(task)]
        live = self.state.live_passes(task.rung) if isinstance(task, FuseTask) else []
        self.begun.append(SimpleNamespace(task=task, reads=reads, live=list(live)))

    def end(self, begun, fails):
        task, stage = begun.task, fails(begun.task)
        assert all(name in self.files for name, _ in begun.reads), "a file went while it was needed"
        self.tasks.append(task)
        seconds = 0.0
        if isinstance(task, PassTask):
            member = self.ensemble.passes[task.index].member
            seconds = self.pace.get(member, 1.0) * self.state.megapixels[task.image]
        self.now += seconds / self.workers
        content = {}
        for name, weight in begun.reads:
            inside = self.files[name][1]
            content |= {n: weight * share / sum(inside.values()) for n, share in inside.items()}
        if stage is not None:
            self.ladder.fail(task, stage, "reason")
        elif isinstance(task, PassTask):
            name = f"pass {task.index} {task.image}"
            self.files[name] = (task.image, {task.index: 1.0})
            self.state.finished_pass(task, name, seconds)
        elif isinstance(task, MeanTask):
            name = f"mean {task.index} {task.image}"
            self.files[name] = (task.image, content)
            self.state.finished_mean(task, name)
        else:
            rung = self.ensemble.rungs[task.rung]
            wanted = {index: rung.weight(index) for index in begun.live}
            assert shares(content) == pytest.approx(shares(wanted))
            self.rows[task.rung, task.image] = begun.live
            doubt = self.doubt(task.rung, task.image)
            self.state.finished_row(task, f"row {task.rung} {task.image}", doubt=doubt)
        for rung in self.state.rungs.started:
            if self.state.settled(rung):
                self.done_at.setdefault(rung, self.now)
        self.clear()

    def clear(self):
        for name in self.state.stored.obsolete:
            del self.files[name]
        self.state.stored.obsolete.clear()


def shares(content):
    return {index: weight / sum(content.values()) for index, weight in content.items()}


def started(run):
    return [decision.rung for decision in run.decisions if isinstance(decision, StartRung)]


def test_results_for_later_rungs_go_before_an_image_loses_a_pass_for_want_of_disk():
    ensemble = of_subsets([0, 1, 2], [[0], [0, 1], [0, 1, 2]], [0.5, 0.6, 0.7])
    images = {"a": 1.0, "b": 1.0, "c": 1.0, "d": 1.0}

    def shrink(run):
        # Maps of 2 MB: passes 0 and 1 of one image, pass 0 of the others.
        if (1, "a") in run.rows and run.bytes > 11e6:
            run.bytes = 11e6

    run = Run(ensemble, images, 1e6, megabytes=100).work(before=shrink)
    refused = [decision for decision in run.decisions if isinstance(decision, RefuseRung)]
    assert [(decision.rung, "scratch space" in decision.reason) for decision in refused] == [(2, True)]
    assert {image for rung, image in run.rows if rung == 1} == images.keys()
    assert not run.state.losses.left_out
    assert not run.files


def test_a_better_rung_that_costs_no_more_is_begun_instead_of_the_first():
    run = Run(of_subsets([0, 1, 2], [[0, 1], [2], [0, 1, 2]], [0.5, 0.6, 0.8]), TEN, 1e6).work()
    assert started(run) == [1, 2]
    assert {image for rung, image in run.rows if rung == 2} == TEN.keys()


FOUR = ([0, 1, 2, 2], [[0], [0, 1], [0, 2, 3], [0, 1, 2, 3]], [0.5, 0.6, 0.8, 0.9])
"""Owners, rungs, scores: over ten images of a megapixel the rungs take 10, 20, 30 and 40 s."""


def test_with_time_for_all_the_rungs_on_the_route_to_the_last_are_done_one_after_the_other():
    run = Run(of_subsets(*FOUR), TEN, 1e6).work()
    assert started(run)[:2] == [0, 2], "of the two rungs on the route to the last the better one"
    assert run.state.settled(3)
    assert all(run.rows[3, image] == [0, 1, 2, 3] for image in TEN)
    assert run.done_at[3] == pytest.approx(40.0), "no pass is done twice"


def test_with_time_for_ten_more_seconds_the_rung_that_fits_is_done():
    run = Run(of_subsets(*FOUR, kind="instance"), TEN, 10 + 14.0).work()
    assert started(run)[:2] == [0, 1]
    assert run.done_at[1] == pytest.approx(20.0)


def test_a_rung_is_left_for_one_that_fits_once_its_member_turns_out_to_be_slow():
    # 10 s for rung 0, 26 s left. Rung 2 seems to take 20 s and takes 60 s; rung 1 takes 10 s.
    run = Run(of_subsets(*FOUR, kind="instance"), TEN, 36.0, pace={2: 3.0}).work()
    assert started(run)[:3] == [0, 2, 1]
    assert run.done_at[1] < 36.0
    assert run.done_at.get(2, math.inf) > 36.0


def test_images_of_a_rung_that_is_not_sure_are_completed_one_after_the_other_the_smallest_first():
    images = {f"{number}": float(number + 1) for number in range(4)}
    plan = of_subsets([0, 1, 2], [[0], [0, 1, 2]], [0.5, 0.9])
    run = Run(plan, images, 10 + 6.0).work()
    passes = [(task.index, task.image) for task in run.tasks if isinstance(task, PassTask)]
    assert passes[4:8] == [(1, "0"), (2, "0"), (1, "1"), (2, "1")]
    assert not run.state.rungs.refused
    sure = Run(plan, images, 1e6).work()
    passes = [(task.index, task.image) for task in sure.tasks if isinstance(task, PassTask)]
    assert passes[4:8] == [(1, "3"), (1, "2"), (1, "1"), (1, "0")]


def test_only_where_the_whole_counts_a_rung_without_hope_is_refused():
    assert Run(of_subsets(*FOUR, kind="instance"), TEN, 11.0).work().state.rungs.refused.keys() == {1}
    run = Run(of_subsets(*FOUR), TEN, 11.0).work()
    assert not run.state.rungs.refused
    assert run.state.settled(3)


def test_an_image_that_comes_late_gets_its_rows_of_all_started_rungs():
    def before(run):
        if run.now > 15.0:
            run.state.add_image("late", 1.0) if "late" not in run.state.megapixels else None

    run = Run(of_subsets(*FOUR), TEN, 1e6).work(before=before)
    assert {rung for rung, image in run.rows if image == "late"} == set(started(run))
    assert run.rows[3, "late"] == [0, 1, 2, 3]


def test_of_rungs_that_lost_their_member_only_those_are_done_that_still_differ():
    run = Run(of_subsets(*FOUR), TEN, 1e6)
    run.ladder.drop_member(2, "damaged")
    run.work()
    assert started(run) == [0, 1], "without passes 2 and 3 the other two are these two again"
    first = Run(of_subsets(*FOUR), TEN, 1e6)
    first.ladder.drop_member(0, "damaged")
    first.work()
    assert all(first.rows[3, image] == [1, 2, 3] for image in TEN)


@st.composite
def plans(draw):
    owners = [0, *draw(st.lists(st.integers(0, 3), max_size=4))]
    owners = [sorted(set(owners)).index(owner) for owner in owners]
    everything = tuple(range(len(owners)))
    subsets = st.sets(st.sampled_from(everything), min_size=1).map(lambda some: tuple(sorted(some)))
    rungs = []
    for rung in draw(st.lists(subsets, max_size=5)):
        # A rung is dearer than those before it: it is not a part of one of them.
        if rung != everything and not any(set(rung) <= set(other) for other in rungs):
            rungs.append(rung)
    cvs = draw(st.lists(st.none() | st.floats(0, 1), min_size=len(rungs) + 1, max_size=len(rungs) + 1))
    stops = draw(st.dictionaries(st.integers(0, len(rungs)), st.sampled_from((0.0, 0.5, 1.0)), max_size=3))
    kind = draw(st.sampled_from(("semantic", "instance")))
    return of_subsets(owners, [*rungs, everything], cvs, kind=kind, stops=stops)


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_whatever_fails_it_ends_with_rows_of_exactly_the_live_passes_and_a_clear_disk(data):
    plan = data.draw(plans())
    doubts = data.draw(st.randoms(use_true_random=False))
    number = data.draw(st.integers(1, 4))
    images = {f"{n}": data.draw(st.sampled_from((0.5, 1.0, 3.0))) for n in range(number)}
    run = Run(
        plan,
        images,
        data.draw(st.sampled_from((0.0, 5.0, 20.0, 1e5))),
        pace={member: data.draw(st.sampled_from((0.2, 1.0, 5.0))) for member in range(len(plan.members))},
        workers=data.draw(st.integers(1, 3)),
        megabytes=data.draw(st.sampled_from((math.inf, math.inf, 100.0, 30.0, 8.0))),
        doubt=lambda rung, image: doubts.random() if doubts.random() < 0.9 else None,
    )
    roomy = plan.kind == "instance" or math.isinf(run.bytes)
    later = data.draw(st.lists(st.floats(0.0, 20.0), max_size=2))
    chance = data.draw(st.randoms(use_true_random=False))
    quiet = data.draw(st.booleans())

    def before(run):
        if later and run.now >= later[-1]:
            later.pop()
            run.state.add_image(f"late {len(later)}", 2.0)

    run.work(
        lambda task: None if quiet else chance.choice(STAGES if isinstance(task, PassTask) else STAGES[:-1]),
        before,
        chance.randrange,
    )
    state, lost = run.state, run.state.losses
    refused = [found for found in run.decisions if isinstance(found, RefuseRung)]
    assert all(found.reason is not None for found in refused) or plan.kind == "instance"
    assert not any(found.reason is not None for found in refused) or not roomy
    if quiet and roomy:
        assert not lost.images
        assert all(
            any((rung, image) in run.rows for rung in state.rungs.started) for image in state.megapixels
        )
        assert all(
            state.rungs.stopped.get(image, math.inf) < rung or (rung, image) in run.rows
            for rung in state.rungs.started
            for image in state.megapixels
            if rung == state.rungs.top()
        )
    for image, enough in state.rungs.stopped.items():
        assert plan.rungs[enough].stop is not None
        assert run.rows[enough, image] == plan.rungs[enough].passes, "an image stops with a whole row only"
        published = state.rungs.best_row(len(plan.rungs) - 1, image)
        assert published is not None
        assert published[0] >= enough
    if quiet and roomy and plan.kind == "semantic":
        assert state.settled(len(plan.rungs) - 1)
    if len(lost.members) < len(plan.members) and state.live_images():
        assert any(state.settled(rung) for rung in state.rungs.started)
    # Without a lost member a rung may be another one again and is not started; it would be if it came back.
    known = all(lost.successes[member] or member in lost.members for member in range(len(plan.members)))
    if known and not state.rungs.may_start:
        assert run.files == {}, "only what waits for a member that never worked may stay"
    # A rung that was passed over may still start, so what an image has for it stays.
    for image, inside in run.files.values():
        assert not known or inside.keys() <= {*state.rungs.needed_passes(image)}, "nobody needs it"


@pytest.mark.parametrize("kind", ["semantic", "instance"])
def test_images_that_stop_skip_all_dearer_passes_and_the_dearer_rungs_are_done_without_them(kind):
    plan = of_subsets(*FOUR, kind=kind, stops={0: 0.3, 2: 0.5})
    sure, later = {"1", "5", "8"}, {"2", "3"}

    def doubt(rung, image):
        return 0.1 if image in sure or (rung == 2 and image in later) else 0.9

    run = Run(plan, TEN, 1e6, doubt=doubt).work()
    assert run.state.rungs.stopped == {**dict.fromkeys(sure, 0), **dict.fromkeys(later, 2)}
    assert run.state.settled(2)
    assert run.state.settled(3)
    done = {(task.index, task.image) for task in run.tasks if isinstance(task, PassTask)}
    assert {index for index, image in done if image in sure} == {0}
    assert {index for index, image in done if image in later} == {0, 2, 3}
    assert {image for index, image in done if index == 1} == TEN.keys() - sure - later
    assert run.done_at[3] == pytest.approx(10 + 2 * 7 + 5)
    best = {image: run.state.rungs.best_row(3, image)[0] for image in TEN}
    assert best == {image: 0 if image in sure else 2 if image in later else 3 for image in TEN}
    assert run.files == {}


def test_if_all_images_stop_the_run_ends_with_all_rungs_done_at_once():
    run = Run(of_subsets(*FOUR, stops={0: 0.3}), TEN, 1e6, doubt=lambda rung, image: 0.0).work()
    assert run.now == pytest.approx(10.0)
    assert run.state.settled(3)


def test_a_row_without_one_of_its_members_stops_no_image_until_the_member_is_back():
    failed = []

    def fails(task):
        if isinstance(task, PassTask) and task.index == 1 and len(failed) < 4:
            failed.append(task)
            return "crash"
        return None

    plan = of_subsets([0, 1, 2], [[0, 1], [0, 1, 2]], stops={0: 1.0})
    run = Run(plan, {"a": 1.0, "b": 1.0}, 1e6, doubt=lambda rung, image: 0.0).work(fails)
    assert any(isinstance(decision, BringBack) and decision.item == 1 for decision in run.decisions)
    assert all(run.rows[enough, image] == [0, 1] for image, enough in run.state.rungs.stopped.items())
    gone = Run(plan, {"a": 1.0, "b": 1.0}, 1e6, doubt=lambda rung, image: 0.0)
    gone.ladder.drop_member(1, "damaged")
    gone.work()
    assert not gone.state.rungs.stopped
    assert all(gone.rows[1, image] == [0, 2] for image in "ab")
