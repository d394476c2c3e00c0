import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp

from kit.local.masks import polygons

masks = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=14))
RING = np.pad(np.ones((5, 5), bool), 1)
RING[3, 3] = False
TARGET = np.pad(RING, 2, constant_values=False)
TARGET[[1, -2], 1:-1] = TARGET[1:-1, [1, -2]] = True  # around the ring, not touching it


@settings(max_examples=200)
@given(masks)
def test_filling_the_outlines_gives_the_mask(mask_HW):
    filled_HW = np.zeros_like(mask_HW)
    for region in polygons.outlines(mask_HW):
        part_HW = polygons.fill(region, *mask_HW.shape)
        assert not (part_HW & filled_HW).any()
        filled_HW |= part_HW
    assert np.array_equal(filled_HW, mask_HW)


@pytest.mark.parametrize(
    ("mask_HW", "rings"),
    [(RING, [2]), (TARGET, [2, 2]), (np.eye(3, dtype=bool), [1]), (np.zeros((3, 3), bool), [])],
    ids=["hole", "region in a hole", "diagonal", "empty"],
)
def test_holes_belong_to_their_region_and_corners_touch(mask_HW, rings):
    assert sorted(len(region) for region in polygons.outlines(mask_HW)) == rings
