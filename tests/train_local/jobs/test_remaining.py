import pytest

from train_local.jobs.remaining import Cost, Remaining, duration, remaining

FOLD0 = Cost(group="unet", hours=2.0, took=100.0, left=0.0)


def test_the_example_of_the_comment():
    costs = [
        FOLD0,
        Cost(group="unet", hours=2.0, left=30.0),
        Cost(group="unet", hours=2.0),
        Cost(group="segformer", hours=3.0),
        Cost(group="ensemble"),
    ]
    assert remaining(costs, at_once=2) == Remaining(150.0, 1)
    assert remaining(costs, at_once=1) == Remaining(280.0, 1)


def test_nothing_measured_is_nothing_known():
    assert remaining([Cost(group="a", hours=1.0), Cost(group="b")], at_once=1) == Remaining(0.0, 2)


def test_all_done_is_nothing_left():
    assert remaining([FOLD0, Cost(group="b", left=0.0)], at_once=4) == Remaining(0.0, 0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (89.4, "89 s"),
        (90, "2 min"),
        (5940, "99 min"),
        (6000, "1 h 40 min"),
        (3600 * 47, "47 h 0 min"),
        (3600 * 52, "2 d 4 h"),
    ],
)
def test_durations_for_people(seconds, text):
    assert duration(seconds) == text
