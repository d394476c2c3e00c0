"""Augmentation of images together with their masks, one class for each operation.

A recipe lists operations: `augment=(Flip(p=0.5), Rot90(), Affine(p=0.8, rotate=15.0))`.

The pixels are moved by torchvision (`transforms.v2.functional` on tv_tensors). Every random number comes from
the example's own generator, so that an example is a pure function of its seed.
"""

from train_local.augment.colour import (
    Blur,
    Brightness,
    ChannelShuffle,
    Clahe,
    Contrast,
    Cutout,
    Equalise,
    Gamma,
    Hue,
    Noise,
    Saturation,
    Stain,
)
from train_local.augment.examples import instances, semantic
from train_local.augment.geometry import Affine, Flip, IouCrop, Rot90, Translate
from train_local.augment.groups import AllOf, AnyOperation, OneOf, apply
from train_local.augment.operation import ColourOperation, Operation

__all__ = [
    "Affine",
    "AllOf",
    "AnyOperation",
    "Blur",
    "Brightness",
    "ChannelShuffle",
    "Clahe",
    "ColourOperation",
    "Contrast",
    "Cutout",
    "Equalise",
    "Flip",
    "Gamma",
    "Hue",
    "IouCrop",
    "Noise",
    "OneOf",
    "Operation",
    "Rot90",
    "Saturation",
    "Stain",
    "Translate",
    "apply",
    "instances",
    "semantic",
]
