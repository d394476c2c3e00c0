"""Fusion settings of a rung of values, chosen by the metric on out-of-fold predictions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kit.inference.values_settings import ValuesFusion
from kit.typed_json import to_plain
from train_local.ensemble.scores import Settings


def tune(settings: Settings, scored: Callable[[Sequence[Settings]], list[float]]) -> Settings:
    """Return the mean or the median of numbers, whichever scores better; of equal ones the mean."""
    del settings
    choices: list[Settings] = [
        to_plain(ValuesFusion(numbers="mean")),
        to_plain(ValuesFusion(numbers="median")),
    ]
    values = scored(choices)
    return choices[int(values[1] > values[0])]
