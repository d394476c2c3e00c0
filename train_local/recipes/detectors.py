"""Hacking the Human Vasculature, 3rd place: the DetectoRS members."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kit.inference.instance_settings import InstanceSettings
from train_local.augment import (
    Affine,
    Brightness,
    Contrast,
    Cutout,
    Equalise,
    Flip,
    Hue,
    IouCrop,
    OneOf,
    Rot90,
    Saturation,
    Stain,
    Translate,
)
from train_local.recipes.base import Recipe
from train_local.recipes.settings import (
    Data,
    Ema,
    ImageSet,
    NetworkConfig,
    Optimiser,
    ParameterGroup,
    Schedule,
    Validation,
    Warmup,
)

COMPETITION = "vasculature"


@dataclass(frozen=True, kw_only=True)
class DetectorRecipe(Recipe):
    """An instance network on whole tiles."""

    earlier_stage: DetectorRecipe | None = None

    def tiny(self) -> DetectorRecipe:
        """The same architecture with an eighth of its width, trained from random weights on crops.

        Random weights need a batch norm that trains, and AdamW. The published recipe starts from pretrained
        weights, for which frozen statistics and SGD are enough.
        """
        return replace(
            self,
            name=f"{self.name}-tiny",
            network=self.network.tiny(),
            inference=InstanceSettings(size=480, max_per_image=150),
            views=("identity", "hflip"),
            # Nuclei are small: at 1.5 times the tiles' resolution the finest anchors (24 pixels) fit them. At
            # 1.5 the 320 pixels of a tile are the 480 of `inference`.
            data=Data(tile=None, scale=1.5, crop=160, sets=self.data.sets, examples_per_image=4, workers=0),
            augment=(
                Flip(p=0.5, directions=("horizontal",)),
                Rot90(),
                Stain(gain=0.15, offset=0.06),
            ),
            optimiser=Optimiser(
                name="adamw",
                lr=1e-3,
                weight_decay=1e-2,
                groups=(ParameterGroup(match="1-D", decay_mult=0.0),),
            ),
            schedule=Schedule(min_lr=2e-5, warmup=Warmup(share=0.1)),
            epochs=None,
            iterations=300,
            batch_size=4,
            gpus=1,
            ema=Ema(decay=0.98, ramp=True),
            grad_clip=10.0,
            losses={},
            half=True,
            validation=Validation(every=150, unit="iteration"),
            fold_count=5,
            folds=(0,),
            pretrained=None,
            earlier_stage=None,
        )


def detectors_r50_stage1() -> DetectorRecipe:
    """DetectoRS-HTC R50, first stage: pretraining on dataset 2 from COCO weights.

    Published: 2048-px input, batch 3 on each of 3 GPUs (three steps accumulated here), SGD 0.03 to 0.025
    over 8 epochs by a cosine after 250 linear warm-up steps, gradient norm 35, fp16; fold 1 of 5; light
    augmentation: a flip, one of three policies, a small affine change, a quarter turn. Best epoch by COCO
    mask mAP, here by the competition's metric. It also saw 1200 pseudo-labelled tiles of dataset 3.
    """
    return DetectorRecipe(
        name="detectors-r50-stage1",
        competition=COMPETITION,
        network=NetworkConfig(name="detectors-r50"),
        inference=InstanceSettings(size=2048),
        views=("identity", "hflip", "vflip"),
        # Tiles of 512 pixels, enlarged to the 2048 of `inference`.
        data=Data(tile=None, scale=4.0, crop=None, sets=(ImageSet(dataset=2, part="all"),)),
        augment=(
            _FLIP,
            OneOf(choices=_PRETRAINING),
            Affine(p=0.4, shift=0.0625, scale=0.15, rotate=15.0),
            Rot90(p=0.4),
        ),
        optimiser=Optimiser(name="sgd", lr=0.03, momentum=0.9, weight_decay=1e-4),
        schedule=Schedule(min_lr=0.025, warmup=Warmup(steps=250, multiplies_policy=True)),
        epochs=8,
        batch_size=3,
        gpus=3,
        grad_clip=35.0,
        precision="16-mixed",
        losses={"loss_mask": 1.0},
        fold_count=5,
        folds=(0,),
        seed=69,
        pretrained="detectors_htc_r50_1x_coco",
    )


def detectors_r50() -> DetectorRecipe:
    """DetectoRS-HTC R50, second stage: fine-tuning on dataset 1.

    Published: SGD 0.0125 to 1e-8 over 23 epochs after 200 warm-up steps; medium augmentation: a flip, one of
    seven policies, a quarter turn.
    """
    first = detectors_r50_stage1()
    return replace(
        first,
        name="detectors-r50",
        data=replace(first.data, sets=(ImageSet(dataset=1),)),
        # From 8 epochs at up to 0.03 to 23 epochs at up to 0.0125: lower rates, longer, with more
        # augmentation.
        augment=(_FLIP, OneOf(choices=_FINE_TUNING), Rot90(p=0.4)),
        optimiser=replace(first.optimiser, lr=0.0125),
        schedule=Schedule(min_lr=1e-8, warmup=Warmup(steps=200, multiplies_policy=True)),
        epochs=23,
        batch_size=2,
        pretrained=None,
        earlier_stage=first,
    )


_FLIP = Flip(p=0.5)
_SHEAR = Affine(p=0.4, shear=0.0, border="constant")
"""The published shear has level 0, which is no shear: it takes a share of the draws and changes nothing."""
_TRANSLATE = Translate(p=0.4, pixels=125)
_ROTATE = Affine(rotate=30.0, border="constant")
_SATURATE = Saturation(low=1.18, high=1.18)
# A policy is drawn with equal chance then its operations are done with their own p.
# So a policy of one operation with p = 0.4 changes nothing in 60 % of the cases in which it is drawn.
_PRETRAINING = (
    (_SHEAR,),
    (_TRANSLATE,),
    (_SATURATE, Equalise(), _ROTATE),
)
_FINE_TUNING = (
    (_SHEAR,),
    (_TRANSLATE,),
    (
        Brightness(p=0.5, low=0.75, high=1.25),
        Contrast(p=0.5, low=0.5, high=1.5),
        Saturation(p=0.5, low=0.5, high=1.5),
        Hue(p=0.5, degrees=18.0),
    ),
    (IouCrop(overlaps=(0.4, 0.5, 0.6, 0.7, 0.8, 0.9), least=0.3),),
    (Cutout(holes=(5, 10), sides=(4, 48)),),
    (Brightness(low=0.82, high=0.82), Contrast(low=1.18, high=1.18), _ROTATE),
    (_SATURATE, Equalise()),
)
