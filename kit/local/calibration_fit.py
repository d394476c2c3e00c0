"""Fit the calibration of a detector's scores; `kit.inference.calibration` says what one is and applies it."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kit.errors import KitError
from kit.inference.calibration import Floats, logit, sigmoid
from kit.local.wording import counted

Method = Literal["isotonic", "temperature", "rank"]

_FEWEST = 20
"""Fewest detections for a fit."""
_BINS = 64
"""Points of a curve: detections are first put into so many bins of equal count."""
_TILT = 1e-3
"""Share of the identity that is mixed into a curve, so that flat parts rise a little."""
_COLDEST, _HOTTEST = 0.05, 20.0


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
        raise KitError(
            "calibration needs one score in [0, 1] for every hit or miss",
            fix="predict the held-out images again: run `ensemble`",
        )
    one_sided = method != "rank" and (hits.all() or not hits.any())
    different = len(np.unique(scores))
    if len(scores) < _FEWEST or one_sided or different < 2:
        raise KitError(
            f"{counted(len(scores), 'detection')} with {counted(int(hits.sum()), 'hit')} and "
            f"{counted(different, 'different score')} "
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
    # Scores are 1e-6 or more apart, so values are 1e-9 or more apart: 10 decimals keep them rising. All 17
    # digits would cost predict.py some kilobytes.
    y = np.round(y, 10)
    return {"kind": "curve", "scores": x.tolist(), "values": y.tolist()}


def _temperature(scores: Floats, hits: NDArray[np.bool_]) -> float:
    """Find where the slope of the log loss is 0, by halving: the loss is convex in 1 / temperature."""
    x = logit(scores)
    low, high = 1 / _HOTTEST, 1 / _COLDEST
    for _ in range(60):
        middle = (low + high) / 2
        slope = float(((sigmoid(middle * x) - hits) * x).sum())
        low, high = (low, middle) if slope > 0 else (middle, high)
    return 2 / (low + high)
