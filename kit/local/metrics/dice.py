"""The Dice coefficient of the kidney competition, on run lengths."""

from __future__ import annotations

from collections.abc import Mapping

from kit.masks import rle


def dice(truth: rle.Runs, prediction: rle.Runs) -> float:
    """Return 2 |X and Y| / (|X| + |Y|), and 1.0 if both are empty (the competition's overview page).

    Args:
        truth: runs of the true mask.
        prediction: runs of the predicted mask, of the same image size.

    Returns:
        In [0, 1].
    """
    # A true mask of 10 pixels and a predicted one of 6 that share 4: 2 * 4 / (10 + 6) = 0.5.
    total = rle.area(truth) + rle.area(prediction)
    return 1.0 if total == 0 else 2.0 * rle.intersection(truth, prediction) / total


def dice_per_image(truths: Mapping[str, rle.Runs], predictions: Mapping[str, rle.Runs]) -> dict[str, float]:
    """Return `dice` of every image of `truths`; a missing prediction counts as an empty mask."""
    return {image: dice(truth, predictions.get(image, rle.empty())) for image, truth in truths.items()}


def mean_dice(truths: Mapping[str, rle.Runs], predictions: Mapping[str, rle.Runs]) -> float:
    """Return the competition's score, the mean of `dice_per_image`.

    Raises:
        ValueError: there are no images.
    """
    if not truths:
        raise ValueError("mean Dice of no images")
    scores = dice_per_image(truths, predictions)
    return sum(scores.values()) / len(scores)
