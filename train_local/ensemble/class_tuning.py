"""Thresholds of each class of a rung, chosen by the metric on out-of-fold predictions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kit.inference.class_fusion import ClassFusion
from kit.inference.semantic_settings import SemanticFusion
from kit.typed_json import from_plain, to_plain
from train_local.ensemble.scores import Settings

_COARSE = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
_FINE = (-0.05, 0.05)


def tuner(
    classes: Sequence[str],
) -> Callable[[Settings, Callable[[Sequence[Settings]], list[float]]], Settings]:
    """Return the function that tunes the fusion of some classes.

    First it is asked whether classes exclude each other, then each class gets its threshold, one after the
    other on top of the best so far: from `_COARSE`, then a finer step. A setting changes only for a gain.

    Args:
        classes: names of them.
    """

    def tune(settings: Settings, scored: Callable[[Sequence[Settings]], list[float]]) -> Settings:
        kept: Settings = to_plain(from_plain(ClassFusion, settings))
        [best] = scored([kept])

        def try_all(variants: Sequence[Settings]) -> None:
            nonlocal best, kept
            for variant, value in zip(variants, scored(variants), strict=True):
                if value > best:
                    best, kept = value, variant

        try_all([{**kept, "exclusive": not kept["exclusive"]}])
        for name in classes:
            try_all([_with(kept, name, threshold) for threshold in _COARSE])
            now = kept["thresholds"].get(name, kept["threshold"])
            try_all([_with(kept, name, round(now + step, 4)) for step in _FINE])
        return kept

    return tune


def tune_mask(settings: Settings, scored: Callable[[Sequence[Settings]], list[float]]) -> Settings:
    """Return the settings of one mask with the threshold that scores best, coarse first, then a finer step.

    Args:
        settings: of the rung before; {} begins at 0.5.
        scored: the metric for settings.
    """
    kept: Settings = to_plain(from_plain(SemanticFusion, settings))
    [best] = scored([kept])
    for tried in (_COARSE, _FINE):
        middle = 0.0 if tried is _COARSE else kept["threshold"]
        variants = [{**kept, "threshold": round(middle + step, 4)} for step in tried]
        for variant, value in zip(variants, scored(variants), strict=True):
            if value > best:
                best, kept = value, variant
    return kept


def _with(settings: Settings, name: str, threshold: float) -> Settings:
    return {**settings, "thresholds": {**settings["thresholds"], name: threshold}}
