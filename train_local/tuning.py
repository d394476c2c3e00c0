"""What a rung leaves open, chosen by the competition's metric on out-of-fold predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.competitions.base import Prediction, SemanticMask
from kit.inference.fusion import mean_bands
from kit.inference.settings import InstanceFusion, SemanticFusion
from kit.inference.store import open_map
from train_local.data.slides import MaskBands

BINS = 100
"""Thresholds that are tried lie between multiples of 1 / BINS."""
WEIGHTS = (0.5, 1.0, 2.0)
"""Weights a stage is tried with, relative to those before it."""

Files = Mapping[str, Mapping[int, Path]]
"""Image id -> index of the pass -> stored prediction."""


def dice_by_threshold(
    truth: SemanticMask, maps: Sequence[Path], weights: Sequence[float]
) -> NDArray[np.float64]:
    """Dice of one image for every threshold 1/BINS, 2/BINS, ... at once, from two histograms.

    Args:
        truth: of the image.
        maps: stored probability maps.
        weights: one a map.

    Returns:
        float64 (BINS - 1,); 1 where truth and prediction are both empty.
    """
    bands = MaskBands(truth)
    inside, outside = np.zeros(BINS + 1, np.int64), np.zeros(BINS + 1, np.int64)
    for y0, mean_HW in mean_bands([open_map(path) for path in maps], weights):
        # The same comparison the fusion makes, for all thresholds: the last one a pixel reaches.
        level_HW = np.searchsorted(_thresholds().astype(np.float32), mean_HW.ravel(), side="right")
        foreground = bands.band(y0, y0 + len(mean_HW)).ravel() > 0
        inside += np.bincount(level_HW[foreground], minlength=BINS + 1)
        outside += np.bincount(level_HW[~foreground], minlength=BINS + 1)
    hit = inside[::-1].cumsum()[::-1][1:BINS]
    predicted = hit + outside[::-1].cumsum()[::-1][1:BINS]
    total = predicted + inside.sum()
    return np.where(total > 0, 2 * hit / np.maximum(total, 1), 1.0)


def _thresholds() -> NDArray[np.float64]:
    return np.arange(1, BINS) / BINS


def best_threshold(
    truth: Mapping[str, Prediction], files: Files, weights: Sequence[float]
) -> tuple[float, float]:
    """The threshold nearest to 0.5 that the images cannot tell from the best one, and its mean Dice.

    With few images the highest point of the curve is mostly chance. A threshold stays in the race while its
    mean loss against the best one is within one standard error of that loss over the images, paired (the
    one-standard-error rule of Breiman et al., Classification and Regression Trees, 1984, on differences).
    One image alone can tell nothing.
    """
    curves = []
    for image_id, of_pass in files.items():
        mask = truth[image_id]
        assert isinstance(mask, SemanticMask)
        curves.append(dice_by_threshold(mask, list(of_pass.values()), [weights[index] for index in of_pass]))
    dice_NT = np.array(curves)
    mean_T = dice_NT.mean(axis=0)
    loss_NT = dice_NT[:, [mean_T.argmax()]] - dice_NT
    error_T = np.full(BINS - 1, np.inf)
    if len(curves) > 1:
        error_T = loss_NT.std(axis=0, ddof=1) / np.sqrt(len(curves))
    alike = np.flatnonzero(loss_NT.mean(axis=0) <= error_T + 1e-12)
    chosen = alike[np.abs(_thresholds()[alike] - 0.5).argmin()]
    return float(_thresholds()[chosen]), float(mean_T[chosen])


INSTANCE_CHOICES: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("morphology", ("none", "closing", "opening")),
    ("iou", (0.5, 0.6, 0.7)),
    ("vote_fraction", (0.2, 0.5)),
    ("skip_score", (0.0, 0.01, 0.05)),
)
"""Fields of `InstanceFusion`, chosen one after another, each on top of the best so far."""


def tune_semantic(
    truth: Mapping[str, Prediction], files: Files, candidates: Sequence[Sequence[float]]
) -> tuple[list[float], dict[str, Any]]:
    """Weights and threshold of a semantic rung.

    Args:
        truth: by image id.
        files: of the rung's passes.
        candidates: weights to try, one a pass each.
    """
    tried = [(best_threshold(truth, files, weights), list(weights)) for weights in candidates]
    (threshold, _), weights = max(tried, key=lambda item: item[0][1])
    return weights, SemanticFusion(threshold=threshold).as_dict()


def tune_instance(
    candidates: Sequence[Sequence[float]],
    settings: InstanceFusion,
    score: Callable[[Sequence[float], dict[str, Any]], float],
) -> tuple[list[float], dict[str, Any]]:
    """Weights and fusion settings of an instance rung, by coordinate search.

    Args:
        candidates: weights to try, one a pass each.
        settings: to begin with.
        score: the metric for weights and settings.
    """
    tried = [(score(weights, settings.as_dict()), list(weights)) for weights in candidates]
    best, weights = max(tried, key=lambda item: item[0])
    kept = settings
    for name, values in INSTANCE_CHOICES:
        for variant in [replace(kept, **{name: value}) for value in values if value != getattr(kept, name)]:
            value = score(weights, variant.as_dict())
            if value > best:
                best, kept = value, variant
    return weights, kept.as_dict()
