"""Fusion settings of an instance rung, chosen by average precision on out-of-fold predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kit.inference.instance_settings import InstanceFusion
from kit.typed_json import from_plain, to_plain

CHOICES: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("masks", ("votes", "soft")),
    ("morphology", ("none", "closing", "opening")),
    ("iou", (0.5, 0.6, 0.7)),
    ("confidence", ("avg", "box_and_model_avg")),
    ("vote_fraction", (0.2, 0.5)),
    ("skip_score", (0.0, 0.01, 0.05)),
)
"""Fields of `InstanceFusion`, chosen one after another, each on top of the best so far."""
_COARSE = tuple(round(0.1 * step, 1) for step in range(1, 10))
"""Least scores that are tried where detections are counted."""

Scored = Callable[[Sequence[dict[str, Any]]], list[float]]
"""The metric for each of several settings."""


def tune(settings: InstanceFusion, score: Scored) -> dict[str, Any]:
    """Return the fusion settings of an instance rung, found by coordinate search.

    Each field of `CHOICES` is tried with all its values, one field after another, and each keeps the value
    that scores best on top of the fields before it.

    Args:
        settings: to begin with.
        score: the metric for settings.
    """
    [best], kept = score([to_plain(settings)]), settings
    # `>`: of equal values the earlier one stays, so that a setting changes only for a gain.
    for name, values in CHOICES:
        variants = [replace(kept, **{name: value}) for value in values if value != getattr(kept, name)]
        for variant, value in zip(variants, score([to_plain(one) for one in variants]), strict=True):
            if value > best:
                best, kept = value, variant
    plain: dict[str, Any] = to_plain(kept)
    return plain


def tuner(classes: Sequence[str], *, cut: bool) -> Callable[[dict[str, Any], Scored], dict[str, Any]]:
    """Return the function that tunes a rung whose images are fused and scored as they are, uncalibrated.

    The fusion is the same for all classes. A detection more costs a metric of counts as much as one that is
    missing, so there each class gets the least score that counts: of all together first, because nothing
    else can be compared among hundreds of faint detections, and again class by class at the end. AP loses
    nothing by faint detections at the end of its curve.

    Args:
        classes: names of them; () for one.
        cut: the metric counts detections, and is no AP.
    """

    def tuned(settings: dict[str, Any], score: Scored) -> dict[str, Any]:
        names = {"min_scores": settings.get("min_scores", {})} if classes else {}
        begin = from_plain(InstanceFusion, {k: v for k, v in settings.items() if k != "min_scores"})
        plain = {**to_plain(replace(begin, calibration={})), **names}
        if cut:
            plain = _cut(plain, (), score)
        fusion = from_plain(InstanceFusion, {k: v for k, v in plain.items() if k != "min_scores"})
        plain = {**tune(fusion, lambda tried: score([{**one, **names} for one in tried])), **names}
        return _cut(plain, classes, score) if cut else plain

    return tuned


def _cut(settings: dict[str, Any], classes: Sequence[str], score: Scored) -> dict[str, Any]:
    """Return settings with the best least score of all detections, then of each class."""
    [best], kept = score([settings]), settings

    def better(variants: Sequence[dict[str, Any]]) -> None:
        nonlocal best, kept
        for variant, value in zip(variants, score(variants), strict=True):
            if value > best:
                best, kept = value, variant

    better([{**kept, "min_score": least} for least in _COARSE])
    better([{**kept, "min_score": least} for least in _near(kept["min_score"])])
    for name in classes:
        scores = kept["min_scores"]
        better([{**kept, "min_scores": {**scores, name: least}} for least in _COARSE])
        scores = kept["min_scores"]
        now = scores.get(name, kept["min_score"])
        better([{**kept, "min_scores": {**scores, name: least}} for least in _near(now)])
    return kept


def _near(least: float) -> list[float]:
    return [round(least + step, 4) for step in (-0.05, 0.05) if 0 <= least + step <= 1]


def tune_calibration(
    choices: Mapping[str, Mapping[str, Mapping[str, Any]]],
    settings: dict[str, Any],
    score: Scored,
) -> dict[str, Any]:
    """Return the settings with the calibration that raises the metric most, or unchanged if none raises it.

    Args:
        choices: method -> member -> calibration.
        settings: of the fusion, tuned without.
        score: the metric for settings.
    """
    variants = [
        {**settings, "calibration": {member: dict(how) for member, how in calibration.items()}}
        for calibration in choices.values()
    ]
    [best, *values], kept = score([settings, *variants]), settings
    for variant, value in zip(variants, values, strict=True):
        if value > best:
            best, kept = value, variant
    return kept
