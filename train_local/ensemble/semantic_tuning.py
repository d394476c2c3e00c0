"""Thresholds of a semantic rung, all together and by organ, from the Dice of held-out images."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from kit.images.info import ImageInfo

BINS = 100
"""Thresholds that are tried lie between multiples of 1 / BINS."""
LEAST_IMAGES = 8
"""Images an organ needs for a threshold of its own: the standard error of fewer means little."""

Curves = Mapping[str, NDArray[np.float64]]
"""Image id -> Dice by threshold, (BINS - 1,)."""


def thresholds() -> NDArray[np.float64]:
    """Return the thresholds that are tried: 1/BINS, 2/BINS, ..."""
    return np.arange(1, BINS) / BINS


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
    chosen = alike[np.abs(thresholds()[alike] - preferred).argmin()]
    return float(thresholds()[chosen]), float(mean_T[chosen])


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
