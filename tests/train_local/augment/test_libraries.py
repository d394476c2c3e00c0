"""What holds for each operation of a library, whatever it does."""

import random as python_random

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from train_local import augment
from train_local.augment import OneOf, Op, published

COLOURS = {
    "AddGammaCorrection": {"gamma1": 2.5, "gamma2": 4.0},
    "CLAHE": {"clip_limit": 4},
    "ChannelShuffle": {},
    "CoarseDropout": {"max_holes": 5, "min_holes": 2, "max_height": 9, "min_height": 3},
    "ColorJitter": {},
    "Cutout": {"num_holes": 5},
    "Downscale": {"scale_min": 0.1, "scale_max": 0.4, "interpolation": "linear"},
    "GaussianBlur": {"blur_limit": [3, 9]},
    "GridDropout": {"ratio": 0.5, "fill_value": 230, "random_offset": True},
    "HueSaturationValue": {"order": "BGR"},
    "RandomBrightness": {"limit": [-0.2, 0.1]},
    "RandomBrightnessContrast": {},
    "RandomGamma": {"gamma_limit": [25, 250]},
}
BENDING = {
    "ElasticTransform": {"alpha": 60, "sigma": 6.0, "alpha_affine": 3.6},
    "GridDistortion": {},
    "OpticalDistortion": {"distort_limit": 2, "shift_limit": 0.5},
    "PiecewiseAffine": {},
    "Rotate": {},
    "ShiftScaleRotate": {},
}
CUTTING = {
    "Crop": {"x_min": 3, "y_min": 5, "x_max": 40, "y_max": 33},
    "RandomResizedCrop": {"size": [40, 40]},
}
MIRRORING = {"Flip": {}, "HorizontalFlip": {}, "RandomRotate90": {}, "VerticalFlip": {}}
MMDET_COLOURS = {
    "BrightnessTransform": {"level": 4},
    "ColorTransform": {"level": 6},
    "ContrastTransform": {"level": 6},
    "CutOut": {"n_holes": [5, 10], "cutout_shape": [[4, 4], [4, 8]]},
    "EqualizeTransform": {},
    "PhotoMetricDistortion": {"hue_delta": 15},
}
MMDET_GEOMETRY = {
    "MinIoURandomCrop": {"min_ious": [0.4, 0.5], "min_crop_size": 0.3},
    "RandomFlip": {"direction": ["horizontal", "vertical"]},
    "Rotate": {"level": 10},
    "Shear": {"level": 5},
    "Translate": {"level": 1},
}


def made(library, table):
    return [Op(library=library, op=op, args=args) for op, args in table.items()]


BOTH = made("albumentations", COLOURS | BENDING | CUTTING | MIRRORING) + made("mmdet", MMDET_COLOURS)
INSTANCE = [*BOTH, *made("mmdet", MMDET_GEOMETRY)]
MOVING = {*BENDING, *CUTTING, *MIRRORING, *MMDET_GEOMETRY}


def name_of(operation):
    return f"{operation.library}-{operation.op}"


def example(height=48, width=64):
    image_HWC = np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8)
    masks_NHW = np.zeros((3, height, width), bool)
    for number, (y, x) in enumerate(((4, 5), (20, 30), (30, 8))):
        masks_NHW[number, y : y + 12, x : x + 15] = True
    return image_HWC, masks_NHW


def done(operation, kind, seed):
    image_HWC, masks_NHW = example()
    random = np.random.default_rng(seed)
    if kind == "instance":
        return augment.instances([operation], image_HWC, masks_NHW, random)
    return augment.semantic([operation], image_HWC, masks_NHW.any(axis=0).astype(np.uint8) * 255, random)


@pytest.mark.parametrize("operation", BOTH, ids=name_of)
def test_semantic_examples_keep_types_and_agree_in_size(operation):
    image_HWC, mask_HW = done(operation, "semantic", 8)
    assert image_HWC.dtype == mask_HW.dtype == np.uint8
    assert image_HWC.flags.c_contiguous
    assert mask_HW.shape == image_HWC.shape[:2]
    assert set(np.unique(mask_HW)) <= {0, 255}
    before_HWC, masks_NHW = example()
    results = [done(operation, "semantic", seed) for seed in range(6)]
    assert any(not np.array_equal(changed, before_HWC) for changed, _ in results)
    if operation.op not in MOVING:
        assert all(np.array_equal(changed, masks_NHW.any(axis=0) * 255) for _, changed in results)


@pytest.mark.parametrize("operation", INSTANCE, ids=name_of)
def test_instances_keep_types_and_agree_in_size(operation):
    image_HWC, masks_NHW = done(operation, "instance", 8)
    assert (image_HWC.dtype, masks_NHW.dtype) == (np.uint8, bool)
    assert masks_NHW.shape[1:] == image_HWC.shape[:2]
    assert set(np.unique(masks_NHW.view(np.uint8))) <= {0, 1}
    before_HWC, before_NHW = example()
    results = [done(operation, "instance", seed) for seed in range(6)]
    assert any(not np.array_equal(changed, before_HWC) for changed, _ in results)
    if operation.op not in MOVING:
        assert all(np.array_equal(changed, before_NHW) for _, changed in results)


@pytest.mark.parametrize("operation", INSTANCE, ids=name_of)
def test_an_image_without_instances_passes(operation):
    image_HWC, masks_NHW = example()
    changed_HWC, changed_NHW = augment.instances(
        [operation], image_HWC, masks_NHW[:0], np.random.default_rng(1)
    )
    assert changed_NHW.shape == (0, *changed_HWC.shape[:2])


@pytest.mark.parametrize("operation", INSTANCE, ids=name_of)
def test_the_examples_generator_decides_everything_and_the_global_ones_stay(operation):
    first = done(operation, "instance", 5)
    global_numpy = np.random.mtrand._rand
    global_numpy.seed(77)
    python_random.seed(78)
    of_numpy, of_python = global_numpy.get_state()[1].copy(), python_random.getstate()
    second = done(operation, "instance", 5)
    assert np.array_equal(global_numpy.get_state()[1], of_numpy)
    assert python_random.getstate() == of_python
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])


@pytest.mark.parametrize("operation", INSTANCE, ids=name_of)
def test_the_input_is_left_alone(operation):
    image_HWC, masks_NHW = example()
    augment.instances([operation], image_HWC, masks_NHW, np.random.default_rng(8))
    again_HWC, again_NHW = example()
    assert np.array_equal(image_HWC, again_HWC)
    assert np.array_equal(masks_NHW, again_NHW)


class Examples(Dataset):
    """Examples of one pipeline, each made of its own generator."""

    operations = (OneOf(choices=tuple((operation,) for operation in INSTANCE)),) * 3

    def __len__(self):
        return 24

    def __getitem__(self, number):
        image_HWC, masks_NHW = example()
        random = np.random.default_rng(number)
        image_HWC, masks_NHW = augment.instances(self.operations, image_HWC, masks_NHW, random)
        return torch.from_numpy(image_HWC), torch.from_numpy(masks_NHW)


# torch thinks 4 workers too many for a machine of 2 cores; here they only have to be several.
@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker processes")
def test_examples_depend_on_neither_workers_nor_order():
    # The libraries are imported here once; the workers, which are forks, find them loaded.
    expected = [Examples()[number] for number in range(24)]
    backwards = [Examples()[number] for number in reversed(range(24))][::-1]
    loaded = [list(DataLoader(Examples(), batch_size=None, num_workers=workers)) for workers in (1, 4)]
    for other in (backwards, *loaded):
        for one, two in zip(expected, other, strict=True):
            assert torch.equal(one[0], two[0])
            assert torch.equal(one[1], two[1])


class TestMovedMasks:
    """`published.moved` does to all masks what it would do to each."""

    @pytest.mark.parametrize("overlap", [False, True])
    def test_masks_that_overlap_and_masks_that_do_not(self, overlap):
        _, masks_NHW = example()
        masks_NHW = masks_NHW.astype(np.uint8)
        if overlap:
            masks_NHW[1] |= masks_NHW[0]

        def to_the_right(mask_HW):
            return np.roll(mask_HW, 20, axis=1)

        expected = np.stack([to_the_right(mask_HW) for mask_HW in masks_NHW])
        assert np.array_equal(published.moved(masks_NHW, to_the_right), expected)

    def test_empty_masks_and_masks_that_leave_the_image(self):
        masks_NHW = np.zeros((3, 8, 9), np.uint8)
        masks_NHW[1, 2:4, 0] = 1
        moved = published.moved(masks_NHW, lambda mask_HW: mask_HW[:, 1:])
        assert moved.shape == (3, 8, 8)
        assert not moved.any()

    def test_more_masks_than_a_byte_counts(self):
        masks_NHW = (np.arange(300) == np.arange(300)[:, None]).astype(np.uint8)[:, None]
        assert np.array_equal(published.moved(masks_NHW, lambda mask_HW: mask_HW), masks_NHW)
