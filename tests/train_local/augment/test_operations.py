import json
from dataclasses import dataclass
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.errors import KitError
from kit.typed_json import from_plain, to_plain
from train_local import augment
from train_local.augment import (
    Affine,
    AnyOperation,
    ByOrgan,
    Contrast,
    Flip,
    OneOf,
    Op,
    Rot90,
    Saturation,
    Sequence,
    Stain,
)

OPERATIONS = [
    Sequence(steps=(Flip(), Saturation(low=0.0, high=0.0))),
    Affine(shift=0.1, scale=(0.8, 1.2), rotate=30.0, shear=0.1, border="constant"),
    Contrast(low=0.5, high=1.5),
    Flip(),
    ByOrgan(organs={}, otherwise=(Rot90(),)),
    OneOf(choices=((Rot90(p=0.5),), (Contrast(low=0.5, high=0.6),)), weights=(5, 2)),
    Op(library="albumentations", op="RandomRotate90"),
    Rot90(),
    Saturation(low=0.5, high=1.5),
    Stain(gain=0.2, offset=0.1),
]
EXAMPLES = {operation.name: operation for operation in OPERATIONS}
GEOMETRY = ("affine", "flip", "rot90", "by_organ", "one_of", "op", "sequence")


def example(height=48, width=64, seed=3):
    """An image whose red channel is its own annotation, so that both have to move together."""
    random = np.random.default_rng(seed)
    image_HWC = random.integers(0, 256, (height, width, 3), np.uint8)
    masks_NHW = np.zeros((3, height, width), bool)
    for number, (y, x) in enumerate(((4, 5), (20, 30), (30, 8))):
        masks_NHW[number, y : y + 12, x : x + 15] = True
    return image_HWC, masks_NHW


def test_every_operation_has_an_example():
    assert {type(operation) for operation in OPERATIONS} == set(get_args(AnyOperation))


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_every_operation_comes_back_from_json(name):
    @dataclass(frozen=True)
    class Holder:
        operations: tuple[AnyOperation, ...]

    value = json.loads(json.dumps(to_plain(Holder((EXAMPLES[name],)))))
    assert from_plain(Holder, value).operations == (EXAMPLES[name],)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
class TestEveryOperation:
    def test_the_generator_decides_everything(self, name):
        image_HWC, masks_NHW = example()
        first, second = (
            augment.instances([EXAMPLES[name]], image_HWC, masks_NHW, np.random.default_rng(8))
            for _ in range(2)
        )
        assert np.array_equal(first[0], second[0])
        assert np.array_equal(first[1], second[1])

    def test_types_and_agreement_of_sizes_are_kept(self, name):
        image_HWC, masks_NHW = example()
        changed_HWC, changed_NHW = augment.instances(
            [EXAMPLES[name]], image_HWC, masks_NHW, np.random.default_rng(8)
        )
        assert (changed_HWC.dtype, changed_NHW.dtype) == (np.uint8, bool)
        assert changed_NHW.shape == (3, *changed_HWC.shape[:2])
        mask_HW = (masks_NHW.any(axis=0) * 200).astype(np.uint8)
        changed_HWC, changed_HW = augment.semantic(
            [EXAMPLES[name]], image_HWC, mask_HW, np.random.default_rng(8)
        )
        assert changed_HW.dtype == np.uint8
        assert changed_HW.shape == changed_HWC.shape[:2]

    def test_the_input_is_left_alone(self, name):
        image_HWC, masks_NHW = example()
        augment.instances([EXAMPLES[name]], image_HWC, masks_NHW, np.random.default_rng(8))
        again_HWC, again_NHW = example()
        assert np.array_equal(image_HWC, again_HWC)
        assert np.array_equal(masks_NHW, again_NHW)

    def test_it_does_something_and_colours_leave_masks_alone(self, name):
        image_HWC, masks_NHW = example()
        results = [
            augment.instances([EXAMPLES[name]], image_HWC, masks_NHW, np.random.default_rng(seed))
            for seed in range(8)
        ]
        assert any(not np.array_equal(changed, image_HWC) for changed, _ in results)
        if name not in GEOMETRY:
            assert all(np.array_equal(changed, masks_NHW) for _, changed in results)

    def test_an_image_without_instances_passes(self, name):
        image_HWC, masks_NHW = example()
        _, changed_NHW = augment.instances(
            [EXAMPLES[name]], image_HWC, masks_NHW[:0], np.random.default_rng(1)
        )
        assert len(changed_NHW) == 0


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32), name=st.sampled_from(["flip", "rot90"]))
def test_image_and_masks_move_together(seed, name):
    _, masks_NHW = example()
    image_HWC = np.repeat((masks_NHW.any(axis=0) * 255).astype(np.uint8)[..., None], 3, axis=2)
    changed_HWC, changed_NHW = augment.instances(
        [EXAMPLES[name]], image_HWC, masks_NHW, np.random.default_rng(seed)
    )
    painted_HW, annotated_HW = changed_HWC[..., 0] > 0, changed_NHW.any(axis=0)
    assert np.array_equal(painted_HW, annotated_HW)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32), border=st.sampled_from(["reflect", "constant"]))
def test_a_rotated_disc_stays_on_its_mask(seed, border):
    y, x = np.mgrid[:65, :65]
    mask_HW = (((y - 20) ** 2 + (x - 30) ** 2) < 12**2).astype(np.uint8) * 255
    image_HWC = np.repeat(mask_HW[..., None], 3, axis=2)
    step = Affine(shift=0.1, scale=0.2, rotate=180.0, border=border)
    changed_HWC, changed_HW = augment.semantic([step], image_HWC, mask_HW, np.random.default_rng(seed))
    both = ((changed_HWC[..., 0] > 127) & (changed_HW > 127)).sum()
    either = ((changed_HWC[..., 0] > 127) | (changed_HW > 127)).sum()
    assert both / max(either, 1) > 0.85


def test_a_reflected_border_leaves_no_black_corners():
    image_HWC = np.full((40, 60, 3), 200, np.uint8)
    step = Affine(rotate=45.0, scale=(0.8, 0.8))
    changed_HWC, _ = augment.semantic(
        [step], image_HWC, np.zeros((40, 60), np.uint8), np.random.default_rng(0)
    )
    assert changed_HWC.min() == 200


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Flip(directions=("diagonal",)), "'diagonal'"),
        (lambda: Flip(p=1.5), "p is 1.5; it has to be at least 0 and at most 1"),
        (lambda: Affine(rotate="a lot"), "rotate is 'a lot', not a number"),
        (lambda: Affine(scale=(0.0, 1.0)), "it has to be above 0"),
        (lambda: OneOf(choices=((Flip(),), ("rot90",))), r"choices\[1\]\[0\] is 'rot90'"),
    ],
)
def test_a_wrong_option_is_told_when_the_operation_is_made(make, message):
    with pytest.raises(KitError, match=message):
        make()
