"""Hacking the Human Vasculature, 3rd place: DetectoRS on ResNet-50 and ResNeXt-101."""

from __future__ import annotations

from dataclasses import replace

from kit.inference.instance_settings import InstanceSettings
from train_local.recipes.settings import Deviation, NetworkConfig, Optimiser
from train_local.recipes.vasculature import (
    COMMON,
    CROP,
    CUT_OUT,
    DATASET_1,
    DATASET_2,
    DISTORT,
    EQUALISE,
    EXP1,
    FLIP,
    FLIPS,
    ROTATE,
    SATURATE,
    SHEAR,
    SHIFT,
    TRANSLATE,
    TURN,
    VALIDATION,
    TileRecipe,
    cosine,
    darken_and_rotate,
    policies,
    pseudo_labelled,
    tiles,
)

COMPETITION = "vasculature"


def detectors_x101_stage1() -> TileRecipe:
    """DetectoRS X101, stage 1: all tiles of dataset 2, from COCO weights.

    Tiles at 2048 pixels, two on each of three GPUs, fp16. SGD from 0.03 down to 0.02 only: the rate hardly
    falls in the eight epochs. Epoch 8, the last, was the best.
    """
    return TileRecipe(
        name="detectors-x101-stage1",
        competition=COMPETITION,
        stage=1,
        network=NetworkConfig(name="detectors-x101"),
        inference=InstanceSettings(size=2048),
        views=FLIPS,
        data=tiles(2048, DATASET_2),
        augment=(FLIP, policies((SHEAR,), (TRANSLATE,), (SATURATE, EQUALISE)), SHIFT, TURN),
        optimiser=Optimiser(name="sgd", lr=0.03, momentum=0.9, weight_decay=1e-4),
        schedule=cosine(to=0.02, warmup=200),
        epochs=8,
        batch_size=2,
        gpus=3,
        grad_clip=35.0,
        precision="16-mixed",
        loss_scale=512,
        losses={},
        validation=VALIDATION,
        fold_count=5,
        folds=(0,),
        seed=69,
        pretrained="detectors_htc_x101_32x4d_40e_coco",
        deviations=(
            *COMMON,
            Deviation(
                path="init.file",
                published="detec_htcres101x32_pretcoco.pth",
                ours="DetectoRS_X101-ed983634.pth",
                why="a renamed copy: names and shapes of its tensors are this file's",
            ),
        ),
    )


def detectors_x101() -> TileRecipe:
    """DetectoRS X101, stage 2: dataset 1, fold 1; a member, and a teacher of the pseudo labels.

    Twice the mask loss (the README says four times), 21 epochs from 0.01 to nothing; the best was epoch 17.

    Peculiar: the pipeline at the top of the published config has probabilities of 0.6 where the one that is
    used has 0.5.
    """
    first = detectors_x101_stage1()
    return replace(
        first,
        name="detectors-x101",
        stage=2,
        data=tiles(2048, DATASET_1),
        augment=_FINE_TUNING,
        optimiser=replace(first.optimiser, lr=0.01),
        schedule=cosine(to=1e-8, warmup=200),
        epochs=21,
        losses={"loss_mask": 2.0},
        pretrained=None,
        earlier_stage=first,
        deviations=COMMON,
        variants={"text": {"losses": {"loss_mask": 4.0}}},
    )


def detectors_r50_stage1() -> TileRecipe:
    """DetectoRS R50, stage 1: dataset 2 and pseudo labels of dataset 3, from COCO weights.

    Three tiles on each of three GPUs, the only recipe with nine in a step; SGD from 0.03 down to 0.025. The
    best was epoch 7 of 8.

    Peculiar: its pseudo labels are of an older round than the others', and it was validated on a fold of
    datasets 1 and 2 together.
    """
    return replace(
        detectors_x101_stage1(),
        name="detectors-r50-stage1",
        network=NetworkConfig(name="detectors-r50"),
        data=tiles(2048, DATASET_2, pseudo_labelled(EXP1)),
        augment=(
            FLIP,
            policies((SHEAR,), (TRANSLATE,), (ROTATE, SATURATE, EQUALISE)),
            SHIFT,
            TURN,
        ),
        schedule=cosine(to=0.025, warmup=250),
        batch_size=3,
        pretrained="detectors_htc_r50_1x_coco",
        deviations=(
            *COMMON,
            Deviation(
                path="data.pseudo.teachers",
                published="not known; the labels are older than the recipes of today's teachers",
                ours=list(EXP1.teachers),
                why="the older labels are not published and cannot be made again",
            ),
            Deviation(
                path="data.validation",
                published="datasets 1+2, fold 1",
                ours="dataset 1, fold 1",
                why="tiles of dataset 2 that it validated are trained on: all of dataset 2 is",
            ),
        ),
        # The README gives the threshold of the pseudo labels as 0.5.
        variants={"text": {"data": tiles(2048, DATASET_2, pseudo_labelled(replace(EXP1, threshold=0.5)))}},
    )


def detectors_r50() -> TileRecipe:
    """DetectoRS R50, stage 2: dataset 1, fold 1; the quickest member.

    23 epochs from 0.0125 to nothing, single mask loss; the best was epoch 21.
    """
    first = detectors_r50_stage1()
    return replace(
        first,
        name="detectors-r50",
        stage=2,
        data=tiles(2048, DATASET_1),
        augment=_FINE_TUNING,
        optimiser=replace(first.optimiser, lr=0.0125),
        schedule=cosine(to=1e-8, warmup=200),
        epochs=23,
        batch_size=2,
        pretrained=None,
        earlier_stage=first,
        demo=True,
        deviations=COMMON,
        variants={},
    )


_FINE_TUNING = (
    FLIP,
    policies(
        (SHEAR,),
        (TRANSLATE,),
        (DISTORT,),
        (CROP,),
        (CUT_OUT,),
        darken_and_rotate(0.5),
        (SATURATE, EQUALISE),
    ),
    SHIFT,
    TURN,
)
