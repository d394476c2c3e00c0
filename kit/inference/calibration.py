"""Scores of one detector made comparable with those of others, without changing their order.

A calibration is a plain dict, so that it can lie in `ensemble.json`:

    {"kind": "temperature", "temperature": 1.7}                         sigmoid(logit(score) / temperature)
    {"kind": "curve", "scores": [0.0, ..., 1.0], "values": [...]}       linear between the points

Both rise: a member's own detections never change places, only where they stand among the other members'. They
are fitted on out-of-fold detections, whose hits and misses are known.
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
"""Detections below which a fit would be chance."""
_BINS = 64
"""Points of a curve; detections are first pooled into as many bins of equal count."""
_TILT = 1e-3
"""How much of the identity is mixed into a curve, so that flat parts still rise."""
_COLDEST, _HOTTEST = 0.05, 20.0
_EDGE = 1e-7
"""Scores are kept so far from 0 and 1, where a logit is infinite."""


def apply(calibration: Calibration, scores: Floats) -> Floats:
    """Calibrated scores in [0, 1], in the same order.

    Args:
        calibration: of this module's `fit`.
        scores: (n,) in [0, 1].

    Raises:
        KitError: not a calibration.
    """
    check(calibration)
    if calibration["kind"] == "curve":
        curve: Floats = np.interp(scores, calibration["scores"], calibration["values"])
        return curve
    return _sigmoid(_logit(scores) / calibration["temperature"])


def check(calibration: Calibration, *, of: str = "a member") -> None:
    """Refuse what is no calibration or would change the order of scores.

    Args:
        calibration: what is to be used.
        of: whose scores, for messages.

    Raises:
        KitError: unknown kind, missing or impossible values.
    """
    known = {"temperature": {"temperature"}, "curve": {"scores", "values"}}
    kind = str(calibration.get("kind")) if isinstance(calibration, Mapping) else ""
    if kind not in known or set(calibration) != {"kind", *known[kind]}:
        raise KitError(
            f"the calibration of {of} is none: {calibration}",
            fix="known: {kind: temperature, temperature: T} and {kind: curve, scores: [...], values: [...]}",
        )
    fix = "temperature: a positive number; curve: scores from 0 to 1 and values, both strictly rising"
    try:
        numbers = {name: np.asarray(calibration[name], np.float64) for name in known[kind]}
    except (TypeError, ValueError) as error:
        raise KitError(f"the calibration of {of} holds what is no number: {error}", fix=fix) from error
    if kind == "temperature":
        rises = numbers["temperature"].ndim == 0 and bool(0 < numbers["temperature"] < np.inf)
    else:
        rises = _rises(numbers["scores"], numbers["values"])
    if not rises:
        raise KitError(f"the calibration of {of} does not rise from 0 to 1: {dict(calibration)}", fix=fix)


def _rises(scores: Floats, values: Floats) -> bool:
    if scores.ndim != 1 or scores.shape != values.shape or len(scores) < 2:
        return False
    whole = scores[0] == 0 and scores[-1] == 1 and values[0] >= 0 and values[-1] <= 1
    return bool(whole and (np.diff(scores) > 0).all() and (np.diff(values) > 0).all())


def fit(method: Method, scores: Floats, hits: NDArray[np.bool_]) -> dict[str, Any]:
    """The calibration of one member.

    isotonic     the rate of hits as a rising function of the score (pool adjacent violators; Barlow et al.
                 1972), drawn through the pools' mean scores
    temperature  the one with the smallest log loss (Guo et al. 2017)
    rank         the part of all detections with a lower score: makes members alike, whatever their hits

    Args:
        method: which.
        scores: (n,) in [0, 1], of out-of-fold detections of all images.
        hits: (n,) whether each found an instance of the truth.

    Raises:
        KitError: too few detections or all of one score, no numbers, or all hits or all misses where the
            method needs both.
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
            "calibrate nothing",
            fix=f"needed are {_FEWEST} detections of different scores, hits and misses among them; leave the "
            "member as it is",
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
    """Mean score, rate of hits and count of bins of about equally many detections, equal scores in one."""
    order = np.argsort(scores, kind="stable")
    distinct, first = np.unique(scores[order], return_index=True)
    edges = np.unique(np.searchsorted(distinct, scores[order][:: -(-len(scores) // _BINS)]))
    begins = first[edges]
    weight = np.diff(begins, append=len(scores)).astype(np.float64)
    mean = np.add.reduceat(scores[order], begins) / weight
    return mean, np.add.reduceat(hits[order].astype(np.float64), begins) / weight, weight


def _pooled(mean: Floats, value: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Neighbours whose values fall are joined to their weighted mean until all rise."""
    pools: list[tuple[float, float, float]] = []  # weight, sum of scores, sum of values
    for own, x, y in zip(weight.tolist(), (mean * weight).tolist(), (value * weight).tolist(), strict=True):
        pools.append((own, x, y))
        while len(pools) > 1 and pools[-2][2] * pools[-1][0] >= pools[-1][2] * pools[-2][0]:
            last = pools.pop()
            pools[-1] = (pools[-1][0] + last[0], pools[-1][1] + last[1], pools[-1][2] + last[2])
    total, x_sum, y_sum = np.array(pools).T
    return x_sum / total, y_sum / total


def _curve(mean: Floats, value: Floats) -> dict[str, Any]:
    """Through the points, from score 0 to score 1, strictly rising."""
    rounded = np.unique(np.round(mean, 6))
    x = np.concatenate([[0.0], rounded[(rounded > 0) & (rounded < 1)], [1.0]])
    y = (1 - _TILT) * np.interp(x, mean, value) + _TILT * x
    return {"kind": "curve", "scores": x.tolist(), "values": y.tolist()}


def _temperature(scores: Floats, hits: NDArray[np.bool_]) -> float:
    """The log loss is convex in 1 / temperature: its slope is followed to zero by halving."""
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
