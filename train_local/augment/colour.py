"""Augmentations that change colours: the image alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from kit.typed_json import at_least
from train_local.augment.operation import ColourOperation

if TYPE_CHECKING:
    from torchvision import tv_tensors

Factor = Annotated[float, at_least(0)]


@dataclass(frozen=True, kw_only=True)
class Contrast(ColourOperation):
    """Blend with the mean grey by a factor between `low` and `high`; 1 changes nothing."""

    name: Literal["contrast"] = "contrast"
    low: Factor
    high: Factor

    def _recolour(self, image: tv_tensors.Image, random: np.random.Generator) -> tv_tensors.Image:
        from torchvision.transforms.v2 import functional as F

        return F.adjust_contrast(image, random.uniform(self.low, self.high))


@dataclass(frozen=True, kw_only=True)
class Saturation(ColourOperation):
    """Blend with the grey image by a factor between `low` and `high`; 1 changes nothing."""

    name: Literal["saturation"] = "saturation"
    low: Factor
    high: Factor

    def _recolour(self, image: tv_tensors.Image, random: np.random.Generator) -> tv_tensors.Image:
        from torchvision.transforms.v2 import functional as F

        return F.adjust_saturation(image, random.uniform(self.low, self.high))


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
        import torch
        from torchvision import tv_tensors

        # Shape (3, 1, 1): one number for each channel, the same for all its pixels.
        factors = random.uniform(1 - self.gain, 1 + self.gain, (3, 1, 1)).astype(np.float32)
        summands = random.uniform(-self.offset, self.offset, (3, 1, 1)).astype(np.float32)
        values = image * torch.from_numpy(factors) + torch.from_numpy(summands) * 255
        return tv_tensors.wrap(values.round().clamp(0, 255).to(torch.uint8), like=image)


Colour = Contrast | Saturation | Stain
"""Every operation of this module."""
