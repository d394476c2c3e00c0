"""Augmentation of images together with their masks, one class for each operation.

A recipe lists operations; `train_local.augment.spec` shows the words. Most operations are a library's own
(`Op`); the others are classes of this package, whose pixels torchvision moves. Every random number comes from
the example's own generator, so that an example is a pure function of its seed.
"""

from train_local.augment.colour import Contrast, Saturation, Stain
from train_local.augment.examples import instances, semantic
from train_local.augment.geometry import Affine, Flip, Rot90
from train_local.augment.operation import Example, Operation
from train_local.augment.spec import AnyOperation, ByOrgan, OneOf, Op, Sequence, apply, check, flat

__all__ = [
    "Affine",
    "AnyOperation",
    "ByOrgan",
    "Contrast",
    "Example",
    "Flip",
    "OneOf",
    "Op",
    "Operation",
    "Rot90",
    "Saturation",
    "Sequence",
    "Stain",
    "apply",
    "check",
    "flat",
    "instances",
    "semantic",
]
