"""albumentations' operations as the published recipes drew them; no other file knows albumentations.

The recipes were published with albumentations 0.5 (kidney) and 1.x. Here runs 2.0.8, the last free release,
in which names, defaults and some behaviour have changed. Each function below has the name, the arguments and
the defaults of the published version, and makes what draws the same values. Where 2.0.8 has no such operation
or another behaviour, `train_local.augment.published` has the published one.
"""

from __future__ import annotations

import random as python_random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import albumentations as A
import cv2
import numpy as np
from numpy.typing import NDArray

from train_local.augment import arguments, published
from train_local.augment.libraries import Done
from train_local.augment.operation import Example

Limit = float | tuple[float, float]
Border = Literal["reflect101", "constant"]
_BORDERS = {"reflect101": cv2.BORDER_REFLECT_101, "constant": cv2.BORDER_CONSTANT}


def make(op: str, args: Mapping[str, Any]) -> Done:
    """Make an operation by albumentations' published name and arguments.

    Raises:
        KitError: there is none of that name here, or it refuses an argument.
    """
    function = arguments.find(_OPERATIONS, op, "albumentations")
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in args.items()}
    made: Done = arguments.call(function, op, given, outside=("p", "always_apply"))
    return made


def defaults(op: str) -> dict[str, Any]:
    """Return the arguments of an operation that have a default."""
    return arguments.defaults(arguments.find(_OPERATIONS, op, "albumentations"))


@dataclass(frozen=True)
class _Albumentation:
    """An operation of 2.0.8 done to an example.

    Attributes:
        transform: the operation, for the image and for semantic masks.
        masks: the same with a black border, for instances: what a mirrored border shows of an instance is not
            annotated, so that its box stays one object's. None for an operation that moves no pixel.
        resizes: whether an instance may keep its number of pixels only by chance, as with a crop.
    """

    transform: Any
    masks: Any = None

    def __call__(self, example: Example, random: np.random.Generator) -> Example:
        self.transform.set_random_state(random, python_random.Random(int(random.integers(2**63))))
        if self.masks is None:
            return replace(example, image=self.transform(image=example.image)["image"])
        if not example.instances:
            done = self.transform(image=example.image, mask=example.masks[0])
            return replace(example, image=done["image"], masks=done["mask"][None])
        image_HWC = self.transform(image=example.image)["image"]
        move = partial_of(self.masks, self.transform.params)
        return replace(example, image=image_HWC, masks=published.moved(example.masks, move))


def partial_of(transform: Any, params: dict[str, Any]) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Return the function that does `transform` with drawn `params` to a mask."""

    def move(mask_HW: NDArray[Any]) -> NDArray[Any]:
        moved: NDArray[Any] = transform.apply_with_params(params, mask=mask_HW)["mask"]
        return moved

    return move


def _image_only(cls: Any, **options: Any) -> Done:
    return _Albumentation(cls(p=1.0, **options))


def _moving(cls: Any, border: Border | None = None, **options: Any) -> Done:
    """An operation that moves pixels; masks take the nearest pixel, as in the published versions."""
    if border is None:
        transform = cls(p=1.0, **options)
        return _Albumentation(transform, transform)
    modes = (_BORDERS[border], cv2.BORDER_CONSTANT)
    return _Albumentation(*(cls(p=1.0, border_mode=mode, **options) for mode in modes))


def _around(limit: Limit, centre: float = 0.0) -> tuple[float, float]:
    """Both ends of what is drawn: 0.2 is -0.2 to 0.2."""
    low, high = limit if isinstance(limit, tuple) else (-limit, limit)
    return centre + low, centre + high


def _shift_scale_rotate(
    shift_limit: Limit = 0.0625,
    scale_limit: Limit = 0.1,
    rotate_limit: Limit = 45,
    border: Border = "reflect101",
) -> Done:
    # ShiftScaleRotate of 2.0.8 draws two scales, one for each axis; the published one draws a single scale.
    shift = _around(shift_limit)
    return _moving(
        A.Affine,
        border,
        translate_percent={"x": shift, "y": shift},
        scale=_around(scale_limit, 1.0),
        rotate=_around(rotate_limit),
        keep_ratio=True,
    )


def _rotate(limit: Limit = 90, border: Border = "reflect101") -> Done:
    return _moving(A.Rotate, border, limit=_around(limit))


def _horizontal_flip() -> Done:
    return _moving(A.HorizontalFlip)


def _vertical_flip() -> Done:
    return _moving(A.VerticalFlip)


def _random_resized_crop(
    size: tuple[int, int],
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Done:
    return _moving(A.RandomResizedCrop, size=size, scale=scale, ratio=ratio)


def _grid_distortion(num_steps: int = 5, distort_limit: Limit = 0.3, border: Border = "reflect101") -> Done:
    # Normalised, 2.0.8 moves the steps so that the grid ends at the image's edge; published, it did not.
    return _moving(
        A.GridDistortion, border, num_steps=num_steps, distort_limit=_around(distort_limit), normalized=False
    )


def _optical_distortion(
    distort_limit: Limit = 0.05, shift_limit: float = 0.05, border: Border = "reflect101"
) -> Done:
    # The published version rounds what it draws for the shift to whole pixels, and Python rounds 0.5 to 0: a
    # limit up to 0.5 shifts nothing. 2.0.8 has no shift.
    if abs(shift_limit) > 0.5:
        raise ValueError(f"shift_limit is {shift_limit}; only up to 0.5, which shifts nothing, can be done")
    return _moving(A.OpticalDistortion, border, distort_limit=_around(distort_limit), mode="camera")


def _elastic_transform(
    alpha: float = 1, sigma: float = 50, alpha_affine: float = 50, border: Border = "reflect101"
) -> Done:
    # The published version first moves three corners of a square by up to alpha_affine pixels.
    waves = _moving(A.ElasticTransform, border, alpha=alpha, sigma=sigma, noise_distribution="uniform")
    if alpha_affine == 0:
        return waves
    corners = published.CornerShift(pixels=alpha_affine, border=_BORDERS[border])
    return lambda example, random: waves(corners(example, random), random)


def _hue_saturation_value(
    hue_shift_limit: Limit = 20,
    sat_shift_limit: Limit = 30,
    val_shift_limit: Limit = 20,
    order: Literal["RGB", "BGR"] = "RGB",
) -> Done:
    # Body's recipes gave it BGR, where red is seen as blue: a hue of h degrees is seen as 240 - h. Turned by
    # d and read as RGB again, it is 240 - (240 - h + d) = h - d. So it is turned the other way, no more.
    low, high = _around(hue_shift_limit)
    return _image_only(
        A.HueSaturationValue,
        hue_shift_limit=(low, high) if order == "RGB" else (-high, -low),
        sat_shift_limit=_around(sat_shift_limit),
        val_shift_limit=_around(val_shift_limit),
    )


def _clahe(clip_limit: Limit = 4.0, tile_grid_size: tuple[int, int] = (8, 8)) -> Done:
    low, high = clip_limit if isinstance(clip_limit, tuple) else (1.0, clip_limit)
    return _image_only(A.CLAHE, clip_limit=(low, high), tile_grid_size=tile_grid_size)


def _random_brightness_contrast(brightness_limit: Limit = 0.2, contrast_limit: Limit = 0.2) -> Done:
    # v * (1 + contrast) + 255 * brightness, in one step.
    return _image_only(
        A.RandomBrightnessContrast,
        brightness_limit=_around(brightness_limit),
        contrast_limit=_around(contrast_limit),
        brightness_by_max=True,
    )


def _random_brightness(limit: Limit = 0.2) -> Done:
    return _random_brightness_contrast(limit, 0.0)


def _random_gamma(gamma_limit: tuple[float, float] = (80, 120)) -> Done:
    return _image_only(A.RandomGamma, gamma_limit=gamma_limit)


def _color_jitter(
    brightness: float = 0.2, contrast: float = 0.2, saturation: float = 0.2, hue: float = 0.2
) -> Done:
    factors = {"brightness": brightness, "contrast": contrast, "saturation": saturation}
    around = {name: _around(value, 1.0) for name, value in factors.items()}
    return _image_only(A.ColorJitter, **around, hue=_around(hue))


def _channel_shuffle() -> Done:
    return _image_only(A.ChannelShuffle)


def _coarse_dropout(  # noqa: PLR0917 - the published arguments
    max_holes: int = 8,
    max_height: int = 8,
    max_width: int = 8,
    min_holes: int | None = None,
    min_height: int | None = None,
    min_width: int | None = None,
    fill_value: float = 0,
) -> Done:
    def ends(least: int | None, most: int) -> tuple[int, int]:
        return (most if least is None else least), most

    return _image_only(
        A.CoarseDropout,
        num_holes_range=ends(min_holes, max_holes),
        hole_height_range=ends(min_height, max_height),
        hole_width_range=ends(min_width, max_width),
        fill=fill_value,
    )


def _downscale(
    scale_min: float = 0.25,
    scale_max: float = 0.25,
    interpolation: Literal["linear", "nearest", "area"] = "nearest",
) -> Done:
    code = {"linear": cv2.INTER_LINEAR, "nearest": cv2.INTER_NEAREST, "area": cv2.INTER_AREA}[interpolation]
    pair = {"downscale": code, "upscale": code}
    return _image_only(A.Downscale, scale_range=(scale_min, scale_max), interpolation_pair=pair)


_OPERATIONS: Mapping[str, Callable[..., Done]] = {
    "AddGammaCorrection": published.AddGammaCorrection,
    "CLAHE": _clahe,
    "ChannelShuffle": _channel_shuffle,
    "CoarseDropout": _coarse_dropout,
    "ColorJitter": _color_jitter,
    "Crop": published.Crop,
    "Cutout": published.Cutout,
    "Downscale": _downscale,
    "ElasticTransform": _elastic_transform,
    "Flip": published.Flip,
    "GaussianBlur": published.GaussianBlur,
    "GridDistortion": _grid_distortion,
    "GridDropout": published.GridDropout,
    "HorizontalFlip": _horizontal_flip,
    "HueSaturationValue": _hue_saturation_value,
    "OpticalDistortion": _optical_distortion,
    "PiecewiseAffine": published.PiecewiseAffine,
    "RandomBrightness": _random_brightness,
    "RandomBrightnessContrast": _random_brightness_contrast,
    "RandomGamma": _random_gamma,
    "RandomResizedCrop": _random_resized_crop,
    "RandomRotate90": published.RandomRotate90,
    "Rotate": _rotate,
    "ShiftScaleRotate": _shift_scale_rotate,
    "VerticalFlip": _vertical_flip,
}
