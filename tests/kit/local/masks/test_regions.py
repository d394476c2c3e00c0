import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from kit.local.masks.regions import regions
from kit.masks import coco

MASKS = arrays.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


@given(MASKS)
def test_regions_are_the_connected_parts_of_a_mask_largest_first(mask_HW):
    found = [coco.decode(counts, *mask_HW.shape) for counts in regions(mask_HW, 200)]
    labels_HW, count = ndimage.label(mask_HW, np.ones((3, 3)))
    expected = {(labels_HW == number).tobytes() for number in range(1, count + 1)}
    assert {np.ascontiguousarray(one).tobytes() for one in found} == expected
    areas = [int(one.sum()) for one in found]
    assert areas == sorted(areas, reverse=True)


def test_the_smallest_regions_are_left_out():
    mask_HW = np.zeros((5, 9), bool)
    mask_HW[0:2, 0:2] = mask_HW[3, 3] = mask_HW[0:1, 6:9] = True
    assert [coco.decode(counts, 5, 9).sum() for counts in regions(mask_HW, 2)] == [4, 3]


def test_a_run_that_goes_on_in_the_next_column_may_belong_to_two_regions():
    mask_HW = np.zeros((4, 2), bool)
    mask_HW[3, 0] = mask_HW[0, 1] = True  # pixels 3 and 4: one run
    assert len(regions(mask_HW, 10)) == 2
