"""Augmentations done to one example, given and returned as numpy arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision import tv_tensors

from train_local.augment.groups import apply
from train_local.augment.operation import Operation


def semantic(
    operations: Sequence[Operation],
    image_HWC: NDArray[np.uint8],
    mask_HW: NDArray[np.uint8],
    random: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Augment an image and its mask.

    Args:
        operations: in order; each is done with its own probability.
        image_HWC: RGB.
        mask_HW: covered part of each pixel, 0 to 255.
        random: the only source of randomness.

    Returns:
        Both, changed. Their size changes with `Rot90` of oblong images and with `IouCrop`.
    """
    image, mask = apply(operations, _image(image_HWC), _masks(mask_HW[None]), random)
    return _array(image), mask.numpy()[0]


def instances(
    operations: Sequence[Operation],
    image_HWC: NDArray[np.uint8],
    masks_NHW: NDArray[np.bool_],
    random: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Augment an image and the masks of its instances, of which some may come out empty.

    Arguments as in `semantic`, but one bool mask for each instance.
    """
    image, masks = apply(operations, _image(image_HWC), _masks(masks_NHW.astype(np.uint8)), random)
    return _array(image), masks.numpy().astype(bool)


def _image(image_HWC: NDArray[np.uint8]) -> tv_tensors.Image:
    return tv_tensors.Image(torch.from_numpy(np.ascontiguousarray(image_HWC.transpose(2, 0, 1))))


def _masks(masks_NHW: NDArray[np.uint8]) -> tv_tensors.Mask:
    return tv_tensors.Mask(torch.from_numpy(np.ascontiguousarray(masks_NHW)))


def _array(image: tv_tensors.Image) -> NDArray[np.uint8]:
    return np.ascontiguousarray(image.numpy().transpose(1, 2, 0))
