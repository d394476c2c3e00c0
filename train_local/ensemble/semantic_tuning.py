"""Weights and thresholds of a semantic rung, chosen by Dice on out-of-fold predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.images.info import ImageInfo
from kit.inference.semantic_fusion import mean_bands
from kit.inference.semantic_settings import SemanticFusion
from kit.inference.store import open_map
from kit.predictions import Prediction, SemanticMask
from kit.typed_json import to_plain
from train_local.data.mask_bands import MaskBands

BINS = 100
"""Thresholds that are tried lie between multiples of 1 / BINS."""
LEAST_IMAGES = 8
"""Images an organ needs for a threshold of its own: the standard error of fewer means little."""

Curves = Mapping[str, NDArray[np.float64]]
"""Image id -> Dice by threshold, (BINS - 1,)."""
Files = Mapping[str, Mapping[int, Path]]
"""Image id -> position of the pass in the rung -> stored prediction."""


def dice_by_threshold(
    truth: SemanticMask, maps: Sequence[Path], weights: Sequence[float]
) -> NDArray[np.float64]:
    """Return the Dice of one image for every threshold 1/BINS, 2/BINS, ... at once, from two histograms.

    Each pixel is put into the bin of the last threshold that its mean probability reaches; foreground and
    background are counted apart. A sum from the end of the histogram then tells, for each threshold, how many
    pixels of either kind are predicted. With thresholds 1/4, 2/4, 3/4 and six pixels, three of them true:

        probability         0.1  0.3  0.6  0.6  0.8  0.9     bin  0   1   2   3
        true                 -    -    -    x    x    x      x    0   0   1   2
                                                             -    1   1   1   0
        threshold 2/4       reached by 3 true ones (1 + 2) and 1 other (1 + 0): 2 * 3 / (4 + 3) = 0.86

    Args:
        truth: of the image.
        maps: stored probability maps.
        weights: one for each map.

    Returns:
        float64 (BINS - 1,); 1 where truth and prediction are both empty.
    """
    bands = MaskBands(truth)
    inside, outside = np.zeros(BINS + 1, np.int64), np.zeros(BINS + 1, np.int64)
    for y0, mean_HW in mean_bands([open_map(path) for path in maps], weights):
        # Find the highest threshold that each pixel reaches, with the comparison that the fusion makes.
        level_HW = np.searchsorted(_thresholds().astype(np.float32), mean_HW.ravel(), side="right")
        foreground = bands.band(y0, y0 + len(mean_HW)).ravel() > 0
        inside += np.bincount(level_HW[foreground], minlength=BINS + 1)
        outside += np.bincount(level_HW[~foreground], minlength=BINS + 1)
    # Reversed, summed, reversed: [1, 2, 4] becomes [7, 6, 4], what is in a bin or in a later one. Bin 0 holds
    # the pixels below the first threshold and belongs to none.
    hit = inside[::-1].cumsum()[::-1][1:BINS]
    predicted = hit + outside[::-1].cumsum()[::-1][1:BINS]
    total = predicted + inside.sum()
    return np.where(total > 0, 2 * hit / np.maximum(total, 1), 1.0)


def _thresholds() -> NDArray[np.float64]:
    return np.arange(1, BINS) / BINS


def dice_curves(truth: Mapping[str, Prediction], files: Files, weights: Sequence[float]) -> Curves:
    """Return the Dice by threshold of every image.

    Args:
        truth: by image id.
        files: of the images wanted.
        weights: one for each pass.
    """
    curves = {}
    for image_id, of_pass in files.items():
        mask = truth[image_id]
        assert isinstance(mask, SemanticMask)
        curves[image_id] = dice_by_threshold(
            mask, list(of_pass.values()), [weights[index] for index in of_pass]
        )
    return curves


def best_threshold(dice_NT: NDArray[np.float64], preferred: float = 0.5) -> tuple[float, float]:
    """Return the threshold nearest to the preferred one that is as good as the best one, and its mean Dice.

    With few images the highest point of the mean curve is mostly chance. So every threshold is compared with
    the best one, image by image: it counts as equally good while its mean loss of Dice is at most one
    standard error of that loss (the one-standard-error rule of Breiman et al., Classification and Regression
    Trees, 1984, on paired differences). With four images, 0.5 preferred and the best mean at 0.3:

        threshold   loss of each image against 0.3     mean    standard error
        0.40        0.00   0.01  -0.01   0.02          0.005   0.006            as good as 0.3
        0.45        0.01   0.02   0.00   0.03          0.015   0.006            worse

    0.40 is chosen: of the equally good ones it is the nearest to 0.5. One image alone can tell nothing, and
    the preferred threshold stays.

    Args:
        dice_NT: Dice of N images for the thresholds 1/BINS, 2/BINS, ...
        preferred: the threshold to stay near to.
    """
    # `loss_NT` is 0 in the column of the best mean, and negative where an image prefers another threshold.
    mean_T = dice_NT.mean(axis=0)
    loss_NT = dice_NT[:, [mean_T.argmax()]] - dice_NT
    error_T = np.full(BINS - 1, np.inf)
    if len(dice_NT) > 1:
        error_T = loss_NT.std(axis=0, ddof=1) / np.sqrt(len(dice_NT))
    alike = np.flatnonzero(loss_NT.mean(axis=0) <= error_T + 1e-12)
    chosen = alike[np.abs(_thresholds()[alike] - preferred).argmin()]
    return float(_thresholds()[chosen]), float(mean_T[chosen])


def organ_thresholds(curves: Curves, infos: Mapping[str, ImageInfo], common: float) -> dict[str, float]:
    """Return the thresholds of those organs, and organs of one source, that do better with their own.

    The rule of `best_threshold` is used one step at a time: an organ stays near the common threshold, an
    organ of one source stays near its organ's. Those with fewer than `LEAST_IMAGES` images keep what they
    have.

    Args:
        curves: of the images.
        infos: of the same images.
        common: threshold of all images.

    Returns:
        By organ ("lung") and source/organ ("HPA/lung"), as `SemanticFusion.thresholds` takes them.
    """
    found: dict[str, float] = {}

    def look(name: str, images: list[str], preferred: float) -> float:
        if len(images) < LEAST_IMAGES or "" in name.split("/"):
            return preferred
        own, _ = best_threshold(np.array([curves[image_id] for image_id in images]), preferred)
        if own != preferred:
            found[name] = own
        return own

    for organ in sorted({infos[image_id].organ for image_id in curves}):
        images = [image_id for image_id in curves if infos[image_id].organ == organ]
        of_organ = look(organ, images, common)
        # With one source only, "HPA/lung" would say the same as "lung".
        sources = sorted({infos[image_id].source for image_id in images})
        for source in sources if len(sources) > 1 else []:
            of_source = [image_id for image_id in images if infos[image_id].source == source]
            look(f"{source}/{organ}", of_source, of_organ)
    return found


def tune(
    truth: Mapping[str, Prediction],
    files: Files,
    candidates: Sequence[Sequence[float]],
    infos: Mapping[str, ImageInfo],
) -> tuple[list[float], dict[str, Any]]:
    """Return the weights and settings of a semantic rung.

    Args:
        truth: by image id.
        files: of the rung's passes.
        candidates: weights to try, one for each pass.
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
