import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kit.masks import boxes, coco, mask_set, rle


def box_of(mask_HW):
    """The definition."""
    rows, columns = np.nonzero(mask_HW)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] if len(rows) else [0, 0, 0, 0]


@given(hnp.arrays(bool, hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=7)))
def test_boxes_of_pixels_hold_all_foreground_and_no_more(masks_NHW):
    expected = [box_of(mask_HW) for mask_HW in masks_NHW]
    assert boxes.of_masks(masks_NHW).tolist() == expected
    assert boxes.of_masks(masks_NHW * np.uint8(7)).tolist() == expected


def test_no_mask_has_no_box():
    assert boxes.of_masks(np.zeros((0, 4, 5), bool)).shape == (0, 4)
    assert mask_set.decode([], 4, 5).boxes(4).shape == (0, 4)


@given(st.integers(1, 8), st.integers(1, 8), st.data())
def test_boxes_of_runs_are_those_of_pixels_unless_a_run_goes_on_in_the_next_column(height, width, data):
    masks_NHW = np.array(data.draw(st.lists(hnp.arrays(bool, (height, width)), min_size=1, max_size=5)))
    found = mask_set.decode([coco.encode(mask_HW) for mask_HW in masks_NHW], height, width).boxes(height)
    for box, mask_HW in zip(found.tolist(), masks_NHW, strict=True):
        assert box == list(rle.bounding_box(rle.encode(mask_HW), height))
        # Such a run covers the last pixel of one column and the first of the next: all rows.
        assert box == box_of(mask_HW)


def test_examples_of_the_documentation():
    def of_one(start, end):
        return boxes.of_runs(np.array([start]), np.array([end]), np.array([0]), 10).tolist()

    assert of_one(12, 15) == [[1, 2, 2, 5]]
    assert of_one(18, 22) == [[1, 0, 3, 10]]
    assert boxes.spans(np.array([[False, True, False, True, False], [False] * 5])).tolist() == [
        [1, 4],
        [0, 0],
    ]
