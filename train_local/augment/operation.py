"""What every augmentation has in common: options that are checked, a probability, one call.

torchvision takes seconds to load. The first call of an operation loads it, because whoever plans or prints
recipes only makes operations.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kit.typed_json import Checked, Fraction

if TYPE_CHECKING:
    from torchvision import tv_tensors

    Pair = tuple[tv_tensors.Image, tv_tensors.Mask]
    """An image, uint8 (3, H, W), and its masks, uint8 (N, H, W)."""


@dataclass(frozen=True)
class Example:
    """What an augmentation gets and returns.

    Attributes:
        image: RGB (H, W, 3).
        masks: (N, H, W): for each instance 0 or 1, or one semantic mask with the covered part of each pixel,
            0 to 255.
        instances: whether `masks` holds instances. An operation may drop instances then.
        organ: that the image shows, for operations that depend on it; None where it is not known.
    """

    image: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    instances: bool = False
    organ: str | None = None


@dataclass(frozen=True, kw_only=True)
class Operation(Checked, ABC):
    """One augmentation: its fields are its options, and a call does it.

    An option of the wrong type or outside its limits is a `KitError` when the operation is made. Each
    operation adds a field `name` that can have one value only, by which `kit.typed_json.from_plain` finds the
    class again: {"name": "flip", "p": 0.5} is `Flip(p=0.5)`.

    Attributes:
        p: probability that the operation is done.
    """

    p: Fraction = 1.0

    @abstractmethod
    def __call__(self, example: Example, random: np.random.Generator) -> Example:
        """Do the operation, whatever `p` says.

        Args:
            example: to change; its arrays are left as they are.
            random: the only source of randomness.
        """


@dataclass(frozen=True, kw_only=True)
class TensorOperation(Operation):
    """An augmentation made of torchvision's functions."""

    def __call__(self, example: Example, random: np.random.Generator) -> Example:
        """Do the operation on views of the example's arrays: nothing is copied on the way in or out."""
        import torch
        from torchvision import tv_tensors

        image = tv_tensors.Image(torch.from_numpy(example.image).permute(2, 0, 1))
        image, masks = self._do(image, tv_tensors.Mask(torch.from_numpy(example.masks)), random)
        return replace(
            example,
            image=np.ascontiguousarray(image.permute(1, 2, 0).numpy()),
            masks=np.ascontiguousarray(masks.numpy()),
        )

    @abstractmethod
    def _do(self, image: tv_tensors.Image, masks: tv_tensors.Mask, random: np.random.Generator) -> Pair:
        """Return the changed image and masks."""


@dataclass(frozen=True, kw_only=True)
class ColourOperation(TensorOperation):
    """An augmentation that changes values and moves no pixel, so that masks stay as they are."""

    def _do(self, image: tv_tensors.Image, masks: tv_tensors.Mask, random: np.random.Generator) -> Pair:
        return self._recolour(image, random), masks

    @abstractmethod
    def _recolour(self, image: tv_tensors.Image, random: np.random.Generator) -> tv_tensors.Image:
        """Return the changed image."""
