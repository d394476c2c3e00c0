import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kit.local.masks import boxes
from kit.masks import coco, mask_set, rle


def box_of(mask_HW):
    """The box of a mask, by its definition."""
    rows, columns = np.nonzero(mask_HW)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] if len(rows) else [0, 0, 0, 0]


@given(hnp.arrays(bool, hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=7)))
def test_boxes_of_pixels_hold_all_foreground_and_no_more(masks_NHW):
    expected = [box_of(mask_HW) for mask_HW in masks_NHW]
    assert boxes.of_masks(masks_NHW).tolist() == expected
    assert boxes.of_masks(masks_NHW * np.uint8(7)).tolist() == expected


def test_no_mask_has_no_box():
    assert boxes.of_masks(np.zeros((0, 4, 5), bool)).shape == (0, 4)
    assert boxes.of_set(mask_set.decode([], 4, 5), 4).shape == (0, 4)


@given(st.integers(1, 8), st.integers(1, 8), st.data())
def test_boxes_of_runs_are_those_of_pixels(height, width, data):
    masks_NHW = np.array(data.draw(st.lists(hnp.arrays(bool, (height, width)), min_size=1, max_size=5)))
    together = mask_set.decode([coco.encode(mask_HW) for mask_HW in masks_NHW], height, width)
    for box, mask_HW in zip(boxes.of_set(together, height).tolist(), masks_NHW, strict=True):
        assert box == list(boxes.of_runs(rle.encode(mask_HW), height))
        assert box == box_of(mask_HW)
