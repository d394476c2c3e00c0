"""What every augmentation has in common: options that are checked, a probability, one call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from torchvision import tv_tensors

from kit.typed_json import Checked, Fraction

Pair = tuple[tv_tensors.Image, tv_tensors.Mask]
"""An image, uint8 (3, H, W), and its masks, uint8 (N, H, W)."""


@dataclass(frozen=True, kw_only=True)
class Operation(Checked, ABC):
    """One augmentation: its fields are its options, and a call does it.

    An option of the wrong type or outside its limits is a `KitError` when the operation is made. Each
    operation adds a field `name` that can have one value only, by which `kit.typed_json.from_plain` finds the
    class again: {"name": "flip", "p": 0.5} is `Flip(p=0.5)`.

    Attributes:
        p: probability that the operation is done; inside `OneOf` its weight in the draw.
    """

    p: Fraction = 1.0

    def __call__(self, image: tv_tensors.Image, masks: tv_tensors.Mask, random: np.random.Generator) -> Pair:
        """Do the operation, whatever `p` says.

        Args:
            image: to change.
            masks: to change in the same way.
            random: the only source of randomness.
        """
        return self._do(image, masks, random)

    @abstractmethod
    def _do(self, image: tv_tensors.Image, masks: tv_tensors.Mask, random: np.random.Generator) -> Pair:
        """Return the changed image and masks."""


@dataclass(frozen=True, kw_only=True)
class ColourOperation(Operation):
    """An augmentation that changes values and moves no pixel, so that masks stay as they are."""

    def _do(self, image: tv_tensors.Image, masks: tv_tensors.Mask, random: np.random.Generator) -> Pair:
        return self._recolour(image, random), masks

    @abstractmethod
    def _recolour(self, image: tv_tensors.Image, random: np.random.Generator) -> tv_tensors.Image:
        """Return the changed image."""
