"""Samples of any layout become 8-bit RGB."""

import numpy as np
import pytest

from kit.images.pixels import to_rgb

RANDOM = np.random.default_rng(0)


def rgb(planes, shift):
    out_HWC = np.zeros((5, 7, 3), np.uint8)
    to_rgb(planes, shift, out_HWC)
    return out_HWC


@pytest.mark.parametrize("channels", [3, 4, 5])
def test_of_8_bits_the_first_three_channels_stay(channels):
    samples_HWC = RANDOM.integers(0, 256, (5, 7, channels), np.uint8)
    assert np.array_equal(rgb([samples_HWC], 0), samples_HWC[:, :, :3])
    planes = [np.ascontiguousarray(samples_HWC[:, :, [number]]) for number in range(3)]
    assert np.array_equal(rgb(planes, 0), samples_HWC[:, :, :3])


@pytest.mark.parametrize("order", ["<u2", ">u2"])
@pytest.mark.parametrize(("shift", "largest"), [(8, 65535), (4, 65535), (4, 4095)])
def test_of_16_bits_the_upper_ones_count_in_either_byte_order(order, shift, largest):
    samples_HWC = RANDOM.integers(0, largest + 1, (5, 7, 3)).astype(order)
    assert np.array_equal(rgb([samples_HWC], shift), np.minimum(samples_HWC.astype(int) >> shift, 255))
