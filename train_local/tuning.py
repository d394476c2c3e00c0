"""What a rung leaves open, chosen by the competition's metric on out-of-fold predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.images.info import ImageInfo
from kit.inference.fusion import mean_bands
from kit.inference.settings import InstanceFusion, SemanticFusion
from kit.inference.store import open_map
from kit.predictions import Prediction, SemanticMask
from kit.typed_json import to_plain
from train_local.data.slides import MaskBands

BINS = 100
"""Thresholds that are tried lie between multiples of 1 / BINS."""
WEIGHTS = (0.5, 1.0, 2.0)
"""Weights a stage is tried with, relative to those before it."""

LEAST_IMAGES = 8
"""Of an organ, for a threshold of its own: the standard error of fewer means little."""

Curves = Mapping[str, NDArray[np.float64]]
"""Image id -> Dice by threshold, (BINS - 1,)."""
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


def dice_curves(truth: Mapping[str, Prediction], files: Files, weights: Sequence[float]) -> Curves:
    """Dice by threshold of every image.

    Args:
        truth: by image id.
        files: of the images wanted.
        weights: one a pass.
    """
    curves = {}
    for image_id, of_pass in files.items():
        mask = truth[image_id]
        assert isinstance(mask, SemanticMask)
        curves[image_id] = dice_by_threshold(
            mask, list(of_pass.values()), [weights[index] for index in of_pass]
        )
    return curves


def best_threshold(dice_NT: NDArray[np.float64], usual: float = 0.5) -> tuple[float, float]:
    """The threshold nearest to a usual one that the images cannot tell from the best, and its mean Dice.

    With few images the highest point of the curve is mostly chance. A threshold stays in the race while its
    mean loss against the best one is within one standard error of that loss over the images, paired (the
    one-standard-error rule of Breiman et al., Classification and Regression Trees, 1984, on differences).
    One image alone can tell nothing.

    Args:
        dice_NT: Dice of N images for the thresholds 1/BINS, 2/BINS, ...
        usual: the threshold to stay near to.
    """
    mean_T = dice_NT.mean(axis=0)
    loss_NT = dice_NT[:, [mean_T.argmax()]] - dice_NT
    error_T = np.full(BINS - 1, np.inf)
    if len(dice_NT) > 1:
        error_T = loss_NT.std(axis=0, ddof=1) / np.sqrt(len(dice_NT))
    alike = np.flatnonzero(loss_NT.mean(axis=0) <= error_T + 1e-12)
    chosen = alike[np.abs(_thresholds()[alike] - usual).argmin()]
    return float(_thresholds()[chosen]), float(mean_T[chosen])


def organ_thresholds(curves: Curves, infos: Mapping[str, ImageInfo], common: float) -> dict[str, float]:
    """Thresholds of the organs, and of the organs of single sources, that want another one than the common.

    The same rule, one step at a time: an organ stays near the common threshold, an organ of one source near
    its organ's. Those with fewer than `LEAST_IMAGES` images keep what they have.

    Args:
        curves: of the images.
        infos: of the same images.
        common: threshold of all images.

    Returns:
        By organ ("lung") and source/organ ("HPA/lung"), as `SemanticFusion.thresholds` takes them.
    """
    found: dict[str, float] = {}

    def look(name: str, images: list[str], usual: float) -> float:
        if len(images) < LEAST_IMAGES or "" in name.split("/"):
            return usual
        own, _ = best_threshold(np.array([curves[image_id] for image_id in images]), usual)
        if own != usual:
            found[name] = own
        return own

    for organ in sorted({infos[image_id].organ for image_id in curves}):
        images = [image_id for image_id in curves if infos[image_id].organ == organ]
        of_organ = look(organ, images, common)
        sources = sorted({infos[image_id].source for image_id in images})
        for source in sources if len(sources) > 1 else []:
            of_source = [image_id for image_id in images if infos[image_id].source == source]
            look(f"{source}/{organ}", of_source, of_organ)
    return found


INSTANCE_CHOICES: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("masks", ("votes", "soft")),
    ("morphology", ("none", "closing", "opening")),
    ("iou", (0.5, 0.6, 0.7)),
    ("confidence", ("avg", "box_and_model_avg")),
    ("vote_fraction", (0.2, 0.5)),
    ("skip_score", (0.0, 0.01, 0.05)),
)
"""Fields of `InstanceFusion`, chosen one after another, each on top of the best so far."""


def tune_semantic(
    truth: Mapping[str, Prediction],
    files: Files,
    candidates: Sequence[Sequence[float]],
    infos: Mapping[str, ImageInfo],
) -> tuple[list[float], dict[str, Any]]:
    """Weights and thresholds of a semantic rung.

    Args:
        truth: by image id.
        files: of the rung's passes.
        candidates: weights to try, one a pass each.
        infos: by image id.
    """
    tried = []
    for weights in candidates:
        curves = dice_curves(truth, files, weights)
        threshold, value = best_threshold(np.array(list(curves.values())))
        tried.append((value, threshold, list(weights), curves))
    _, threshold, weights, curves = max(tried, key=lambda item: item[0])
    by_organ = organ_thresholds(curves, infos, threshold)
    return weights, to_plain(SemanticFusion(threshold=threshold, thresholds=by_organ))


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
    tried = [(score(weights, to_plain(settings)), list(weights)) for weights in candidates]
    best, weights = max(tried, key=lambda item: item[0])
    kept = settings
    for name, values in INSTANCE_CHOICES:
        for variant in [replace(kept, **{name: value}) for value in values if value != getattr(kept, name)]:
            value = score(weights, to_plain(variant))
            if value > best:
                best, kept = value, variant
    return weights, to_plain(kept)


def tune_calibration(
    choices: Mapping[str, Mapping[str, Mapping[str, Any]]],
    settings: dict[str, Any],
    score: Callable[[dict[str, Any]], float],
) -> dict[str, Any]:
    """The settings, with the calibration that raises the metric most if one does.

    Args:
        choices: method -> member -> calibration.
        settings: of the fusion, tuned without.
        score: the metric for settings.
    """
    best, kept = score(settings), settings
    for calibration in choices.values():
        variant = {**settings, "calibration": {member: dict(how) for member, how in calibration.items()}}
        value = score(variant)
        if value > best:
            best, kept = value, variant
    return kept
