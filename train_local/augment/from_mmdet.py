"""mmdet's own operations, done to an example as mmdet's pipelines do them.

mmdet works on a dictionary with the image in BGR, masks as `BitmapMasks`, and boxes. Boxes are made of the
masks here, so they always fit; mmdet turns and shears the boxes' corners, which leaves them too large.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from kit.local.masks import boxes
from kit.models.openmmlab import quiet
from train_local.augment import arguments
from train_local.augment.libraries import Done, Kind, seeded
from train_local.augment.operation import Example

with quiet():
    from mmdet.core import BitmapMasks
    from mmdet.datasets.pipelines import auto_augment, transforms

_COLOURS = {
    "BrightnessTransform": auto_augment.BrightnessTransform,
    "ColorTransform": auto_augment.ColorTransform,
    "ContrastTransform": auto_augment.ContrastTransform,
    "CutOut": transforms.CutOut,
    "EqualizeTransform": auto_augment.EqualizeTransform,
    "PhotoMetricDistortion": transforms.PhotoMetricDistortion,
}
"""They change the image alone."""
_GEOMETRY = {
    "MinIoURandomCrop": transforms.MinIoURandomCrop,
    "RandomFlip": transforms.RandomFlip,
    "Rotate": auto_augment.Rotate,
    "Shear": auto_augment.Shear,
    "Translate": auto_augment.Translate,
}
"""They move image and masks."""
_CERTAIN = {
    "RandomFlip": {"flip_ratio": 1.0},
    "MinIoURandomCrop": {},
    "CutOut": {},
    "PhotoMetricDistortion": {},
}
"""How an operation is told to be done for certain, where it is not prob=1."""
_SAME_IN_RGB = frozenset({"BrightnessTransform", "EqualizeTransform", "MinIoURandomCrop", "RandomFlip"})
"""Operations that treat the channels alike, so that the image needs no change to BGR and back."""


def make(op: str, args: Mapping[str, Any]) -> Done:
    """Make an operation by mmdet's name and arguments.

    Raises:
        KitError: there is none of that name here, or it refuses an argument.
    """
    certain = _CERTAIN.get(op, {"prob": 1.0})
    cls = arguments.find({**_COLOURS, **_GEOMETRY}, op, "mmdet")
    given = {name: _as_mmdet_wants(value) for name, value in args.items()}
    if certain.keys() & given.keys():
        arguments.call(cls, op, given, outside=certain)
    return _MmdetOperation(op, arguments.call(cls, op, {**certain, **given}))


def defaults(op: str) -> dict[str, Any]:
    """Return the arguments of an operation that have a default, without its probability."""
    cls = arguments.find({**_COLOURS, **_GEOMETRY}, op, "mmdet")
    return arguments.defaults(cls, outside=_CERTAIN.get(op, {"prob": 1.0}))


def _as_mmdet_wants(value: Any) -> Any:
    """JSON's lists as mmdet checks them: pairs of numbers are tuples, and what holds several is a list."""
    if isinstance(value, list):
        items = [_as_mmdet_wants(item) for item in value]
        return tuple(items) if all(isinstance(item, int | float) for item in items) else items
    return value


@dataclass(frozen=True)
class _MmdetOperation:
    op: str
    transform: Any

    @property
    def needs(self) -> Kind | None:
        return "instance" if self.op in _GEOMETRY else None

    def __call__(self, example: Example, random: np.random.Generator) -> Example:
        moves = self.op in _GEOMETRY
        # mmdet counts an operation that changes nothing as one: a shear of level 0 would resample image and
        # masks to what they are.
        if getattr(self.transform, "magnitude", None) == 0:
            return example
        swap = self.op not in _SAME_IN_RGB
        image_HWC = cv2.cvtColor(example.image, cv2.COLOR_RGB2BGR) if swap else example.image
        results = {"img": image_HWC, "img_shape": image_HWC.shape, "img_fields": ["img"], "bbox_fields": []}
        if moves:
            self._add_masks(results, example)
        with seeded(random):
            results = self.transform(results)
        image_HWC = _bytes(results["img"])
        if swap:
            image_HWC = cv2.cvtColor(image_HWC, cv2.COLOR_BGR2RGB)
        if not moves:
            return replace(example, image=image_HWC)
        masks_NHW = np.ascontiguousarray(results["gt_masks"].masks)
        # mmdet forgets to cut the masks where there is none.
        masks_NHW = masks_NHW if len(masks_NHW) else np.zeros((0, *image_HWC.shape[:2]), np.uint8)
        return replace(example, image=image_HWC, masks=masks_NHW)

    def _add_masks(self, results: dict[str, Any], example: Example) -> None:
        """Masks, and boxes for the one operation that reads them; all others would only throw them away."""
        masks_NHW = example.masks
        if self.op == "MinIoURandomCrop":
            masks_NHW = masks_NHW[masks_NHW.any(axis=(1, 2))]
            results["gt_bboxes"] = boxes.of_masks(masks_NHW.astype(bool)).astype(np.float32).reshape(-1, 4)
            results["bbox_fields"] = ["gt_bboxes"]
        results["gt_masks"] = BitmapMasks(masks_NHW, *masks_NHW.shape[1:])
        results["mask_fields"] = ["gt_masks"]


def _bytes(image_HWC: NDArray[Any]) -> NDArray[np.uint8]:
    """An image as bytes; float32 beyond 0 and 255 (PhotoMetricDistortion) is rounded and cut off."""
    if image_HWC.dtype == np.uint8:
        return np.ascontiguousarray(image_HWC)
    rounded: NDArray[np.uint8] = np.clip(np.rint(image_HWC), 0, 255).astype(np.uint8)
    return rounded
