"""The forecast of the hidden run: what a planner with a virtual clock does on a machine that is known."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.plan.costs import reserve_seconds
from kit.plan.hidden_run import (
    SLOWER,
    HiddenSet,
    hidden_set,
    image_seconds,
    images_that_fit,
    images_together,
    objections,
    prospect,
)
from kit.plan.measured import Measured
from tests.kit.plan.ladders import ensemble_of, of_subsets

FACTS = {"members_measured": 1, "memory_ran_out": False, "memory_total": 100, "memory_peak": 50}


def machine(ensemble, **changes):
    members, passes = len(ensemble.members), len(ensemble.passes)
    values = {
        "workers": 1,
        "installed": 10.0,
        "ready": (10.0,) * members,
        "imports": 5.0,
        "loads": (2.0,) * members,
        "passes": ((1.0, 2.0),) * passes,
        "known": tuple(range(passes)),
        "rows": (0.0, 0.0),
        "between": 0.0,
        "validate": 0.0,
        "ending": 3.0,
        "sizes": (1.0,),
    }
    return Measured(**values | changes)


def promised(ensemble, measured, hidden, *, budget=3600.0, free=1e12):
    return prospect(ensemble, measured, hidden, budget=budget, free=free)


def test_a_run_of_one_worker_takes_the_sum_of_its_parts():
    ensemble = ensemble_of([0, 1], [1, 2])
    measured = machine(ensemble, rows=(0.5, 0.25), between=0.1, validate=4.0)
    told = promised(ensemble, measured, HiddenSet(images=10, megapixels=30.0))
    # Set-up 10 s, imports 5 s, two members loaded in 2 s each, 10 images of 3 megapixels: 7 s for each pass.
    # Rows of one pass take 0.5 + 0.25 x 3 s, of two passes 0.5 + 0.25 x 6 s; two files, and 3 s at the end.
    rows = 10 * (0.5 + 0.75) + 10 * (0.5 + 1.5)
    whole = 10 + 5 + 2 * 2 + 2 * 10 * 7 + rows + 40 * 0.1 + 2 * 4 + 3
    assert told.course.rung == 1
    assert told.course.seconds == pytest.approx(whole)
    assert told.course.done[0] == pytest.approx(10 + 5 + 2 + 10 * (7 + 1.25 + 0.2))


def test_dearer_passes_look_at_the_windows_that_are_expected_to_be_left():
    ensemble = of_subsets([0, 1], [[0], [0, 1]], skips={0: 0.5})
    told = promised(ensemble, machine(ensemble), HiddenSet(images=10, megapixels=30.0))
    # Images of 3 megapixels: 1 + 2 x 3 s for the first pass, 1 + 2 x 1.5 s for the second.
    assert told.course.seconds == pytest.approx(10 + 5 + 2 * 2 + 10 * (7 + 4) + 3)


def test_two_workers_share_the_images_and_each_loads_its_members():
    ensemble = ensemble_of([0], [1])
    one = promised(ensemble, machine(ensemble), HiddenSet(images=10, megapixels=10.0))
    two = promised(ensemble, machine(ensemble, workers=2), HiddenSet(images=10, megapixels=10.0))
    assert one.course.seconds == pytest.approx(10 + 5 + 2 + 30 + 3)
    assert two.course.seconds == pytest.approx(10 + 5 + 2 + 15 + 3)


def test_where_the_first_rung_does_not_fit_there_is_none_and_the_submission_is_not_safe():
    ensemble = ensemble_of([0], [1])
    told = promised(ensemble, machine(ensemble), HiddenSet(images=100, megapixels=1000.0), budget=600.0)
    assert (told.course.rung, told.same, told.first) == (None, None, None)
    assert objections(told, FACTS) == ["not even the first rung would be done in time"]


@given(
    images=st.integers(1, 40),
    megapixels=st.floats(0.5, 400),
    budget=st.floats(300, 7200),
    workers=st.integers(1, 3),
    mixes=st.booleans(),
)
@settings(deadline=None, max_examples=30)
def test_a_machine_that_is_so_much_slower_reaches_what_was_promised(
    images, megapixels, budget, workers, mixes
):
    ensemble = of_subsets(
        [0, 0, 1, 2],
        [[0], [0, 2], [0, 1, 2, 3]],
        [0.5, 0.6, 0.62],
        kind="semantic" if mixes else "instance",
    )
    hidden = HiddenSet(images=images, megapixels=megapixels)
    measured = machine(ensemble, workers=workers)
    told = promised(ensemble, measured, hidden, budget=budget)
    deadline = budget - reserve_seconds(budget, ensemble.reserve_seconds)
    assert told.course.seconds <= deadline + measured.ending + 1e-6
    if told.course.rung is None:
        return
    assert 1.0 <= told.same <= told.first
    for factor, least in ((told.same, told.course.rung), (0.999 * told.first, 0)):
        slower = replace(
            measured,
            installed=measured.installed * factor,
            ready=tuple(second * factor for second in measured.ready),
            imports=measured.imports * factor,
            loads=tuple(load * factor for load in measured.loads),
            passes=tuple((fixed * factor, rate * factor) for fixed, rate in measured.passes),
            ending=measured.ending * factor,
        )
        reached = promised(ensemble, slower, hidden, budget=budget).course.rung
        assert reached is not None
        assert reached >= least


def test_a_lost_member_is_missing_and_waits_for_nothing():
    ensemble = ensemble_of([0, 1], [1, 2])
    measured = machine(ensemble, ready=(None, 10.0))
    told = promised(ensemble, measured, HiddenSet(images=10, megapixels=10.0))
    assert told.course.rung == 1
    assert told.course.seconds == pytest.approx(10 + 5 + 2 + 30 + 3)


def test_maps_take_room_until_no_rung_needs_them():
    ensemble = ensemble_of([0, 1, 2], [1, 2, 3])
    hidden = HiddenSet(images=4, megapixels=400.0)
    # 16 bits for each pixel of two maps of all four images, and the third of the first image.
    maps = promised(ensemble, machine(ensemble), hidden, budget=36000.0).course.disk
    assert maps == pytest.approx(2e6 * (2 * 400 + 100))
    # Where all maps would take more than half of the disk, an image keeps one running mean.
    means = promised(ensemble, machine(ensemble), hidden, budget=36000.0, free=2e9).course
    assert (means.rung, means.disk < maps) == (2, True)
    no_maps = of_subsets([0, 1], [[0], [0, 1]], kind="instance")
    assert promised(no_maps, machine(no_maps), hidden).course.disk == 0


@given(
    images=st.integers(1, 6000),
    megapixels=st.floats(0.1, 1e5),
    passes=st.integers(1, 64),
    sizes=st.lists(st.floats(0.1, 900), max_size=8),
)
def test_images_that_stand_together_keep_number_and_megapixels(images, megapixels, passes, sizes):
    measured = machine(ensemble_of([0], [1]), sizes=tuple(sizes), workers=2)
    count, together = images_together(HiddenSet(images=images, megapixels=megapixels), measured, passes)
    assert count * len(together) == pytest.approx(images)
    assert sum(together.values()) == pytest.approx(megapixels)
    assert len(together) * passes <= max(2000, 32 * passes)


def test_images_that_stand_together_change_the_forecast_by_less_than_two_percent():
    ensemble = ensemble_of([0, 1, 1], [1, 3])
    apart = machine(ensemble, workers=2)
    together = replace(apart, sizes=(0.9, 1.1))
    few = promised(ensemble, apart, HiddenSet(images=600, megapixels=600.0), budget=30600.0)
    many = promised(ensemble, together, HiddenSet(images=3000, megapixels=3000.0), budget=153000.0)
    begin = 10 + 5 + 2 + 2 + 3
    assert (many.course.seconds - begin) / (few.course.seconds - begin) == pytest.approx(5, rel=0.02)


@pytest.mark.parametrize(
    ("images", "megapixels", "sizes", "expected"),
    [
        (None, None, (1.0,), None),
        (None, 10.0, (), None),
        (5, None, (), None),
        (5, None, (1.0, 3.0), (5, 10.0)),
        (None, 10.0, (1.0, 3.0), (5, 10.0)),
        (7, 10.0, (), (7, 10.0)),
    ],
)
def test_what_is_not_said_of_the_hidden_set_is_told_by_known_images(images, megapixels, sizes, expected):
    found = hidden_set(images, megapixels, sizes)
    assert (None if found is None else (found.images, found.megapixels)) == expected


@pytest.mark.parametrize(
    ("workers", "stops", "seconds", "spare"),
    [(1, {}, 9.5, 1), (2, {}, 4.75, 4), (3, {}, 9.5 / 3, 8), (1, {0: 0.5}, 6.375, 4)],
)
def test_images_that_fit_are_as_many_as_a_forecast_finishes(workers, stops, seconds, spare):
    ensemble = of_subsets([0, 1, 2], [[0], [0, 1, 2]], stops=stops)
    measured = machine(
        ensemble, ending=0.0, workers=workers, loads=(20.0, 30.0, 10.0), rows=(0.25, 0.0), validate=2.0
    )
    # Passes of 3 s, rows of 0.25 s for each rung; images that stop (half of them) lack two passes and a row.
    count = images_that_fit(ensemble, measured, 1, budget=600.0)
    assert image_seconds(ensemble, measured, 1) == pytest.approx(seconds)
    for images, rung in ((count - spare, 1), (count + spare + 1, 0)):
        hidden = HiddenSet(images=images, megapixels=float(images))
        assert promised(ensemble, measured, hidden, budget=600.0).course.rung == rung


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"members_measured": 0}, "no pass could be measured"),
        ({"memory_ran_out": True}, "memory ran out"),
        ({"memory_peak": 91}, "of memory were in use"),
        ({"memory_total": None}, None),
        ({}, None),
    ],
)
def test_what_speaks_against_a_submission_is_said(change, words):
    found = objections(None, FACTS | change)
    assert found == [] if words is None else words in found[0]


def test_a_first_rung_without_a_margin_is_not_safe():
    ensemble = ensemble_of([0], [1])
    # 10 + 5 + 2 + 3 x 100 = 317 s; the deadline is 450 - 60 s, so 1.23 x slower is too slow.
    told = promised(ensemble, machine(ensemble), HiddenSet(images=100, megapixels=100.0), budget=450.0)
    assert told.first < SLOWER
    assert "needs room for a machine 1.6 times slower, has room for 1.23" in objections(told, FACTS)[0]
