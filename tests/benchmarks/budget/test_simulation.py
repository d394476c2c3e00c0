"""Simulated runs keep the rules of real ones: workers, weights, the clock, the file that is left."""

import math
from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from benchmarks.budget import hindsight
from benchmarks.budget.events import Log
from benchmarks.budget.machine import Device, Drift, Ending
from benchmarks.budget.simulation import Simulation
from benchmarks.budget.ways import WAYS, Straight, by_hand
from benchmarks.budget.world import world_of
from kit.plan.tasks import FuseTask, PassTask

WORLDS = range(10)


def run(world, policy, *, mixes=False):
    log = Log()
    ended = Simulation(world, policy, mixes=mixes, log=log).run()
    return ended, log


@cache
def runs_of(number):
    world = world_of(3, number)
    logs = [Log() for _ in WAYS]
    return [(world, way.run(world, log), log) for way, log in zip(WAYS, logs, strict=True)]


@pytest.mark.parametrize("number", WORLDS)
def test_a_worker_does_one_thing_at_a_time_and_nothing_after_it_is_lost(number):
    for world, _, log in runs_of(number):
        for worker, device in enumerate(world.machine.devices):
            spans = sorted((span for span in log.spans if span.worker == worker), key=lambda span: span.begin)
            lost = math.inf if device.lost is None else device.lost
            for before, after in pairwise(spans):
                # A task that the loss of its worker cut short ended at that moment, not at its planned end.
                cut = before.begin <= lost < before.end
                assert after.begin >= (lost if cut else before.end) - 1e-9
            if device.back is None:
                assert all(span.begin <= lost for span in spans)


@pytest.mark.parametrize("number", WORLDS)
def test_no_task_starts_before_the_packages_and_the_weights_are_there_or_after_the_deadline(number):
    for world, _, log in runs_of(number):
        set_up = world.machine.set_up
        for span in log.spans:
            assert set_up.installed <= span.begin < world.deadline
            if isinstance(span.task, PassTask):
                member = world.ensemble.passes[span.task.index].member
                assert span.begin >= set_up.ready[member]
                assert member not in set_up.absent


@pytest.mark.parametrize("number", WORLDS)
def test_the_file_has_only_rows_whose_passes_were_done_in_time(number):
    for world, ended, log in runs_of(number):
        images = list(world.images)
        in_time = [span for span in log.spans if span.stage is None and span.end < world.deadline]
        done = {(span.task.index, span.task.image) for span in in_time if isinstance(span.task, PassTask)}
        fused = {span.task.image for span in in_time if isinstance(span.task, FuseTask)}
        for image, passes in ended.rows.items():
            assert images[image] in fused
            assert all((index, images[image]) in done for index in passes)
        assert 0.0 <= ended.score <= 1.0
        assert ended.seconds <= world.budget
        assert (ended.score > 0) <= bool(ended.rows)


def test_equal_worlds_give_equal_runs():
    for way in WAYS:
        one, other = Log(), Log()
        assert way.run(world_of(3, 4), one) == way.run(world_of(3, 4), other)
        assert (one.spans, one.decisions) == (other.spans, other.decisions)


def test_a_task_takes_the_same_time_in_whatever_order():
    # Passes of one view are of different members, so that each of the runs loads others in between.
    world = plain(world_of(3, 1))
    top = len(world.ensemble.rungs) - 1

    def times(rungs):
        _, log = run(world, Straight(rungs))
        return {span.task: span.end - span.begin for span in log.spans if isinstance(span.task, PassTask)}

    straight, over_the_first = times([top]), times([0, top])
    assert straight.keys() == over_the_first.keys()
    assert straight == pytest.approx(over_the_first)


def plain(world, **machine):
    """Return a world with time for everything, in which nothing goes wrong; loading takes no time."""
    facts = {
        "loads": np.zeros(len(world.ensemble.members)),
        "drift": Drift((0.0,), (1.0,), steps=False),
        "devices": (Device(),),
        "faults": replace(world.machine.faults, stages=None, damaged=frozenset(), unloadable=frozenset(),
                          wrong=frozenset(), greedy=frozenset()),
        "set_up": replace(world.machine.set_up, absent=frozenset()),
    }  # fmt: skip
    return replace(world, budget=1e9, machine=replace(world.machine, **{**facts, **machine}))


def test_with_time_for_all_every_way_but_the_chosen_rung_ends_with_all_passes():
    world = plain(world_of(3, 2))
    everything = tuple(range(len(world.ensemble.passes)))
    for way in WAYS:
        ended = way.run(world)
        if way.name != "by hand":
            assert ended.rows == dict.fromkeys(range(len(world.images)), everything)
            assert ended.score == pytest.approx(world.truth.scores_I(everything).mean())


def test_two_workers_take_half_of_the_time_and_a_slow_one_its_share():
    world = world_of(3, 2)
    top = len(world.ensemble.rungs) - 1
    alone, _ = run(plain(world), Straight([top]))
    both, _ = run(plain(world, devices=(Device(), Device())), Straight([top]))
    third, _ = run(plain(world, devices=(Device(), Device(slowness=2.0))), Straight([top]))
    begin = world.machine.set_up.installed
    assert (alone.seconds - begin) / (both.seconds - begin) == pytest.approx(2, rel=0.1)
    assert (alone.seconds - begin) / (third.seconds - begin) == pytest.approx(1.5, rel=0.15)


def test_a_last_file_that_comes_too_late_is_counted_and_the_file_before_it_stays():
    number = next(number for number in range(20) if world_of(3, number).truth.mixes)
    world = plain(world_of(3, number))
    rungs = [0, len(world.ensemble.rungs) - 1]
    whole, log = run(world, Straight(rungs))
    first = min(span.end for span in log.spans if isinstance(span.task, FuseTask) and span.task.rung)
    world = replace(world, budget=first + 1e-6 + world.ensemble.reserve_seconds)
    ending = Ending(kill=1.0, delete=0.0, validate=world.machine.ending.validate, write=60.0)
    slow = replace(world, machine=replace(world.machine, ending=ending))
    late, _ = run(slow, Straight(rungs), mixes=True)
    in_time, _ = run(world, Straight(rungs), mixes=True)
    assert [whole.late, late.late, in_time.late] == [False, True, False]
    assert late.seconds == world.budget
    assert set(late.rows.values()) == {tuple(world.ensemble.rungs[0].passes)}
    assert late.score < in_time.score


def test_a_task_at_the_deadline_is_lost_and_a_part_of_the_first_rung_is_published():
    world = plain(world_of(3, 2))
    begin = world.machine.set_up.installed
    _, log = run(world, Straight([0]))
    rows = sorted(span.end for span in log.spans if isinstance(span.task, FuseTask))
    world = replace(world, budget=rows[2] + 1e-6 + world.ensemble.reserve_seconds)
    ended, _ = run(world, Straight([0]))
    assert begin < rows[2]
    assert len(ended.rows) == 3


def test_rows_of_an_unfinished_rung_count_where_they_may():
    number = next(number for number in range(20) if world_of(3, number).truth.mixes)
    world = plain(world_of(3, number))
    rungs = [0, len(world.ensemble.rungs) - 1]
    _, log = run(world, Straight(rungs))
    better = sorted(span.end for span in log.spans if isinstance(span.task, FuseTask) and span.task.rung)
    world = replace(world, budget=better[1] + 1e-6 + world.ensemble.reserve_seconds)
    whole, _ = run(world, Straight(rungs))
    mixed, _ = run(world, Straight(rungs), mixes=True)
    everything = tuple(range(len(world.ensemble.passes)))
    assert everything not in whole.rows.values()
    assert list(mixed.rows.values()).count(everything) == 2
    assert mixed.score > whole.score


def test_a_failed_task_is_tried_again_and_a_damaged_image_has_no_row():
    world = plain(world_of(3, 2))
    stages = np.full(world.machine.seconds.shape, "", dtype="<U6")
    stages[0, :, 1] = "error"
    faults = replace(world.machine.faults, stages=stages, damaged=frozenset([2]))
    ended, log = run(plain(world, faults=faults), Straight([0]))
    names = list(world.images)
    tries = [
        span.stage for span in log.spans if isinstance(span.task, PassTask) and span.task.image == names[1]
    ]
    assert tries == ["error", None]
    assert ended.rows.keys() == set(range(len(names))) - {2}


def test_a_worker_that_crashes_comes_back_without_its_member():
    world = world_of(3, 2)
    stages = np.full(world.machine.seconds.shape, "", dtype="<U6")
    stages[0, 0, 0] = "crash"
    faults = replace(plain(world).machine.faults, stages=stages)
    loads = np.full(len(world.ensemble.members), 7.0)
    world = plain(world, faults=faults, loads=loads, restart=11.0)
    _, log = run(world, Straight([0]))
    spans = [span for span in log.spans if isinstance(span.task, PassTask)]
    crashed = next(number for number, span in enumerate(spans) if span.stage == "crash")
    after = next(span for span in log.spans if span.begin > spans[crashed].begin)
    assert after.begin == pytest.approx(spans[crashed].end + 11.0)
    seconds = world.machine.pass_seconds(spans[crashed + 1].task.index, 0, 1)
    loaded = [span for span in spans if span.task.image == "image00"][-1]
    assert loaded.end - loaded.begin in (pytest.approx(seconds), pytest.approx(seconds + 7.0))


def test_images_that_stop_keep_their_rows_and_later_passes_skip_them():
    number = next(number for number in range(60) if 0 in world_of(3, number, nested=True).stopping.stops)
    world = plain(world_of(3, number, nested=True))
    top = len(world.ensemble.rungs) - 1
    low = world.stopping.doubts[0] < world.stopping.stops[0].below
    names = list(world.images)
    stopped = {names[image] for image in np.flatnonzero(low)}
    assert 0 < len(stopped) < len(names)
    ended, log = run(world, Straight([0, top]))
    own = set(world.ensemble.rungs[0].passes)
    late = {span.task.image for span in log.spans
            if isinstance(span.task, PassTask) and span.task.index not in own}  # fmt: skip
    assert late == set(names) - stopped
    for image, passes in ended.rows.items():
        assert (passes == tuple(world.ensemble.rungs[0].passes)) == (names[image] in stopped)
    everything, _ = run(world, Straight([top]))
    assert ended.seconds < everything.seconds
    assert ended.score == pytest.approx(everything.score, abs=0.03)


def test_no_run_over_the_rungs_where_images_stop_is_better_than_its_bound():
    numbers = [number for number in range(40) if world_of(3, number).stopping.stops][:4]
    for number in numbers:
        world = plain(world_of(3, number))
        budget = world_of(3, number).budget
        world = replace(world, budget=budget)
        choices = [choice for choice in hindsight.choices(world) if len(choice.rungs) > 1]
        assert any(world.ensemble.rungs[choice.rungs[0]].stop is not None for choice in choices)
        for choice in choices[:6]:
            ended, _ = run(world, Straight(choice.rungs, choice.first), mixes=world.truth.mixes)
            assert ended.score <= choice.bound + 1e-9


def test_the_rung_by_hand_is_the_highest_that_fits_with_a_margin():
    world = world_of(3, 2)
    assert by_hand(replace(world, budget=1e12)) == len(world.ensemble.rungs) - 1
    assert by_hand(replace(world, budget=1.0)) == 0
