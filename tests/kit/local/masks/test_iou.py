import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as pycocotools

from kit.errors import KitError
from kit.local.masks import iou
from kit.local.masks.iou import iou_matrix, overlaps
from kit.masks import coco


@st.composite
def two_lists_of_masks(draw):
    shape = draw(st.tuples(st.integers(1, 25), st.integers(1, 25)))
    lists = st.lists(hnp.arrays(bool, shape), max_size=4)
    return shape, draw(lists), draw(lists)


@settings(max_examples=60)
@given(two_lists_of_masks())
def test_overlaps_equal_those_counted_on_pixels(case):
    (height, width), list_a, list_b = case
    ious = iou_matrix([coco.encode(a) for a in list_a], [coco.encode(b) for b in list_b], height, width)
    assert ious.shape == (len(list_a), len(list_b))
    for i, a_HW in enumerate(list_a):
        for j, b_HW in enumerate(list_b):
            union = np.count_nonzero(a_HW | b_HW)
            assert ious[i, j] == (np.count_nonzero(a_HW & b_HW) / union if union else 0.0)


@settings(max_examples=60)
@given(two_lists_of_masks(), st.one_of(st.floats(0.01, 1), st.sampled_from([0.5, 0.6, 2 / 3, 0.75, 1.0])))
def test_only_pairs_that_overlap_enough_are_listed_and_all_of_them(case, at_least):
    (height, width), list_a, list_b = case
    masks_a, masks_b = ([coco.encode(one_HW) for one_HW in some] for some in (list_a, list_b))
    ious = iou_matrix(masks_a, masks_b, height, width)
    found = overlaps(masks_a, masks_b, height, width, at_least=at_least)
    assert np.array_equal(np.stack([found.a, found.b]), np.stack(np.nonzero(ious >= at_least)))
    assert np.array_equal(found.iou, ious[found.a, found.b])


def test_overlaps_of_many_masks_are_those_of_pycocotools():
    rng = np.random.default_rng(0)
    masks = []
    for _ in range(80):
        y, x, b, a = rng.integers((20, 20, 5, 5), (180, 230, 60, 60))
        rows, columns = np.ogrid[:200, :250]
        masks.append(coco.encode(((rows - y) / a) ** 2 + ((columns - x) / b) ** 2 < 1 + 0.1 * np.sin(rows)))
    theirs = [{"size": [200, 250], "counts": counts} for counts in masks]
    expected = pycocotools.iou(theirs[:30], theirs[20:], [0] * 60)
    assert np.allclose(iou_matrix(masks[:30], masks[20:], 200, 250), expected, rtol=0, atol=1e-12)
    assert np.count_nonzero(expected) > 300


@settings(max_examples=60)
@given(st.integers(1, 9), st.integers(1, 9), st.data())
def test_single_runs_over_several_columns_overlap_as_their_pixels(height, width, data):
    size, masks = height * width, []
    for _ in range(2):
        start = data.draw(st.integers(0, size - 1))
        masks.append(np.arange(size) >= start)
        masks[-1][data.draw(st.integers(start + 1, size)) :] = False
    coded = [coco.encode(mask.reshape(width, height).T) for mask in masks]
    expected = np.count_nonzero(masks[0] & masks[1]) / np.count_nonzero(masks[0] | masks[1])
    assert iou_matrix(coded[:1], coded[1:], height, width).tolist() == [[expected]]


@pytest.mark.parametrize("at_once", [1, 100, 1000])
def test_pairs_compared_a_few_at_a_time_are_those_compared_at_once(monkeypatch, at_once):
    rng = np.random.default_rng(1)
    masks = [coco.encode(rng.random((9, 7)) < share) for share in rng.uniform(0, 0.9, 45)]
    whole = overlaps(masks[:30], masks[20:], 9, 7, at_least=0.2)
    monkeypatch.setattr(iou, "_PAIRS", at_once)
    found = overlaps(masks[:30], masks[20:], 9, 7, at_least=0.2)
    assert len(found.a) > 50
    for name in ("a", "b", "iou"):
        assert np.array_equal(getattr(found, name), getattr(whole, name))


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(KitError, match="mask covers 9 pixels"):
        iou_matrix([coco.encode(np.ones((3, 3), bool))], [], 4, 4)
