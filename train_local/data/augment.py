"""Augmentation of images together with their masks, as recipes spell it out in `Step`s.

The operations are torchvision's (`transforms.v2.functional` on tv_tensors); every random number comes from
the example's own generator, so that an example is a pure function of its seed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision import tv_tensors

from kit.errors import KitError
from train_local.data.augment_colour import COLOURS
from train_local.data.augment_geometry import GEOMETRY
from train_local.recipes.base import Step

_GROUPS = ("all_of", "one_of")


def names() -> list[str]:
    """Everything a `Step` may be called."""
    return sorted([*_GROUPS, *COLOURS, *GEOMETRY])


def semantic(
    steps: Sequence[Step],
    image_HWC: NDArray[np.uint8],
    mask_HW: NDArray[np.uint8],
    random: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Augment an image and its mask.

    Args:
        steps: in order; each is done with its own probability.
        image_HWC: RGB.
        mask_HW: covered part of each pixel, 0 to 255.
        random: the only source of randomness.

    Returns:
        Both, changed; their size changes with "rot90" of oblong images and with "iou_crop".

    Raises:
        KitError: no augmentation has that name.
    """
    image, mask = _all(steps, _image(image_HWC), _mask(mask_HW[None]), random)
    return _array(image), mask.numpy()[0]


def instances(
    steps: Sequence[Step],
    image_HWC: NDArray[np.uint8],
    masks_NHW: NDArray[np.bool_],
    random: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Augment an image and the masks of its instances, of which some may come out empty.

    Arguments and errors as in `semantic`.
    """
    image, mask = _all(steps, _image(image_HWC), _mask(masks_NHW.astype(np.uint8)), random)
    return _array(image), mask.numpy().astype(bool)


def _image(image_HWC: NDArray[np.uint8]) -> tv_tensors.Image:
    return tv_tensors.Image(torch.from_numpy(np.ascontiguousarray(image_HWC.transpose(2, 0, 1))))


def _mask(masks_NHW: NDArray[np.uint8]) -> tv_tensors.Mask:
    return tv_tensors.Mask(torch.from_numpy(np.ascontiguousarray(masks_NHW)))


def _array(image: tv_tensors.Image) -> NDArray[np.uint8]:
    return np.ascontiguousarray(image.numpy().transpose(1, 2, 0))


def _all(
    steps: Sequence[Step], image: tv_tensors.Image, mask: tv_tensors.Mask, random: np.random.Generator
) -> tuple[tv_tensors.Image, tv_tensors.Mask]:
    for step in steps:
        if step.p >= 1 or random.random() < step.p:
            image, mask = _do(step, image, mask, random)
    return image, mask


def _do(
    step: Step, image: tv_tensors.Image, mask: tv_tensors.Mask, random: np.random.Generator
) -> tuple[tv_tensors.Image, tv_tensors.Mask]:
    if step.name == "one_of":
        weights = np.array([choice.p for choice in step.choices], np.float64)
        return _do(
            step.choices[int(random.choice(len(weights), p=weights / weights.sum()))], image, mask, random
        )
    if step.name == "all_of":
        return _all(step.choices, image, mask, random)
    if step.name in COLOURS:
        return COLOURS[step.name](image, random, **step.options), mask
    if step.name in GEOMETRY:
        return GEOMETRY[step.name](image, mask, random, **step.options)
    raise KitError(f"no augmentation is called {step.name!r}", fix=f"choose one of {', '.join(names())}")
