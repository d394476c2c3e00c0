import cv2
import numpy as np
import pytest

from kit.inference.resize import fit, resize_image, resize_mask


def test_shrinking_by_a_whole_factor_is_the_mean_of_each_block():
    image_HWC = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
    blocks = image_HWC.reshape(2, 3, 3, 3, 3).mean(axis=(1, 3))
    assert np.abs(resize_image(image_HWC, 2, 3) - blocks).max() <= 0.5


def test_the_same_size_is_the_same_image():
    image_HWC = np.zeros((4, 5, 3), np.uint8)
    assert resize_image(image_HWC, 4, 5) is image_HWC
    mask_HW = np.ones((4, 5), bool)
    assert resize_mask(mask_HW, 4, 5, 0.9) is mask_HW


def test_an_image_that_grows_on_one_axis_and_shrinks_on_the_other_is_bilinear():
    image_HWC = np.random.default_rng(0).integers(0, 256, (4, 9, 3), np.uint8)
    expected = cv2.resize(image_HWC, (4, 9), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(resize_image(image_HWC, 9, 4), expected)


@pytest.mark.parametrize(
    ("size", "longer", "expected"),
    [((512, 512), 2048, (2048, 2048)), ((256, 320), 640, (512, 640)), ((1, 5000), 100, (1, 100))],
)
def test_fit_keeps_the_ratio_and_at_least_one_pixel(size, longer, expected):
    assert fit(*size, longer) == expected


def test_a_mask_enlarged_and_shrunk_again_is_itself():
    mask_HW = np.zeros((16, 20), bool)
    mask_HW[3:9, 5:17] = True
    enlarged = resize_mask(mask_HW, 64, 80, 0.5)
    assert np.array_equal(resize_mask(enlarged, 16, 20, 0.5), mask_HW)


@pytest.mark.parametrize(("threshold", "kept"), [(0.5, True), (0.6, False)])
def test_a_half_covered_pixel_belongs_to_the_mask_from_its_threshold_on(threshold, kept):
    mask_HW = np.array([[True, False], [True, False]])
    assert resize_mask(mask_HW, 1, 1, threshold).item() is kept
