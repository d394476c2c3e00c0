import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.errors import KitError
from kit.inference import calibration
from kit.local import calibration_fit

METHODS = ("isotonic", "temperature", "rank")


def sample(seed, count=500, sharpness=1.0):
    """Scores whose true rate of hits is sigmoid(sharpness * logit(score))."""
    rng = np.random.default_rng(seed)
    scores = rng.beta(0.7, 0.9, count)
    odds = (scores / (1 - scores)) ** sharpness
    return scores, rng.random(count) < odds / (1 + odds)


def log_loss(scores, hits):
    kept = np.clip(scores, 1e-7, 1 - 1e-7)
    return float(-np.mean(np.where(hits, np.log(kept), np.log1p(-kept))))


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(20, 400),
    ties=st.booleans(),
    method=st.sampled_from(METHODS),
)
def test_every_fit_keeps_the_order_and_the_range_of_scores(seed, count, ties, method):
    rng = np.random.default_rng(seed)
    scores = rng.random(count).round(1) if ties else rng.random(count)
    hits = rng.random(count) < 0.5
    hits[:2] = True, False
    how = json.loads(json.dumps(calibration_fit.fit(method, scores, hits)))
    calibration.check(how)
    asked = np.sort(rng.random(200))
    found = calibration.apply(how, asked)
    assert (np.diff(found) >= 0).all()
    assert ((found >= 0) & (found <= 1)).all()
    if method != "temperature":
        assert (np.diff(found)[np.diff(asked) > 1e-5] > 0).all()


@pytest.mark.parametrize("sharpness", [0.4, 1.0, 2.5])
def test_temperature_is_the_one_the_sample_was_drawn_with_and_lowers_the_loss(sharpness):
    scores, hits = sample(0, 20000, sharpness)
    how = calibration_fit.fit("temperature", scores, hits)
    assert how["temperature"] == pytest.approx(1 / sharpness, rel=0.06)
    best = log_loss(calibration.apply(how, scores), hits)
    for factor in (0.7, 0.95, 1.05, 1.4):
        other = {"kind": "temperature", "temperature": how["temperature"] * factor}
        assert log_loss(calibration.apply(other, scores), hits) >= best


def test_isotonic_gives_the_rate_of_hits():
    scores, hits = sample(1, 20000, 2.5)
    found = calibration.apply(calibration_fit.fit("isotonic", scores, hits), np.array([0.2, 0.5, 0.8]))
    odds = np.array([0.25, 1, 4]) ** 2.5
    assert found == pytest.approx(odds / (1 + odds), abs=0.05)


def slow_isotonic(values):
    """Best rising fit of equally weighted values: the max-min formula."""
    n = len(values)
    return [max(min(np.mean(values[a : b + 1]) for b in range(i, n)) for a in range(i + 1)) for i in range(n)]


@settings(deadline=None)
@given(seed=st.integers(0, 10**6))
def test_pools_are_the_best_rising_fit(seed):
    rng = np.random.default_rng(seed)
    scores, hits = np.sort(rng.random(30)), rng.random(30) < 0.5
    hits[:2] = True, False
    how = calibration_fit.fit("isotonic", scores, hits)
    # 30 distinct scores are fewer than the bins, so nothing but pooling happens.
    expected = slow_isotonic(hits.astype(float))
    levels = np.unique(np.round(expected, 9))
    points = dict(zip(how["scores"], how["values"], strict=True))
    for level in levels:
        pool = scores[np.isclose(expected, level)]
        mean = round(float(pool.mean()), 6)
        near = min(points, key=lambda x, mean=mean: abs(x - mean))
        assert near == pytest.approx(mean, abs=2e-6)
        assert points[near] == pytest.approx(level, abs=2e-3)


def test_ranks_make_members_alike_that_score_differently():
    rng = np.random.default_rng(5)
    shy, bold = rng.random(2000) * 0.1, 0.9 + rng.random(2000) * 0.1
    hits = np.zeros(2000, bool)
    medians = [
        calibration.apply(calibration_fit.fit("rank", scores, hits), np.array([np.median(scores)]))[0]
        for scores in (shy, bold)
    ]
    assert medians == pytest.approx([0.5, 0.5], abs=0.02)


def test_a_rank_counts_half_of_the_equal_ones():
    scores = np.repeat(np.arange(1, 21) / 25, 2)
    found = calibration.apply(calibration_fit.fit("rank", scores, np.zeros(40, bool)), scores[::2])
    assert found == pytest.approx((np.arange(20) + 0.5) / 20, abs=1e-3)


def test_the_identity_changes_nothing():
    scores = np.array([0.0, 1e-9, 0.3, 1.0])
    straight = {"kind": "curve", "scores": [0.0, 1.0], "values": [0.0, 1.0]}
    assert calibration.apply(straight, scores).tolist() == scores.tolist()
    cool = {"kind": "temperature", "temperature": 1}
    assert calibration.apply(cool, scores) == pytest.approx(scores, abs=2e-7)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({}, "of member m has an unknown kind or other keys"),
        (None, "of member m has an unknown kind or other keys"),
        ([1.7], "of member m has an unknown kind or other keys"),
        ({"kind": ["curve"]}, "of member m has an unknown kind or other keys"),
        ({"kind": "platt", "a": 1}, "of member m has an unknown kind or other keys"),
        ({"kind": "temperature"}, "of member m has an unknown kind or other keys"),
        (
            {"kind": "temperature", "temperature": 1, "scores": []},
            "of member m has an unknown kind or other keys",
        ),
        ({"kind": "temperature", "temperature": "warm"}, "holds a value that is not a number"),
        ({"kind": "temperature", "temperature": 0}, "does not rise"),
        ({"kind": "temperature", "temperature": float("nan")}, "does not rise"),
        ({"kind": "temperature", "temperature": [1, 2]}, "does not rise"),
        ({"kind": "curve", "scores": [0, 1], "values": [0]}, "does not rise"),
        ({"kind": "curve", "scores": [0, 1], "values": [1, 0]}, "does not rise"),
        ({"kind": "curve", "scores": [0, 0.5, 0.5, 1], "values": [0, 0.1, 0.2, 1]}, "does not rise"),
        ({"kind": "curve", "scores": [0.1, 1], "values": [0, 1]}, "does not rise"),
        ({"kind": "curve", "scores": [0, 1], "values": [0, 1.2]}, "does not rise"),
        ({"kind": "curve", "scores": [0, 1], "values": [0, float("nan")]}, "does not rise"),
        ({"kind": "curve", "scores": [], "values": []}, "does not rise"),
    ],
)
def test_what_would_change_the_order_is_refused(how, message):
    with pytest.raises(KitError, match=message) as caught:
        calibration.check(how, of="member m")
    assert "the calibration of member m" in str(caught.value)
    assert caught.value.fix


@pytest.mark.parametrize(
    ("scores", "hits", "message"),
    [
        (
            np.full(19, 0.5),
            np.arange(19) % 2 == 0,
            "19 detections with 10 hits and 1 different score are not enough for a calibration",
        ),
        (np.array([0.5]), np.ones(1, bool), "1 detection with 1 hit and 1 different score "),
        (np.arange(40) / 40, np.ones(40, bool), "40 detections with 40 hits and 40 different scores"),
        (np.arange(40) / 40, np.zeros(40, bool), "40 detections with 0 hits and 40 different scores"),
        (np.full(40, 1.5), np.arange(40) % 2 == 0, "one score in"),
        (np.full(40, np.nan), np.arange(40) % 2 == 0, "one score in"),
        (np.full(40, 0.5), np.ones(39, bool), "one score in"),
        (np.empty(0), np.empty(0, bool), "0 detections"),
    ],
)
def test_what_calibrates_nothing_is_said(scores, hits, message):
    with pytest.raises(KitError, match=message):
        calibration_fit.fit("isotonic", scores, hits)
    with pytest.raises(KitError, match="unknown calibration 'beta'"):
        calibration_fit.fit("beta", *sample(0))


@pytest.mark.parametrize("method", METHODS)
def test_scores_that_are_all_the_same_calibrate_nothing(method):
    with pytest.raises(KitError, match="40 detections with 20 hits and 1 different score "):
        calibration_fit.fit(method, np.full(40, 0.7), np.arange(40) % 2 == 0)
