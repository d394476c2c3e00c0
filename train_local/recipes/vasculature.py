"""What the recipes of the vasculature's 3rd place share: tiles, operations, pseudo labels.

Each network is trained twice. Stage 1 sees all tiles of dataset 2 (and, in three of the recipes, tiles of
dataset 3 with pseudo labels); stage 2 goes on with its weights on dataset 1, whose labels are the best.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from kit.inference.instance_settings import InstanceSettings
from train_local.augment import Flip, OneOf, Rot90, Stain
from train_local.augment.spec import AnyOperation
from train_local.recipes.base import Recipe
from train_local.recipes.operations import albumentations, mmdet
from train_local.recipes.settings import (
    Data,
    Deviation,
    Ema,
    ImageSet,
    Optimiser,
    ParameterGroup,
    PseudoRound,
    Schedule,
    Validation,
    Warmup,
)

FLIPS = ("identity", "hflip", "vflip")
DATASET_1 = ImageSet(dataset=1)
DATASET_2 = ImageSet(dataset=2, wsis=("1", "2", "3", "4"), part="all")

EXP2 = PseudoRound(
    name="exp2",
    dataset=3,
    wsis=("6", "7"),
    teachers=("detectors-x101", "cbnetv2-swin-b", "vit-adapter-l-teacher"),
    threshold=0.6,
    iou=0.6,
    skip=0.01,
    votes=1,
    closing=3,
)
"""The teachers are those of the README. The saved notebook fused two: DetectoRS X101 and a CBNet that had
itself been trained with pseudo labels, whose second stage is not published."""

EXP1 = replace(EXP2, name="exp1")
"""An older round, of which only the threshold is known. It is made again like the second."""


@dataclass(frozen=True, kw_only=True)
class TileRecipe(Recipe):
    """An instance network on whole tiles of 512 pixels.

    Attributes:
        demo: the demo trains its tiny form, alone: from random weights, with more steps.
    """

    earlier_stage: TileRecipe | None = None
    demo: bool = False

    def tiny(self) -> TileRecipe:
        """The same architecture with an eighth of its width, trained from random weights on crops.

        Random weights need a batch norm that trains, and AdamW. The published recipes start from pretrained
        weights, for which frozen statistics and SGD are enough. A second stage goes on with the weights of
        the tiny first stage and needs fewer steps. A tiny round of pseudo labels has the tiny teachers.
        """
        stage = None if self.earlier_stage is None or self.demo else self.earlier_stage.tiny()
        steps = 200 if self.demo else 40 if stage is not None else 20
        return replace(
            self,
            name=f"{self.name}-tiny",
            network=self.network.tiny(),
            inference=InstanceSettings(size=480, max_per_image=150),
            views=("identity", "hflip"),
            # Nuclei are small: at 1.5 times the tiles' resolution the finest anchors (24 pixels) fit them. At
            # 1.5 the 320 pixels of a tile are the 480 of `inference`.
            data=Data(
                tile=None,
                scale=1.5,
                crop=160,
                sets=tuple(_tiny_set(part) for part in self.data.sets),
                examples_per_image=4,
                workers=0,
            ),
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
            iterations=steps,
            batch_size=4 if self.demo else 2,
            gpus=1,
            sync_bn=False,
            ema=Ema(decay=0.98, ramp=True),
            grad_clip=10.0,
            precision="32-true",
            loss_scale=None,
            losses={},
            half=True,
            validation=Validation(every=100 if self.demo else steps, unit="iteration"),
            pretrained=None,
            earlier_stage=stage,
            variants={},
        )


def _tiny_set(part: ImageSet) -> ImageSet:
    """The same images; pseudo labels come from tiny teachers, which are less sure of themselves."""
    if part.labels is None:
        return part
    teachers = tuple(f"{name}-tiny" for name in part.labels.teachers)
    return replace(part, labels=replace(part.labels, teachers=teachers, threshold=part.labels.threshold / 10))


def pseudo_labelled(labels: PseudoRound) -> ImageSet:
    """Tiles of dataset 3 with the labels of a round."""
    return ImageSet(dataset=labels.dataset, wsis=labels.wsis, part="all", labels=labels)


def tiles(side: int, *sets: ImageSet) -> Data:
    """Tiles of 512 pixels, enlarged to a side of `side`."""
    return Data(tile=None, scale=side / 512, crop=None, sets=sets)


def cosine(*, to: float, warmup: int) -> Schedule:
    """A cosine by iteration, which a linear warm-up from a thousandth multiplies."""
    return Schedule(min_lr=to, warmup=Warmup(steps=warmup, start_factor=0.001, multiplies_policy=True))


def policies(*choices: tuple[AnyOperation, ...]) -> OneOf:
    """Draw one of several lists evenly, then do each of its operations with its own probability.

    A list of one operation with p = 0.4 changes nothing in 60 % of the cases in which it is drawn.
    """
    return OneOf(choices=choices)


VALIDATION = Validation(every=1, views=FLIPS)

FLIP = mmdet("RandomFlip", p=0.5, direction=["horizontal", "vertical"])
SHIFT = albumentations("ShiftScaleRotate", p=0.4, shift_limit=0.0625, scale_limit=0.15, rotate_limit=15)
TURN = albumentations("RandomRotate90", p=0.4)
SHEAR = mmdet("Shear", p=0.4, level=0)
"""Level 0 is no shear: it takes a share of the draws and changes nothing."""
TRANSLATE = mmdet("Translate", p=0.4, level=5)
ROTATE = mmdet("Rotate", p=0.6, level=10)
SATURATE = mmdet("ColorTransform", level=6)
EQUALISE = mmdet("EqualizeTransform", p=0.5)
DISTORT = mmdet("PhotoMetricDistortion", brightness_delta=32, contrast_range=[0.5, 1.5], hue_delta=18)
CROP = mmdet("MinIoURandomCrop", min_ious=[0.4, 0.5, 0.6, 0.7, 0.8, 0.9], min_crop_size=0.3)
SHAPES = [[4, 4], [4, 8], [8, 4], [8, 8], [16, 32], [32, 16], [32, 32], [32, 48], [48, 32], [48, 48]]
CUT_OUT = mmdet("CutOut", n_holes=[5, 10], cutout_shape=SHAPES)


def darken_and_rotate(p: float) -> tuple[AnyOperation, ...]:
    """Less brightness, more contrast, a turn by 30 degrees to either side."""
    return (mmdet("BrightnessTransform", p=p, level=4), mmdet("ContrastTransform", p=p, level=6), ROTATE)


_METRIC = Deviation(
    path="eval.metric",
    published="COCO segm mAP 0.5:0.95",
    ours="AP@0.6",
    why="the weights are chosen by what the competition scores",
)
_AUGMENTATION = (
    Deviation(
        path="augment.boxes",
        published="mmdet turns and shears the corners of boxes, which makes them larger than the object",
        ours="boxes around the masks after augmentation",
        why="box and mask are of one object",
    ),
    Deviation(
        path="augment.values",
        published="PhotoMetricDistortion hands on float values below 0 and above 255",
        ours="rounded, and cut off at 0 and 255",
        why="an example is stored in bytes",
    ),
    Deviation(
        path="augment.border",
        published="what albumentations mirrors at the border is in the mask, and not in the box",
        ours="it is in neither; the image is mirrored as published",
        why="a box around both parts of a mask would be of no object",
    ),
    Deviation(
        path="augment.shift",
        published="ShiftScaleRotate shifts by parts of a pixel",
        ours="by whole pixels",
        why="albumentations 2.0.8 rounds towards 0",
    ),
)
COMMON = (_METRIC, *_AUGMENTATION)
"""What no recipe of this solution takes over."""
SYNC_BN = Deviation(
    path="batch.statistics",
    published="batch norms of box heads (and the adapter) over the tiles of three GPUs",
    ours="over the tiles of the GPUs that train together",
    why="one GPU does not hold six tiles at once; --gpus-per-run 3 is as published",
)
PSEUDO_LABELS = (
    Deviation(
        path="data.pseudo.teachers",
        published="detectors-x101 and a CBNet that had been trained with pseudo labels",
        ours=list(EXP2.teachers),
        why="that CBNet's second stage is not published; these three are the README's",
    ),
    Deviation(
        path="data.pseudo.sizes",
        published="detectors-x101 at 2048 pixels, the CBNet at 1600",
        ours="both at 2048, the ViT at 1400",
        why="the README's CBNet is another one; each teacher predicts as it does on Kaggle",
    ),
    Deviation(
        path="data.pseudo.closing",
        published="a cross of 3 x 3 pixels",
        ours=EXP2.closing,
        why="a square of this side: predict.py's fusion of instances makes the labels, too",
    ),
)
"""What the rounds of pseudo labels do not take over."""
