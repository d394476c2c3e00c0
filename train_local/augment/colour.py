"""Augmentations that change colours or wipe pixels out: the image alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F

from kit.typed_json import at_least
from train_local.augment.operation import ColourOperation

Factor = Annotated[float, at_least(0)]
Pixels = Annotated[int, at_least(1)]


@dataclass(frozen=True, kw_only=True)
class Brightness(ColourOperation):
    """Multiply by a factor between `low` and `high`."""

    name: Literal["brightness"] = "brightness"
    low: Factor
    high: Factor

    def _recolour(self, image: tv_tensors.Image, random: np.random.Generator) -> tv_tensors.Image:
        return F.adjust_brightness(image, random.uniform(self.low, self.high))


@dataclass(frozen=True, kw_only=True)
class Contrast(ColourOperation):
    """Blend with the mean grey by a factor between `low` and `high`; 1 changes nothing."""

    name: Literal["contrast"] = "contrast"
    low: Factor
    high: Factor

    def _recolour(self, image: tv_tensors.Image, random: np.random.Generator) -> tv_tensors.Image:
        return F.adjust_contrast(image, random.uniform(self.low, self.high))


@dataclass(frozen=True, kw_only=True)
class Saturation(ColourOperation):
    """Blend with the grey image by a factor between `low` and `high`; 1 changes nothing."""

    name: Literal["saturation"] = "saturation"
    low: Factor
    high: Factor

    def _recolour(self, image: tv_tensors.Image, random: np.random.Generator) -> tv_tensors.Image:
        return F.adjust_saturation(image, random.uniform(self.low, self.high))


@dataclass(frozen=True, kw_only=True)
class Hue(ColourOperation):
    """Turn the hue by up to `degrees` either way."""

    name: Literal["hue"] = "hue"
    degrees: Factor

    def _recolour(self, image: tv_tensors.Image, random: np.random.Generator) -> tv_tensors.Image:
        return F.adjust_hue(image, random.uniform(-self.degrees, self.degrees) / 360)


@dataclass(frozen=True, kw_only=True)
class Gamma(ColourOperation):
    """Raise the intensities in [0, 1] to a power between `low` and `high`."""

    name: Literal["gamma"] = "gamma"
    low: Factor
    high: Factor

    def _recolour(self, image: tv_tensors.Image, random: np.random.Generator) -> tv_tensors.Image:
        return F.adjust_gamma(image, random.uniform(self.low, self.high))


@dataclass(frozen=True, kw_only=True)
class Stain(ColourOperation):
    """Give each channel its own factor (up to `gain` from 1) and summand (up to `offset` of 255).

    With gain 0.2 and offset 0.08, for example, a channel is multiplied by 0.8 to 1.2, and then -20 to 20 is
    added to it.
    """

    name: Literal["stain"] = "stain"
    gain: Factor
    offset: Factor

    def _recolour(self, image: tv_tensors.Image, random: np.random.Generator) -> tv_tensors.Image:
        # Shape (3, 1, 1): one number for each channel, the same for all its pixels.
        factors = random.uniform(1 - self.gain, 1 + self.gain, (3, 1, 1)).astype(np.float32)
        summands = random.uniform(-self.offset, self.offset, (3, 1, 1)).astype(np.float32)
        return _bytes(image * torch.from_numpy(factors) + torch.from_numpy(summands) * 255, image)


@dataclass(frozen=True, kw_only=True)
class ChannelShuffle(ColourOperation):
    """Put the three channels in any order."""

    name: Literal["channel_shuffle"] = "channel_shuffle"

    def _recolour(self, image: tv_tensors.Image, random: np.random.Generator) -> tv_tensors.Image:
        return tv_tensors.wrap(image[random.permutation(3).tolist()], like=image)


@dataclass(frozen=True, kw_only=True)
class Equalise(ColourOperation):
    """Spread each channel's histogram evenly."""

    name: Literal["equalise"] = "equalise"

    def _recolour(self, image: tv_tensors.Image, random: np.random.Generator) -> tv_tensors.Image:  # noqa: ARG002 - same call as all
        return F.equalize(image)


@dataclass(frozen=True, kw_only=True)
class Clahe(ColourOperation):
    """Spread the lightness' histogram evenly within `grid` x `grid` tiles, contrast clipped at 1 to `limit`.

    torchvision has no such operation; this is OpenCV's on the L of CIE Lab.
    """

    name: Literal["clahe"] = "clahe"
    limit: Annotated[float, at_least(1)]
    grid: Pixels = 8

    def _recolour(self, image: tv_tensors.Image, random: np.random.Generator) -> tv_tensors.Image:
        import cv2

        # OpenCV wants the channels last and in one block of memory.
        image_HWC = np.ascontiguousarray(image.numpy().transpose(1, 2, 0))
        lab_HWC = cv2.cvtColor(image_HWC, cv2.COLOR_RGB2LAB)
        engine = cv2.createCLAHE(clipLimit=random.uniform(1, self.limit), tileGridSize=(self.grid, self.grid))
        lab_HWC[..., 0] = engine.apply(np.ascontiguousarray(lab_HWC[..., 0]))
        changed_HWC = cv2.cvtColor(lab_HWC, cv2.COLOR_LAB2RGB)
        changed = torch.from_numpy(np.ascontiguousarray(changed_HWC.transpose(2, 0, 1)))
        return tv_tensors.wrap(changed, like=image)


@dataclass(frozen=True, kw_only=True)
class Blur(ColourOperation):
    """Gaussian blur with an odd kernel between `low` and `high` pixels."""

    name: Literal["blur"] = "blur"
    low: Pixels
    high: Pixels

    def _recolour(self, image: tv_tensors.Image, random: np.random.Generator) -> tv_tensors.Image:
        # `low | 1` is the next odd number: low 4 and high 9 draw from 5, 7 and 9.
        size = int(random.choice(np.arange(self.low | 1, self.high + 1, 2)))
        return F.gaussian_blur(image, [size, size])


@dataclass(frozen=True, kw_only=True)
class Noise(ColourOperation):
    """Add Gaussian noise with a deviation of up to `sigma` of 255."""

    name: Literal["noise"] = "noise"
    sigma: Factor

    def _recolour(self, image: tv_tensors.Image, random: np.random.Generator) -> tv_tensors.Image:
        values = random.standard_normal(image.shape, np.float32)
        return _bytes(
            image + torch.from_numpy(values * np.float32(random.uniform(0, self.sigma) * 255)), image
        )


@dataclass(frozen=True, kw_only=True)
class Cutout(ColourOperation):
    """Black out rectangles; what is annotated there stays annotated.

    Attributes:
        holes: fewest and most of them.
        sides: shortest and longest side in pixels.
    """

    name: Literal["cutout"] = "cutout"
    holes: tuple[Pixels, Pixels]
    sides: tuple[Pixels, Pixels]

    def _recolour(self, image: tv_tensors.Image, random: np.random.Generator) -> tv_tensors.Image:
        # A rectangle's corner is drawn anywhere in the image, so it may reach over the right or lower edge;
        # the slice ends there.
        changed = image.clone()
        height, width = image.shape[-2:]
        for _ in range(int(random.integers(self.holes[0], self.holes[1] + 1))):
            rows, columns = (int(side) for side in random.integers(self.sides[0], self.sides[1] + 1, 2))
            top, left = int(random.integers(height)), int(random.integers(width))
            changed[:, top : top + rows, left : left + columns] = 0
        return tv_tensors.wrap(changed, like=image)


Colour = (
    Blur
    | Brightness
    | ChannelShuffle
    | Clahe
    | Contrast
    | Cutout
    | Equalise
    | Gamma
    | Hue
    | Noise
    | Saturation
    | Stain
)
"""Every operation of this module."""


def _bytes(values: torch.Tensor, like: tv_tensors.Image) -> tv_tensors.Image:
    return tv_tensors.wrap(values.round().clamp(0, 255).to(torch.uint8), like=like)
