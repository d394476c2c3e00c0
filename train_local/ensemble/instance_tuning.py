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


def tune_plain(settings: dict[str, Any], score: Scored) -> dict[str, Any]:
    """Return the fusion settings of a rung of several classes, the same for all of them, without calibration.

    Args:
        settings: of the rung before; {} begins at the published ones.
        score: the metric for settings.
    """
    return tune(replace(from_plain(InstanceFusion, settings), calibration={}), score)


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
