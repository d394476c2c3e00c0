import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.tissue import labelled, published_rule, rows, tally
from kit.images.tissue import is_background

STAIN = (150, 90, 160)


def glass(height, width):
    shades = np.random.default_rng(3).normal((236, 233, 238), 3, (height, width, 3))
    return shades.clip(0, 255).astype(np.uint8)


GLASS_HWC = glass(924, 684)


@pytest.mark.parametrize("colour", [(236, 233, 238), (255, 255, 255), (0, 0, 0), (8, 9, 7)])
@pytest.mark.parametrize("shape", [(300, 200), (64, 64), (1, 1), (1, 1000), (0, 5)])
def test_even_glass_and_padding_are_background(colour, shape):
    assert is_background(np.full((*shape, 3), colour, np.uint8))


def test_noise_of_the_scanner_on_glass_is_background():
    assert is_background(glass(500, 700))


@pytest.mark.parametrize("colour", [STAIN, (230, 200, 225), (200, 200, 200), (255, 255, 220)])
def test_stain_grey_and_tint_are_tissue(colour):
    assert not is_background(np.full((100, 100, 3), colour, np.uint8))


@given(st.integers(0, 900), st.integers(0, 660))
def test_a_lone_object_is_seen_anywhere_in_a_window_of_any_size(top, left):
    window_HWC = GLASS_HWC.copy()
    window_HWC[top : top + 24, left : left + 24] = STAIN
    assert not is_background(window_HWC)
    assert not is_background(np.pad(window_HWC, ((0, 900), (0, 900), (0, 0)), mode="reflect"))


def test_a_speck_does_not_make_tissue():
    window_HWC = glass(300, 300)
    window_HWC[128:132, 40:44] = STAIN
    assert is_background(window_HWC)


@pytest.mark.parametrize(("name", "core", "context"), [("kidney", 64, 16), ("kidney", 128, 32)])
def test_no_labelled_region_of_the_sample_is_lost(name, core, context):
    cores, _, lost = tally(list(labelled(name)), core, context, is_background)
    assert cores > 100
    assert lost == 0


def test_no_labelled_nucleus_is_lost_where_the_published_rule_loses_some():
    images = list(labelled("vasculature"))
    assert tally(images, 64, 0, is_background)[2] == 0
    assert tally(images, 64, 0, published_rule)[2] > 0


def test_glass_around_labelled_tissue_is_skipped():
    images = [
        (np.pad(image_HWC, ((400, 400), (400, 400), (0, 0)), constant_values=240), np.pad(truth_HW, 400))
        for image_HWC, truth_HW in labelled("kidney")
    ]
    cores, skipped, lost = tally(images, 128, 32, is_background)
    assert lost == 0
    assert skipped > cores // 4


def test_the_benchmarks_table_has_both_rules():
    lines = list(rows(small=True, rounds=1))
    assert [line[3] for line in lines] == ["ours", "published"] * 2
    assert [line[5] for line in lines if line[3] == "ours"] == ["0", "0"]
