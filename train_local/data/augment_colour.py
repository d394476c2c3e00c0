"""Augmentations that change colours or wipe pixels out: the image alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F


def brightness(
    image: tv_tensors.Image, random: np.random.Generator, *, low: float, high: float
) -> tv_tensors.Image:
    """Multiply by a factor between `low` and `high`."""
    return F.adjust_brightness(image, random.uniform(low, high))


def contrast(
    image: tv_tensors.Image, random: np.random.Generator, *, low: float, high: float
) -> tv_tensors.Image:
    """Blend with the mean grey by a factor between `low` and `high`; 1 changes nothing."""
    return F.adjust_contrast(image, random.uniform(low, high))


def saturation(
    image: tv_tensors.Image, random: np.random.Generator, *, low: float, high: float
) -> tv_tensors.Image:
    """Blend with the grey image by a factor between `low` and `high`; 1 changes nothing."""
    return F.adjust_saturation(image, random.uniform(low, high))


def hue(image: tv_tensors.Image, random: np.random.Generator, *, degrees: float) -> tv_tensors.Image:
    """Turn the hue by up to `degrees` either way."""
    return F.adjust_hue(image, random.uniform(-degrees, degrees) / 360)


def gamma(
    image: tv_tensors.Image, random: np.random.Generator, *, low: float, high: float
) -> tv_tensors.Image:
    """Raise the intensities in [0, 1] to a power between `low` and `high`."""
    return F.adjust_gamma(image, random.uniform(low, high))


def stain(
    image: tv_tensors.Image, random: np.random.Generator, *, gain: float, offset: float
) -> tv_tensors.Image:
    """Change each channel by its own factor (up to `gain` from 1) and summand (up to `offset` of 255)."""
    factors = torch.from_numpy(random.uniform(1 - gain, 1 + gain, (3, 1, 1)).astype(np.float32))
    summands = torch.from_numpy(random.uniform(-offset, offset, (3, 1, 1)).astype(np.float32))
    return _bytes(image * factors + summands * 255, image)


def channel_shuffle(image: tv_tensors.Image, random: np.random.Generator) -> tv_tensors.Image:
    """Put the three channels in any order."""
    return tv_tensors.wrap(image[random.permutation(3).tolist()], like=image)


def equalise(image: tv_tensors.Image, random: np.random.Generator) -> tv_tensors.Image:  # noqa: ARG001 - same call as all
    """Spread each channel's histogram evenly."""
    return F.equalize(image)


def clahe(
    image: tv_tensors.Image, random: np.random.Generator, *, limit: float, grid: int = 8
) -> tv_tensors.Image:
    """Spread the lightness' histogram evenly within tiles, contrast clipped at 1 to `limit`.

    torchvision has no such operation; this is OpenCV's on the L of CIE Lab.
    """
    import cv2

    image_HWC = np.ascontiguousarray(image.numpy().transpose(1, 2, 0))
    lab_HWC = cv2.cvtColor(image_HWC, cv2.COLOR_RGB2LAB)
    engine = cv2.createCLAHE(clipLimit=random.uniform(1, limit), tileGridSize=(grid, grid))
    lab_HWC[..., 0] = engine.apply(np.ascontiguousarray(lab_HWC[..., 0]))
    changed_HWC = cv2.cvtColor(lab_HWC, cv2.COLOR_LAB2RGB)
    return tv_tensors.wrap(torch.from_numpy(np.ascontiguousarray(changed_HWC.transpose(2, 0, 1))), like=image)


def blur(image: tv_tensors.Image, random: np.random.Generator, *, low: int, high: int) -> tv_tensors.Image:
    """Gaussian blur with an odd kernel between `low` and `high` pixels."""
    size = int(random.choice(np.arange(low | 1, high + 1, 2)))
    return F.gaussian_blur(image, [size, size])


def noise(image: tv_tensors.Image, random: np.random.Generator, *, sigma: float) -> tv_tensors.Image:
    """Add Gaussian noise with a deviation of up to `sigma` of 255."""
    values = random.standard_normal(image.shape, np.float32) * np.float32(random.uniform(0, sigma) * 255)
    return _bytes(image + torch.from_numpy(values), image)


def cutout(
    image: tv_tensors.Image, random: np.random.Generator, *, holes: tuple[int, int], sides: tuple[int, int]
) -> tv_tensors.Image:
    """Black out rectangles; what is annotated there stays annotated.

    Args:
        image: to change.
        random: the only source of randomness.
        holes: fewest and most of them.
        sides: shortest and longest side in pixels.
    """
    changed = image.clone()
    height, width = image.shape[-2:]
    for _ in range(int(random.integers(holes[0], holes[1] + 1))):
        rows, columns = (int(side) for side in random.integers(sides[0], sides[1] + 1, 2))
        top, left = int(random.integers(height)), int(random.integers(width))
        changed[:, top : top + rows, left : left + columns] = 0
    return tv_tensors.wrap(changed, like=image)


def _bytes(values: torch.Tensor, like: tv_tensors.Image) -> tv_tensors.Image:
    return tv_tensors.wrap(values.round().clamp(0, 255).to(torch.uint8), like=like)


COLOURS: dict[str, Callable[..., tv_tensors.Image]] = {
    "blur": blur,
    "brightness": brightness,
    "channel_shuffle": channel_shuffle,
    "clahe": clahe,
    "contrast": contrast,
    "cutout": cutout,
    "equalise": equalise,
    "gamma": gamma,
    "hue": hue,
    "noise": noise,
    "saturation": saturation,
    "stain": stain,
}
