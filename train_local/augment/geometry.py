"""Augmentations that move pixels: image and masks alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from torchvision import tv_tensors
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from kit.local.masks.boxes import of_masks
from kit.typed_json import Fraction, above, at_least
from train_local.augment.operation import Pair, TensorOperation

Border = Literal["reflect", "constant"]
Positive = Annotated[float, above(0)]
_CROP_TRIES = 50
_CROP_LARGEST_ASPECT = 2.0


@dataclass(frozen=True, kw_only=True)
class Flip(TensorOperation):
    """Mirror along one of `directions`, drawn evenly."""

    name: Literal["flip"] = "flip"
    directions: tuple[Literal["horizontal", "vertical"], ...] = ("horizontal", "vertical")

    def _do(self, image: tv_tensors.Image, masks: tv_tensors.Mask, random: np.random.Generator) -> Pair:
        direction = self.directions[int(random.integers(len(self.directions)))]
        mirror = F.horizontal_flip if direction == "horizontal" else F.vertical_flip
        return mirror(image), mirror(masks)


@dataclass(frozen=True, kw_only=True)
class Rot90(TensorOperation):
    """Turn by 0, 90, 180 or 270 degrees, drawn evenly."""

    name: Literal["rot90"] = "rot90"

    def _do(self, image: tv_tensors.Image, masks: tv_tensors.Mask, random: np.random.Generator) -> Pair:
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


@dataclass(frozen=True, kw_only=True)
class Translate(TensorOperation):
    """Shift by exactly `pixels`, horizontally or vertically, either way; black comes in."""

    name: Literal["translate"] = "translate"
    pixels: Annotated[int, at_least(0)]

    def _do(self, image: tv_tensors.Image, masks: tv_tensors.Mask, random: np.random.Generator) -> Pair:
        offset = [0.0, 0.0]
        offset[int(random.integers(2))] = float(self.pixels if random.random() < 0.5 else -self.pixels)
        still: dict[str, float | list[float]] = {"angle": 0.0, "scale": 1.0, "shear": [0.0, 0.0]}
        return _affine(image, masks, "constant", {**still, "translate": offset})


@dataclass(frozen=True, kw_only=True)
class IouCrop(TensorOperation):
    """Cut out a window whose IoU with every instance reaches a drawn least value (SSD's training).

    With the six default overlaps there are eight cases, drawn evenly: nothing is cut; a window that reaches
    0.4, 0.5, ... or 0.9; any window that holds an instance. A window is drawn up to 50 times, and nothing is
    cut when none of them reaches the value. Instances whose centre is outside the window lose their mask.

    Attributes:
        overlaps: least IoUs to draw from.
        least: smallest side of the window as a part of the image's.
    """

    name: Literal["iou_crop"] = "iou_crop"
    overlaps: tuple[Fraction, ...] = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    least: Fraction = 0.3

    def _do(self, image: tv_tensors.Image, masks: tv_tensors.Mask, random: np.random.Generator) -> Pair:
        wanted = [None, *self.overlaps, 0.0][int(random.integers(len(self.overlaps) + 2))]
        if wanted is None:
            return image, masks
        height, width = image.shape[-2:]
        present = np.flatnonzero(masks.numpy().any(axis=(1, 2)))
        boxes = of_masks(masks.numpy()[present]).astype(np.float64)
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        for _ in range(_CROP_TRIES):
            rows, columns = (max(int(side * random.uniform(self.least, 1)), 1) for side in (height, width))
            if not 1 / _CROP_LARGEST_ASPECT <= rows / columns <= _CROP_LARGEST_ASPECT:
                continue
            top, left = int(random.integers(height - rows + 1)), int(random.integers(width - columns + 1))
            window = np.array([left, top, left + columns, top + rows], np.float64)
            inside = ((centres > window[:2]) & (centres < window[2:])).all(axis=1)
            if len(boxes) and (not inside.any() or _iou(boxes, window).min() < wanted):
                continue
            # Masks of instances outside are emptied before the cut, also where a part of them is in the
            # window.
            kept = masks.clone()
            kept[present[~inside]] = 0
            return (
                F.crop(image, top, left, rows, columns),
                F.crop(tv_tensors.wrap(kept, like=masks), top, left, rows, columns),
            )
        return image, masks


Geometry = Affine | Flip | IouCrop | Rot90 | Translate
"""Every operation of this module."""


def _affine(
    image: tv_tensors.Image, masks: tv_tensors.Mask, border: Border, settings: dict[str, float | list[float]]
) -> Pair:
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


def _iou(boxes: NDArray[np.float64], window: NDArray[np.float64]) -> NDArray[np.float64]:
    """IoU of each box with the window: shared area over area covered by either."""
    sides = np.clip(np.minimum(boxes[:, 2:], window[2:]) - np.maximum(boxes[:, :2], window[:2]), 0, None)
    shared = sides.prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    result: NDArray[np.float64] = shared / (areas + (window[2:] - window[:2]).prod() - shared)
    return result
