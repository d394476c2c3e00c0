import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.errors import KitError
from train_local.data import augment
from train_local.recipes import Step

EXAMPLES = {
    "all_of": Step(name="all_of", choices=(Step(name="flip"), Step(name="equalise"))),
    "affine": Step(
        name="affine",
        options={"shift": 0.1, "scale": [0.8, 1.2], "rotate": 30.0, "shear": 0.1, "border": "constant"},
    ),
    "blur": Step(name="blur", options={"low": 3, "high": 9}),
    "brightness": Step(name="brightness", options={"low": 0.5, "high": 1.5}),
    "channel_shuffle": Step(name="channel_shuffle"),
    "clahe": Step(name="clahe", options={"limit": 4.0}),
    "contrast": Step(name="contrast", options={"low": 0.5, "high": 1.5}),
    "cutout": Step(name="cutout", options={"holes": [2, 4], "sides": [3, 9]}),
    "equalise": Step(name="equalise"),
    "flip": Step(name="flip"),
    "gamma": Step(name="gamma", options={"low": 0.5, "high": 2.0}),
    "hue": Step(name="hue", options={"degrees": 90.0}),
    "iou_crop": Step(name="iou_crop"),
    "noise": Step(name="noise", options={"sigma": 0.1}),
    "one_of": Step(
        name="one_of",
        choices=(Step(name="rot90", p=0.5), Step(name="blur", p=0.2, options={"low": 3, "high": 5})),
    ),
    "rot90": Step(name="rot90"),
    "saturation": Step(name="saturation", options={"low": 0.5, "high": 1.5}),
    "stain": Step(name="stain", options={"gain": 0.2, "offset": 0.1}),
    "translate": Step(name="translate", options={"pixels": 7}),
}
GEOMETRY = ("affine", "flip", "iou_crop", "rot90", "translate", "one_of", "all_of")


def example(height=48, width=64, seed=3):
    """An image whose red channel is its own annotation, so that both have to move together."""
    random = np.random.default_rng(seed)
    image_HWC = random.integers(0, 256, (height, width, 3), np.uint8)
    masks_NHW = np.zeros((3, height, width), bool)
    for number, (y, x) in enumerate(((4, 5), (20, 30), (30, 8))):
        masks_NHW[number, y : y + 12, x : x + 15] = True
    return image_HWC, masks_NHW


def test_every_operation_has_an_example():
    assert sorted(EXAMPLES) == augment.names()


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
@given(seed=st.integers(0, 2**32), name=st.sampled_from(["flip", "rot90", "translate", "iou_crop"]))
def test_image_and_masks_move_together(seed, name):
    _, masks_NHW = example()
    image_HWC = np.repeat((masks_NHW.any(axis=0) * 255).astype(np.uint8)[..., None], 3, axis=2)
    changed_HWC, changed_NHW = augment.instances(
        [EXAMPLES[name]], image_HWC, masks_NHW, np.random.default_rng(seed)
    )
    painted_HW, annotated_HW = changed_HWC[..., 0] > 0, changed_NHW.any(axis=0)
    if name == "iou_crop":  # parts of instances whose centre is outside stay visible, but lose their mask
        assert not (annotated_HW & ~painted_HW).any()
    else:
        assert np.array_equal(painted_HW, annotated_HW)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32), border=st.sampled_from(["reflect", "constant"]))
def test_a_rotated_disc_stays_on_its_mask(seed, border):
    y, x = np.mgrid[:65, :65]
    mask_HW = (((y - 20) ** 2 + (x - 30) ** 2) < 12**2).astype(np.uint8) * 255
    image_HWC = np.repeat(mask_HW[..., None], 3, axis=2)
    step = Step(name="affine", options={"shift": 0.1, "scale": 0.2, "rotate": 180.0, "border": border})
    changed_HWC, changed_HW = augment.semantic([step], image_HWC, mask_HW, np.random.default_rng(seed))
    both = ((changed_HWC[..., 0] > 127) & (changed_HW > 127)).sum()
    either = ((changed_HWC[..., 0] > 127) | (changed_HW > 127)).sum()
    assert both / max(either, 1) > 0.85


def test_a_reflected_border_leaves_no_black_corners():
    image_HWC = np.full((40, 60, 3), 200, np.uint8)
    step = Step(name="affine", options={"rotate": 45.0, "scale": [0.8, 0.8]})
    changed_HWC, _ = augment.semantic(
        [step], image_HWC, np.zeros((40, 60), np.uint8), np.random.default_rng(0)
    )
    assert changed_HWC.min() == 200


def test_one_of_draws_by_weight():
    choices = (
        Step(name="brightness", p=0.9, options={"low": 0.0, "high": 0.0}),
        Step(name="brightness", p=0.1, options={"low": 1.0, "high": 1.0}),
    )
    random, image_HWC, black = np.random.default_rng(0), np.full((4, 4, 3), 100, np.uint8), 0
    for _ in range(300):
        changed_HWC, _ = augment.semantic(
            [Step(name="one_of", choices=choices)], image_HWC, np.zeros((4, 4), np.uint8), random
        )
        black += int(changed_HWC.max() == 0)
    assert 240 < black < 295


def test_a_crop_keeps_every_touched_instance_above_the_drawn_overlap():
    image_HWC = np.zeros((64, 64, 3), np.uint8)
    masks_NHW = np.zeros((1, 64, 64), bool)
    masks_NHW[0, 8:56, 8:56] = True
    step = Step(name="iou_crop", options={"overlaps": [0.9], "least": 0.3})
    for seed in range(30):
        changed_HWC, changed_NHW = augment.instances(
            [step], image_HWC, masks_NHW, np.random.default_rng(seed)
        )
        height, width = changed_HWC.shape[:2]
        if (height, width) != (64, 64) and changed_NHW.sum() >= 0.9 * height * width:
            return
    pytest.fail("no window was cut tightly round the only instance")


def test_an_unknown_operation_is_told_with_the_known_ones():
    image_HWC, masks_NHW = example()
    with pytest.raises(KitError, match="no augmentation is called 'sharpen'") as caught:
        augment.instances([Step(name="sharpen")], image_HWC, masks_NHW, np.random.default_rng(0))
    assert "cutout" in str(caught.value.fix)
