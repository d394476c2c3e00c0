"""Dice over the pixels of all images together, class by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kit.masks import rle

Masks = Sequence[rle.Runs]
"""The masks of an image, one for each class."""


def global_dice(truths: Mapping[str, Masks], predictions: Mapping[str, Masks]) -> float:
    """Return the mean over classes of 2 |X and Y| / (|X| + |Y|), with the pixels of all images in X and Y.

    A class that is in neither counts 1. A large mask weighs more than a small one, and an image without any
    counts for nothing; in the mean of the images' own Dice each image counts the same.

    Args:
        truths: image -> true masks, as many for each image.
        predictions: image -> predicted masks; a missing image counts as empty.

    Raises:
        ValueError: there are no images.
    """
    # Two images, one class. Truth of 10 and 90 pixels, predicted 0 and 90 of these: 2 * 90 / (100 + 90) =
    # 0.947, while the mean of the images' Dice is (0 + 1) / 2.
    if not truths:
        raise ValueError("Dice of no images")
    classes = len(next(iter(truths.values())))
    nothing = [rle.empty()] * classes
    scores = []
    for number in range(classes):
        shared = total = 0
        for image, masks in truths.items():
            found = predictions.get(image, nothing)[number]
            shared += rle.intersection(masks[number], found)
            total += rle.area(masks[number]) + rle.area(found)
        scores.append(2.0 * shared / total if total else 1.0)
    return sum(scores) / classes
