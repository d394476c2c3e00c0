"""Thresholds of masks under any metric, coarse first, then finer."""

from hypothesis import given
from hypothesis import strategies as st

from train_local.ensemble.class_tuning import tune_mask


@given(st.floats(0.15, 0.85))
def test_the_threshold_comes_near_the_best_one(best):
    tuned = tune_mask({}, lambda several: [-abs(one["threshold"] - best) for one in several])
    assert abs(tuned["threshold"] - best) <= 0.051


def test_a_threshold_that_gains_nothing_stays():
    assert tune_mask({"threshold": 0.37}, lambda several: [0.5] * len(several))["threshold"] == 0.37
