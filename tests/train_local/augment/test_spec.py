import json

import numpy as np
import pytest

from kit.errors import KitError
from kit.typed_json import from_plain, to_plain
from train_local import augment
from train_local.augment import ByOrgan, Contrast, OneOf, Op, Sequence, Stain

FLIP = Op(op="RandomFlip", p=0.5, args={"direction": ["horizontal"]}, library="mmdet")
FLAT = Contrast(low=0.0, high=0.0)
SAME = Contrast(low=1.0, high=1.0)
IMAGE_HWC = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
MASK_HW = np.zeros((4, 4), np.uint8)


def share_of_flat(operation, draws=600, **facts):
    random, flat = np.random.default_rng(0), 0
    for _ in range(draws):
        changed_HWC, _ = augment.semantic([operation], IMAGE_HWC, MASK_HW, random, **facts)
        flat += int(changed_HWC.min() == changed_HWC.max())
    return flat / draws


def test_nested_operations_survive_json():
    steps = Sequence(
        steps=(
            FLIP,
            OneOf(p=0.4, choices=((FLIP, Stain(gain=0.1, offset=0.1)), ())),
            ByOrgan(organs={"lung": (FLIP,)}, otherwise=()),
            Op(library="mmdet", op="PhotoMetricDistortion", args={"contrast_range": (0.5, 1.5)}),
        )
    )
    assert from_plain(Sequence, json.loads(json.dumps(to_plain(steps)))) == steps


def test_as_many_weights_as_choices():
    with pytest.raises(KitError, match=r"2 choices and 1 weight\s"):
        OneOf(choices=((FLIP,), ()), weights=(1.0,))
    with pytest.raises(KitError, match="0 choices"):
        OneOf(choices=())


def test_an_argument_that_json_has_no_word_for_is_told():
    with pytest.raises(KitError, match="an argument of Shear cannot be stored in JSON"):
        Op(library="mmdet", op="Shear", args={"level": object()})
    with pytest.raises(KitError, match="an argument of Shear cannot be stored in JSON"):
        Op(library="mmdet", op="Shear", args={"level": float("nan")})


@pytest.mark.parametrize(
    ("operation", "share"),
    [
        (OneOf(choices=((FLAT,), (SAME,), (SAME,))), 1 / 3),
        (OneOf(choices=((SAME,), (FLAT,)), weights=(1, 3)), 0.75),
        # Inside a choice each operation keeps its own probability.
        (OneOf(choices=((SAME,), (SAME, Contrast(p=0.5, low=0.0, high=0.0)))), 0.25),
        (OneOf(p=0.4, choices=((FLAT,),)), 0.4),
        (Sequence(p=0.5, steps=(SAME, Contrast(p=0.5, low=0.0, high=0.0))), 0.25),
    ],
)
def test_probabilities_multiply_along_the_tree(operation, share):
    assert abs(share_of_flat(operation) - share) < 4 * (share * (1 - share) / 600) ** 0.5


def test_operations_of_the_organ_are_done():
    operation = ByOrgan(organs={"lung": (FLAT,), "spleen": (SAME,)})
    assert share_of_flat(operation, 5, organ="lung") == 1
    assert share_of_flat(operation, 5, organ="spleen") == 0
    assert share_of_flat(ByOrgan(organs={}, otherwise=(FLAT,)), 5) == 1


def test_an_organ_without_operations_is_told():
    with pytest.raises(KitError, match="no augmentation for prostate") as caught:
        share_of_flat(ByOrgan(organs={"lung": (FLAT,)}), 1, organ="prostate")
    assert "lung" in caught.value.fix
    with pytest.raises(KitError, match="an image whose organ is not known"):
        share_of_flat(ByOrgan(organs={"lung": (FLAT,)}), 1)


@pytest.mark.parametrize(
    ("operation", "problem", "fix"),
    [
        (
            Op(library="mmdet", op="RandomFlop"),
            "mmdet has no operation 'RandomFlop'",
            "did you mean 'RandomFlip'",
        ),
        (Op(library="albumentations", op="Clahe"), "albumentations has no operation 'Clahe'", "CLAHE"),
        (
            Op(library="mmdet", op="Shear", args={"lvl": 1}),
            "Shear refuses its arguments",
            "max_shear_magnitude",
        ),
        (Op(library="mmdet", op="Shear", args={"level": 11}), "The level should be in range", "level"),
        (Op(library="mmdet", op="Shear", args={"level": 1, "prob": 0.5}), "its probability 'prob'", "set p"),
        (Op(library="albumentations", op="CLAHE", args={"p": 0.5}), "its probability 'p'", "set p"),
        (Op(library="albumentations", op="CLAHE", args={"clip": 4}), "unexpected keyword", "tile_grid_size"),
        (
            Op(library="albumentations", op="GaussianBlur", args={"blur_limit": [4, 8]}),
            "two odd numbers",
            "blur_limit",
        ),
    ],
)
def test_a_wrong_operation_is_told_before_training_begins(operation, problem, fix):
    nested = (Sequence(steps=(OneOf(choices=((ByOrgan(organs={"lung": (operation,)}),),)),)),)
    with pytest.raises(KitError) as caught:
        augment.check(nested, "instance", recipe="mine")
    assert problem in caught.value.problem
    assert "recipe 'mine'" in caught.value.problem
    assert fix in caught.value.fix


def test_mmdets_geometry_is_for_instances():
    with pytest.raises(KitError, match="RandomFlip of mmdet is for instance masks"):
        augment.check((FLIP,), "semantic", recipe="mine")
    colours = Op(library="mmdet", op="ColorTransform", args={"level": 6})
    augment.check((colours,), "semantic", recipe="mine")
