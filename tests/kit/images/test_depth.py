"""16-bit samples: cut by a rule that looks at tags only, and says so."""

import numpy as np
import pytest
import tifffile

from kit.images.header import read_header
from kit.images.slide import open_slide


def written(path, image, largest=None, tag=281, **options):
    extra = [] if largest is None else [(tag, "H", 1, largest, True)]
    tifffile.imwrite(path, image, photometric="rgb", extratags=extra, **options)
    return path


@pytest.fixture
def deep_HWC():
    return np.random.default_rng(5).integers(0, 65536, (60, 50, 3), np.uint16)


@pytest.mark.parametrize(
    ("tag", "largest", "bits"),
    [(281, None, 16), (281, 65535, 16), (281, 4095, 12), (281, 3000, 12), (341, 1023, 10), (281, 200, 8)],
)
def test_the_upper_8_significant_bits_are_the_level(tmp_path, deep_HWC, tag, largest, bits):
    image_HWC = deep_HWC >> (16 - bits)
    for byteorder in "<>":
        for coded in ({}, {"compression": "deflate", "predictor": True, "tile": (32, 32)}):
            path = written(tmp_path / "deep.tif", image_HWC, largest, tag, byteorder=byteorder, **coded)
            assert read_header(path).significant_bits == bits
            with open_slide(path) as slide:
                assert np.array_equal(slide.read_band(0, 60), image_HWC >> (bits - 8))


@pytest.mark.parametrize(("largest", "level"), [(4095, 5000), (32767, 40000)])
def test_samples_above_the_largest_that_the_file_names_are_white(tmp_path, largest, level):
    image_HWC = np.full((20, 20, 3), level, np.uint16)
    with open_slide(written(tmp_path / "deep.tif", image_HWC, largest)) as slide:
        assert (slide.read_band(0, 20) == 255).all()


@pytest.mark.parametrize(
    ("largest", "note"),
    [
        (None, "its samples of 16 bits are cut to 8: value >> 8"),
        (4095, "its samples of 16 bits, 12 of them significant are cut to 8: value >> 4"),
    ],
)
def test_the_rule_is_told(tmp_path, deep_HWC, largest, note):
    with open_slide(written(tmp_path / "deep.tif", deep_HWC >> 4, largest)) as slide:
        assert slide.notes == (note,)


@pytest.mark.parametrize("largest", [47, 1000])
def test_the_largest_sample_of_8_bit_images_changes_nothing(tmp_path, largest):
    image_HWC = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    with open_slide(written(tmp_path / "flat.tif", image_HWC, largest)) as slide:
        assert slide.header.significant_bits == 8
        assert np.array_equal(slide.read_band(0, 4), image_HWC)
        assert slide.notes == ()


def test_alpha_of_16_bits_is_left_out(tmp_path, deep_HWC):
    rgba_HWC = np.concatenate([deep_HWC, deep_HWC[..., :1]], axis=2)
    path = written(tmp_path / "deep.tif", rgba_HWC, extrasamples=["unassalpha"])
    with open_slide(path) as slide:
        assert np.array_equal(slide.read_band(0, 60), deep_HWC >> 8)
