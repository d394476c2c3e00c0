"""Augmentations that move pixels: image and masks alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from kit.typed_json import Fraction, above, at_least
from train_local.augment.operation import TensorOperation

if TYPE_CHECKING:
    from torchvision import tv_tensors

    from train_local.augment.operation import Pair

Border = Literal["reflect", "constant"]
Positive = Annotated[float, above(0)]


@dataclass(frozen=True, kw_only=True)
class Flip(TensorOperation):
    """Mirror along one of `directions`, drawn evenly."""

    name: Literal["flip"] = "flip"
    directions: tuple[Literal["horizontal", "vertical"], ...] = ("horizontal", "vertical")

    def _do(self, image: tv_tensors.Image, masks: tv_tensors.Mask, random: np.random.Generator) -> Pair:
        from torchvision.transforms.v2 import functional as F

        direction = self.directions[int(random.integers(len(self.directions)))]
        mirror = F.horizontal_flip if direction == "horizontal" else F.vertical_flip
        return mirror(image), mirror(masks)


@dataclass(frozen=True, kw_only=True)
class Rot90(TensorOperation):
    """Turn by 0, 90, 180 or 270 degrees, drawn evenly."""

    name: Literal["rot90"] = "rot90"

    def _do(self, image: tv_tensors.Image, masks: tv_tensors.Mask, random: np.random.Generator) -> Pair:
        from torchvision import tv_tensors

        # The last two axes are rows and columns, of the image (3, H, W) as of the masks (N, H, W).
        turns = int(random.integers(4))
        return (
            tv_tensors.wrap(image.rot90(turns, (-2, -1)), like=image),
            tv_tensors.wrap(masks.rot90(turns, (-2, -1)), like=masks),
        )


@dataclass(frozen=True, kw_only=True)
class Affine(TensorOperation):
    """Shift, scale, rotate and shear about the centre; the size stays.

    Attributes:
        shift: largest shift, either way, as a part of the side.
        scale: largest change of 1, either way; or the two factors between which it is drawn.
        rotate: largest angle in degrees, either way.
        shear: largest slope, either way.
        border: what comes in from outside: the mirrored image, or black without annotation.
    """

    name: Literal["affine"] = "affine"
    shift: Annotated[float, at_least(0)] = 0.0
    scale: Fraction | tuple[Positive, Positive] = 0.0
    rotate: Annotated[float, at_least(0)] = 0.0
    shear: Annotated[float, at_least(0)] = 0.0
    border: Border = "reflect"

    def _do(self, image: tv_tensors.Image, masks: tv_tensors.Mask, random: np.random.Generator) -> Pair:
        height, width = image.shape[-2:]
        scale, shift = self.scale, self.shift
        low, high = scale if isinstance(scale, tuple) else (1 - scale, 1 + scale)
        # The order of these draws is part of what a seed means: angle, two shifts, scale, shear. torchvision
        # takes the shear as an angle, so a slope of 0.1 is handed on as 5.7 degrees.
        settings: dict[str, float | list[float]] = {
            "angle": random.uniform(-self.rotate, self.rotate),
            "translate": [width * random.uniform(-shift, shift), height * random.uniform(-shift, shift)],
            "scale": random.uniform(low, high),
            "shear": [float(np.degrees(np.arctan(random.uniform(-self.shear, self.shear)))), 0.0],
        }
        return _affine(image, masks, self.border, settings)


Geometry = Affine | Flip | Rot90
"""Every operation of this module."""


def _affine(
    image: tv_tensors.Image, masks: tv_tensors.Mask, border: Border, settings: dict[str, float | list[float]]
) -> Pair:
    from torchvision.transforms.v2 import InterpolationMode
    from torchvision.transforms.v2 import functional as F

    height, width = image.shape[-2:]
    if border == "reflect":
        # The image gets a frame of its own mirror image first, and the frame is cut off at the end. When a
        # square of side 100 is turned by 45 degrees, its new corners come from 21 pixels outside it, which is
        # 100 * (sqrt(2) - 1) / 2: half a side is enough. The mirror image is at most side - 1 wide.
        frame = [min(width // 2, width - 1), min(height // 2, height - 1)]
        image, masks = (F.pad(item, frame, padding_mode="reflect") for item in (image, masks))
    image = F.affine(image, **settings, interpolation=InterpolationMode.BILINEAR)
    masks = F.affine(masks, **settings)
    if border == "reflect":
        image, masks = (F.crop(item, frame[1], frame[0], height, width) for item in (image, masks))
    return image, masks
