"""Calibrate the scores of a detector, so that they can be compared with those of other detectors.

A calibration is a plain dict, so that `ensemble.json` can hold it:

    {"kind": "temperature", "temperature": 2.0}                         sigmoid(logit(score) / temperature)
    {"kind": "curve", "scores": [0.0, ..., 1.0], "values": [...]}       linear between the points

A temperature of 2 moves scores towards 0.5: 0.9 becomes 0.75, as logit(0.9) = ln(9), half of which is ln(3).
The curve {"scores": [0, 0.5, 1], "values": [0, 0.2, 1]} makes 0.25 to 0.1 and 0.75 to 0.6.

Both rise, so a member's own detections keep their order; only their ranks among the other members' detections
change. Calibrations are fitted on out-of-fold detections, of which is known whether they hit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kit.errors import KitError

Floats = NDArray[np.float64]
Calibration = Mapping[str, Any]
Method = Literal["isotonic", "temperature", "rank"]

_FEWEST = 20
"""Fewest detections for a fit."""
_BINS = 64
"""Points of a curve: detections are first put into so many bins of equal count."""
_TILT = 1e-3
"""Share of the identity that is mixed into a curve, so that flat parts rise a little."""
_COLDEST, _HOTTEST = 0.05, 20.0
_EDGE = 1e-7
"""Scores are moved so far away from 0 and 1, where a logit is infinite."""


def apply(calibration: Calibration, scores: Floats) -> Floats:
    """Return the calibrated scores in [0, 1], (n,).

    >>> curve = {"kind": "curve", "scores": [0, 0.5, 1], "values": [0, 0.2, 1]}
    >>> apply(curve, np.array([0.25, 0.5])).tolist()
    [0.1, 0.2]

    Args:
        calibration: as `fit` returns it.
        scores: (n,) in [0, 1].

    Raises:
        KitError: the calibration is none.
    """
    check(calibration)
    if calibration["kind"] == "curve":
        curve: Floats = np.interp(scores, calibration["scores"], calibration["values"])
        return curve
    return _sigmoid(_logit(scores) / calibration["temperature"])


def check(calibration: Calibration, *, of: str = "a member") -> None:
    """Refuse a value that is no calibration or would change the order of scores.

    Args:
        calibration: the value.
        of: name of the detector, for messages.

    Raises:
        KitError: the kind is unknown, or a value is missing or impossible.
    """
    known = {"temperature": {"temperature"}, "curve": {"scores", "values"}}
    kind = str(calibration.get("kind")) if isinstance(calibration, Mapping) else ""
    if kind not in known or set(calibration) != {"kind", *known[kind]}:
        raise KitError(
            f"the calibration of {of} has an unknown kind or other keys: {calibration}",
            fix="known: {kind: temperature, temperature: T} and {kind: curve, scores: [...], values: [...]}",
        )
    fix = "temperature: a positive number; curve: scores from 0 to 1 and values, both strictly rising"
    try:
        numbers = {name: np.asarray(calibration[name], np.float64) for name in known[kind]}
    except (TypeError, ValueError) as error:
        raise KitError(
            f"the calibration of {of} holds a value that is not a number: {error}", fix=fix
        ) from error
    if kind == "temperature":
        rises = numbers["temperature"].ndim == 0 and bool(0 < numbers["temperature"] < np.inf)
    else:
        rises = _rises(numbers["scores"], numbers["values"])
    if not rises:
        raise KitError(f"the calibration of {of} does not rise from 0 to 1: {dict(calibration)}", fix=fix)


def _rises(scores: Floats, values: Floats) -> bool:
    if scores.ndim != 1 or scores.shape != values.shape or len(scores) < 2:
        return False
    in_range = scores[0] == 0 and scores[-1] == 1 and values[0] >= 0 and values[-1] <= 1
    return bool(in_range and (np.diff(scores) > 0).all() and (np.diff(values) > 0).all())


def fit(method: Method, scores: Floats, hits: NDArray[np.bool_]) -> dict[str, Any]:
    """Fit the calibration of one member.

    isotonic     the rate of hits as a rising function of the score (pool adjacent violators; Barlow et al.
    1972),
                 linear between the mean scores of the groups
    temperature  the temperature of the smallest log loss (Guo et al. 2017)
    rank         the share of all detections with a lower score, whether they hit or not

    Args:
        method: one of these.
        scores: (n,) in [0, 1], of out-of-fold detections of all images.
        hits: (n,) whether each detection found a true instance.

    Raises:
        KitError: there are too few detections, or all have one score, scores are no numbers, or the method
            needs hits and misses and there are only hits or only misses.
    """
    scores, hits = np.asarray(scores, np.float64), np.asarray(hits, bool)
    if method not in ("isotonic", "temperature", "rank"):
        raise KitError(f"unknown calibration {method!r}", fix="known: isotonic, temperature, rank")
    if scores.shape != hits.shape or not ((scores >= 0) & (scores <= 1)).all():
        raise KitError("calibration needs one score in [0, 1] for every hit or miss")
    one_sided = method != "rank" and (hits.all() or not hits.any())
    different = len(np.unique(scores))
    if len(scores) < _FEWEST or one_sided or different < 2:
        raise KitError(
            f"{len(scores)} detections with {np.count_nonzero(hits)} hits and {different} different scores "
            "are not enough for a calibration",
            fix=f"use {_FEWEST} detections or more of different scores, with hits and misses, or leave the "
            "member's scores as they are",
        )
    if method == "temperature":
        return {"kind": "temperature", "temperature": _temperature(scores, hits)}
    mean, value, weight = _binned(scores, hits)
    if method == "rank":
        value = (np.cumsum(weight) - weight / 2) / weight.sum()
    else:
        mean, value = _pooled(mean, value, weight)
    return _curve(mean, value)


def _binned(scores: Floats, hits: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
    """Return mean score, rate of hits and count of bins of about equal count; equal scores share a bin."""
    order = np.argsort(scores, kind="stable")
    distinct, first = np.unique(scores[order], return_index=True)
    edges = np.unique(np.searchsorted(distinct, scores[order][:: -(-len(scores) // _BINS)]))
    begins = first[edges]
    weight = np.diff(begins, append=len(scores)).astype(np.float64)
    mean = np.add.reduceat(scores[order], begins) / weight
    return mean, np.add.reduceat(hits[order].astype(np.float64), begins) / weight, weight


def _pooled(mean: Floats, value: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Join neighbours to their weighted mean until the values rise; return scores and values of the groups.

    >>> _pooled(np.array([0.1, 0.3, 0.5, 0.9]), np.array([0.2, 0.6, 0.4, 0.8]), np.ones(4))[1].tolist()
    [0.2, 0.5, 0.8]
    """
    # Values 0.2, 0.6, 0.4, 0.8 of bins of equal weight: 0.6 and 0.4 fall, so they become one group of 0.5.
    groups: list[tuple[float, float, float]] = []  # weight, sum of scores, sum of values
    for own, x, y in zip(weight.tolist(), (mean * weight).tolist(), (value * weight).tolist(), strict=True):
        groups.append((own, x, y))
        while len(groups) > 1 and groups[-2][2] * groups[-1][0] >= groups[-1][2] * groups[-2][0]:
            last = groups.pop()
            groups[-1] = (groups[-1][0] + last[0], groups[-1][1] + last[1], groups[-1][2] + last[2])
    total, x_sum, y_sum = np.array(groups).T
    return x_sum / total, y_sum / total


def _curve(mean: Floats, value: Floats) -> dict[str, Any]:
    """Return the curve through the points, from score 0 to score 1, strictly rising."""
    rounded = np.unique(np.round(mean, 6))
    x = np.concatenate([[0.0], rounded[(rounded > 0) & (rounded < 1)], [1.0]])
    y = (1 - _TILT) * np.interp(x, mean, value) + _TILT * x
    return {"kind": "curve", "scores": x.tolist(), "values": y.tolist()}


def _temperature(scores: Floats, hits: NDArray[np.bool_]) -> float:
    """Find where the slope of the log loss is 0, by halving: the loss is convex in 1 / temperature."""
    logit = _logit(scores)
    low, high = 1 / _HOTTEST, 1 / _COLDEST
    for _ in range(60):
        middle = (low + high) / 2
        slope = float(((_sigmoid(middle * logit) - hits) * logit).sum())
        low, high = (low, middle) if slope > 0 else (middle, high)
    return 2 / (low + high)


def _logit(scores: Floats) -> Floats:
    kept = np.clip(scores, _EDGE, 1 - _EDGE)
    logit: Floats = np.log(kept) - np.log1p(-kept)
    return logit


def _sigmoid(x: Floats) -> Floats:
    sigmoid: Floats = 0.5 * (1 + np.tanh(0.5 * x))
    return sigmoid
