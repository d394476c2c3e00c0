"""Augmentations that move pixels: image and masks alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torchvision import tv_tensors
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from kit.masks.boxes import of_masks

Pair = tuple[tv_tensors.Image, tv_tensors.Mask]
Border = Literal["reflect", "constant"]
_CROP_TRIES = 50
_CROP_LARGEST_ASPECT = 2.0


def flip(
    image: tv_tensors.Image,
    mask: tv_tensors.Mask,
    random: np.random.Generator,
    *,
    directions: tuple[str, ...] = ("horizontal", "vertical"),
) -> Pair:
    """Mirror along one of `directions`, drawn evenly."""
    direction = directions[int(random.integers(len(directions)))]
    mirror = F.horizontal_flip if direction == "horizontal" else F.vertical_flip
    return mirror(image), mirror(mask)


def rot90(image: tv_tensors.Image, mask: tv_tensors.Mask, random: np.random.Generator) -> Pair:
    """Turn by 0, 90, 180 or 270 degrees."""
    turns = int(random.integers(4))
    return (
        tv_tensors.wrap(image.rot90(turns, (-2, -1)), like=image),
        tv_tensors.wrap(mask.rot90(turns, (-2, -1)), like=mask),
    )


def affine(
    image: tv_tensors.Image,
    mask: tv_tensors.Mask,
    random: np.random.Generator,
    *,
    shift: float = 0.0,
    scale: float | tuple[float, float] = 0.0,
    rotate: float = 0.0,
    shear: float = 0.0,
    border: Border = "reflect",
) -> Pair:
    """Shift, scale, rotate and shear about the centre; the size stays.

    Args:
        image: to change.
        mask: to change.
        random: the only source of randomness.
        shift: largest, either way, as a part of the side.
        scale: largest change of 1, either way; or the two factors between which it is drawn.
        rotate: largest angle in degrees, either way.
        shear: largest slope, either way.
        border: what comes in from outside: the mirrored image, or black without annotation.
    """
    height, width = image.shape[-2:]
    low, high = scale if isinstance(scale, tuple | list) else (1 - scale, 1 + scale)
    settings: dict[str, float | list[float]] = {
        "angle": random.uniform(-rotate, rotate),
        "translate": [width * random.uniform(-shift, shift), height * random.uniform(-shift, shift)],
        "scale": random.uniform(low, high),
        "shear": [float(np.degrees(np.arctan(random.uniform(-shear, shear)))), 0.0],
    }
    return _affine(image, mask, border, settings)


def translate(
    image: tv_tensors.Image, mask: tv_tensors.Mask, random: np.random.Generator, *, pixels: int
) -> Pair:
    """Shift by exactly `pixels`, horizontally or vertically, either way; black comes in."""
    offset = [0.0, 0.0]
    offset[int(random.integers(2))] = float(pixels if random.random() < 0.5 else -pixels)
    return _affine(
        image, mask, "constant", {"angle": 0.0, "translate": offset, "scale": 1.0, "shear": [0.0, 0.0]}
    )


def iou_crop(
    image: tv_tensors.Image,
    mask: tv_tensors.Mask,
    random: np.random.Generator,
    *,
    overlaps: tuple[float, ...] = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    least: float = 0.3,
) -> Pair:
    """Cut out a window whose IoU with every instance reaches a drawn least value (SSD's training).

    Instances whose centre is outside lose their mask. Of len(overlaps) + 2 cases one cuts nothing and one
    takes any window. Nothing is cut when no window is found.

    Args:
        image: to cut.
        mask: one an instance.
        random: the only source of randomness.
        overlaps: least IoUs to draw from.
        least: smallest side of the window as a part of the image's.
    """
    wanted = [None, *overlaps, 0.0][int(random.integers(len(overlaps) + 2))]
    if wanted is None:
        return image, mask
    height, width = image.shape[-2:]
    present = np.flatnonzero(mask.numpy().any(axis=(1, 2)))
    boxes = of_masks(mask.numpy()[present]).astype(np.float64)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    for _ in range(_CROP_TRIES):
        rows, columns = (max(int(side * random.uniform(least, 1)), 1) for side in (height, width))
        if not 1 / _CROP_LARGEST_ASPECT <= rows / columns <= _CROP_LARGEST_ASPECT:
            continue
        top, left = int(random.integers(height - rows + 1)), int(random.integers(width - columns + 1))
        window = np.array([left, top, left + columns, top + rows], np.float64)
        inside = ((centres > window[:2]) & (centres < window[2:])).all(axis=1)
        if len(boxes) and (not inside.any() or _iou(boxes, window).min() < wanted):
            continue
        kept = mask.clone()
        kept[present[~inside]] = 0
        return (
            F.crop(image, top, left, rows, columns),
            F.crop(tv_tensors.wrap(kept, like=mask), top, left, rows, columns),
        )
    return image, mask


def _affine(
    image: tv_tensors.Image, mask: tv_tensors.Mask, border: Border, settings: dict[str, float | list[float]]
) -> Pair:
    height, width = image.shape[-2:]
    if border == "reflect":
        # A frame of half the side covers every rotation; a mirror image can be no wider than the image.
        frame = [min(width // 2, width - 1), min(height // 2, height - 1)]
        image, mask = (F.pad(item, frame, padding_mode="reflect") for item in (image, mask))
    image = F.affine(image, **settings, interpolation=InterpolationMode.BILINEAR)
    mask = F.affine(mask, **settings)
    if border == "reflect":
        image, mask = (F.crop(item, frame[1], frame[0], height, width) for item in (image, mask))
    return image, mask


def _iou(boxes: NDArray[np.float64], window: NDArray[np.float64]) -> NDArray[np.float64]:
    sides = np.clip(np.minimum(boxes[:, 2:], window[2:]) - np.maximum(boxes[:, :2], window[:2]), 0, None)
    shared = sides.prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    result: NDArray[np.float64] = shared / (areas + (window[2:] - window[:2]).prod() - shared)
    return result


GEOMETRY: dict[str, Callable[..., Pair]] = {
    "affine": affine,
    "flip": flip,
    "iou_crop": iou_crop,
    "rot90": rot90,
    "translate": translate,
}
