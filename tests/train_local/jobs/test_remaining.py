from train_local.jobs.remaining import Cost, Remaining, remaining

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
