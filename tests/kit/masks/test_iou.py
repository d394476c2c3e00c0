import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kit.errors import KitError
from kit.masks import coco
from kit.masks.iou import iou_matrix


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


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(KitError, match="mask covers 9 pixels"):
        iou_matrix([coco.encode(np.ones((3, 3), bool))], [], 4, 4)
