"""Augmentations made of augmentations, and the type of them all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from torchvision import tv_tensors

from train_local.augment.colour import Colour
from train_local.augment.geometry import Geometry
from train_local.augment.operation import Operation, Pair


@dataclass(frozen=True, kw_only=True)
class OneOf(Operation):
    """Do one of `choices`: each is drawn in proportion to its `p`, and then done for certain.

    Choices with p 0.9 and 0.3, for example, are drawn in 75 % and 25 % of the cases.
    """

    name: Literal["one_of"] = "one_of"
    choices: tuple[AnyOperation, ...]

    def _do(self, image: tv_tensors.Image, masks: tv_tensors.Mask, random: np.random.Generator) -> Pair:
        # numpy wants probabilities that sum to 1.
        weights = np.array([choice.p for choice in self.choices], np.float64)
        drawn = int(random.choice(len(weights), p=weights / weights.sum()))
        return self.choices[drawn](image, masks, random)


@dataclass(frozen=True, kw_only=True)
class AllOf(Operation):
    """Do all `steps` in order, each with its own probability."""

    name: Literal["all_of"] = "all_of"
    steps: tuple[AnyOperation, ...]

    def _do(self, image: tv_tensors.Image, masks: tv_tensors.Mask, random: np.random.Generator) -> Pair:
        return apply(self.steps, image, masks, random)


AnyOperation = Colour | Geometry | OneOf | AllOf
"""Every augmentation there is; `kit.typed_json` reads it from {"name": ..., options}."""


def apply(
    operations: Sequence[Operation],
    image: tv_tensors.Image,
    masks: tv_tensors.Mask,
    random: np.random.Generator,
) -> Pair:
    """Do operations in order, each with its own probability.

    An operation with p = 1 draws no number to decide whether it is done. So what an example looks like for a
    given seed depends on this rule, and a change of it changes every training.
    """
    for operation in operations:
        if operation.p >= 1 or random.random() < operation.p:
            image, masks = operation(image, masks, random)
    return image, masks
