import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.inference import crops, views

SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40))


def whole(crop, size):
    mask_HW = np.zeros(size, bool)
    if crop is not None:
        rows, columns = crop.pixels.shape
        mask_HW[crop.top : crop.top + rows, crop.left : crop.left + columns] = crop.pixels
    return mask_HW


def blob(rng, size):
    """Some noise in a rectangle."""
    (y1, y2), (x1, x2) = (sorted(rng.integers(0, side + 1, 2)) for side in size)
    mask_HW = np.zeros(size, bool)
    mask_HW[y1:y2, x1:x2] = rng.random((y2 - y1, x2 - x1)) < 0.8
    return mask_HW


def only(mask_HW):
    return next(crops.cut(torch.from_numpy(mask_HW)[None], [0], "identity"))


@pytest.mark.parametrize("view", [*views.names(), "rot90@0.5"])
@pytest.mark.parametrize("at_once", [1, 1 << 26])
def test_masks_are_cut_in_any_order_and_turned_back(monkeypatch, view, at_once):
    monkeypatch.setattr(crops, "_COPIED", at_once)
    rng = np.random.default_rng(1)
    masks = [blob(rng, (9, 13)) for _ in range(5)] + [np.zeros((9, 13), bool), np.ones((9, 13), bool)]
    shown = torch.stack([views.apply(view, torch.from_numpy(mask_HW)) for mask_HW in masks])
    order = [4, 6, 0, 5, 2]
    found = list(crops.cut(shown, order, view))
    assert found[3] is None
    for index, crop in zip(order, found, strict=True):
        assert np.array_equal(whole(crop, (9, 13)), masks[index])
        assert crop is None or (crop.pixels.any(0)[[0, -1]].all() and crop.pixels.any(1)[[0, -1]].all())


def test_nothing_is_cut_out_of_no_masks():
    assert list(crops.cut(torch.zeros((0, 4, 4), dtype=torch.bool), [], "hflip")) == []


@settings(deadline=None, max_examples=200)
@given(seed=st.integers(0, 10**6), source=SIZES, target=SIZES, threshold=st.sampled_from([0.2, 0.5, 0.7]))
def test_coverage_is_that_of_a_whole_mask_resampled_as_an_image(seed, source, target, threshold):
    mask_HW = blob(np.random.default_rng(seed), source)
    mask_HW[0, 0] = True
    found_HW = whole(crops.resize(only(mask_HW), source, target, threshold), target)
    shrinks = target[0] <= source[0] and target[1] <= source[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    coverage_HW = cv2.resize(mask_HW.astype(np.float32), target[::-1], interpolation=method)
    clear = np.abs(coverage_HW - threshold) > 1e-4  # exactly half is rounded either way there
    assert np.array_equal(found_HW[clear], (coverage_HW >= threshold)[clear])


@settings(deadline=None)
@given(seed=st.integers(0, 10**6), source=SIZES, target=SIZES, view=st.sampled_from(views.names()))
def test_a_mirrored_mask_is_resized_to_the_mirrored_mask(seed, source, target, view):
    mask_HW = blob(np.random.default_rng(seed), source)
    mask_HW[-1, 0] = True
    straight_HW = whole(crops.resize(only(mask_HW), source, target, 0.5), target)
    shown_HW = views.apply(view, torch.from_numpy(mask_HW)).numpy()
    sizes = (source[::-1], target[::-1]) if views.get(view).swap else (source, target)
    turned_HW = whole(crops.resize(only(np.ascontiguousarray(shown_HW)), *sizes, 0.5), sizes[1])
    assert np.array_equal(views.invert(view, torch.from_numpy(turned_HW)).numpy(), straight_HW)


def test_large_ratios_are_counted_exactly():
    mask_HW = np.ones((4099, 3), bool)
    mask_HW[:, 2] = False
    found = crops.resize(only(mask_HW), (4099, 3), (4093, 2), 0.5)
    assert (found.pixels.shape, found.left) == ((4093, 2), 0)
    assert found.pixels[:, 0].all()
    assert not found.pixels[:, 1].any()  # a third of it is covered


def test_a_mask_that_covers_no_pixel_enough_is_gone():
    mask_HW = np.zeros((16, 16), bool)
    mask_HW[5, 5] = True
    assert crops.resize(only(mask_HW), (16, 16), (4, 4), 0.5) is None
