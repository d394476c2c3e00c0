"""Augmentations done to one example, given and returned as numpy arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from train_local.augment.operation import Example, Operation
from train_local.augment.spec import apply


def semantic(
    operations: Sequence[Operation],
    image_HWC: NDArray[np.uint8],
    mask_HW: NDArray[np.uint8],
    random: np.random.Generator,
    *,
    organ: str | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Augment an image and its mask.

    Args:
        operations: in order; each is done with its own probability.
        image_HWC: RGB.
        mask_HW: covered part of each pixel, 0 to 255.
        random: the only source of randomness.
        organ: that the image shows, for `ByOrgan`.

    Returns:
        Both, changed. Crops, resizes and turns of oblong images change their size.
    """
    example = apply(operations, Example(image_HWC, mask_HW[None], organ=organ), random)
    return example.image, example.masks[0]


def instances(
    operations: Sequence[Operation],
    image_HWC: NDArray[np.uint8],
    masks_NHW: NDArray[np.bool_],
    random: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Augment an image and the masks of its instances.

    Arguments as in `semantic`, but one bool mask for each instance. Some may come out empty, and a crop
    leaves out those whose centre it loses.
    """
    # A byte of 0 or 1 is what numpy stores for a bool, so both ways are views of the same memory.
    masks_NHW = np.ascontiguousarray(masks_NHW)
    example = apply(operations, Example(image_HWC, masks_NHW.view(np.uint8), instances=True), random)
    return example.image, example.masks.view(np.bool_)
