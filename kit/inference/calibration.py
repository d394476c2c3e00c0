"""Calibrate the scores of a detector, so that they can be compared with those of other detectors.

A calibration is a plain dict, so that `ensemble.json` can hold it:

    {"kind": "temperature", "temperature": 2.0}                         sigmoid(logit(score) / temperature)
    {"kind": "curve", "scores": [0.0, ..., 1.0], "values": [...]}       linear between the points

A temperature of 2 moves scores towards 0.5: 0.9 becomes 0.75, as logit(0.9) = ln(9), half of which is ln(3).
The curve {"scores": [0, 0.5, 1], "values": [0, 0.2, 1]} makes 0.25 to 0.1 and 0.75 to 0.6.

Both rise, so a member's own detections keep their order; only their ranks among the other members' detections
change. Calibrations are fitted on out-of-fold detections, because there the truth is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.errors import KitError

Floats = NDArray[np.float64]
Calibration = Mapping[str, Any]

_EDGE = 1e-7
"""Scores are moved so far away from 0 and 1, where a logit is infinite."""


def apply(calibration: Calibration, scores: Floats) -> Floats:
    """Return the calibrated scores in [0, 1], (n,).

    >>> curve = {"kind": "curve", "scores": [0, 0.5, 1], "values": [0, 0.2, 1]}
    >>> apply(curve, np.array([0.25, 0.5])).tolist()
    [0.1, 0.2]

    Args:
        calibration: as `kit.local.calibration_fit.fit` returns it.
        scores: (n,) in [0, 1].

    Raises:
        KitError: the calibration is none.
    """
    check(calibration)
    if calibration["kind"] == "curve":
        curve: Floats = np.interp(scores, calibration["scores"], calibration["values"])
        return curve
    return sigmoid(logit(scores) / calibration["temperature"])


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


def logit(scores: Floats) -> Floats:
    """Return log(p / (1 - p)) of scores (n,), which are moved a little away from 0 and 1 before."""
    kept = np.clip(scores, _EDGE, 1 - _EDGE)
    value: Floats = np.log(kept) - np.log1p(-kept)
    return value


def sigmoid(x: Floats) -> Floats:
    """Return 1 / (1 + exp(-x)) of numbers (n,)."""
    value: Floats = 0.5 * (1 + np.tanh(0.5 * x))
    return value
