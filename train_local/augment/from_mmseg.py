"""mmseg's own operations, done to a semantic example.

mmseg counts classes in `RandomCrop`; a mask here says how much of each pixel is covered, 0 to 255, so what it
counts is whether a pixel is covered by half.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kit.models.openmmlab import quiet
from train_local.augment import arguments
from train_local.augment.libraries import Done, Kind, seeded
from train_local.augment.operation import Example

with quiet():
    from mmseg.datasets.pipelines import transforms

_CLASSES = {"Pad": transforms.Pad, "RandomCrop": transforms.RandomCrop, "Resize": transforms.Resize}


def make(op: str, args: Mapping[str, Any]) -> Done:
    """Make an operation by mmseg's name and arguments.

    Raises:
        KitError: there is none of that name here, or it refuses an argument.
    """
    cls = arguments.find(_CLASSES, op, "mmseg")
    return _MmsegOperation(
        op, arguments.call(cls, op, {name: _tuples(value) for name, value in args.items()})
    )


def defaults(op: str) -> dict[str, Any]:
    """Return the arguments of an operation that have a default."""
    return arguments.defaults(arguments.find(_CLASSES, op, "mmseg"))


def _tuples(value: Any) -> Any:
    """JSON's lists as mmseg checks them: a pair is a tuple, several pairs are a list."""
    if isinstance(value, list):
        items = [_tuples(item) for item in value]
        return items if any(isinstance(item, tuple) for item in items) else tuple(items)
    return value


@dataclass(frozen=True)
class _MmsegOperation:
    op: str
    transform: Any

    @property
    def needs(self) -> Kind:
        return "semantic"

    def __call__(self, example: Example, random: np.random.Generator) -> Example:
        mask_HW = example.masks[0]
        results = {"img": example.image, "img_shape": example.image.shape, "seg_fields": []}
        if self.op == "RandomCrop":
            # One box is drawn for both; a mask beside the classes would be cut, too, but not counted.
            results.update(gt_semantic_seg=(mask_HW > 127).astype(np.uint8), covered=mask_HW)
            results["seg_fields"] = ["gt_semantic_seg", "covered"]
        else:
            results.update(covered=mask_HW, seg_fields=["covered"])
        with seeded(random):
            results = self.transform(results)
        return replace(
            example,
            image=np.ascontiguousarray(results["img"]),
            masks=np.ascontiguousarray(results["covered"])[None],
        )
