import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train_local.data.objects import Objects


def found_in_bands(mask_HW, rows):
    objects = Objects(mask_HW.shape[1])
    for row in range(0, len(mask_HW), rows):
        objects.add(row, mask_HW[row : row + rows])
    return objects.found()


def found_by_opencv(mask_HW):
    _, _, stats, centres = cv2.connectedComponentsWithStats(mask_HW.astype(np.uint8), connectivity=8)
    left, top, width, height = (stats[1:, place] for place in range(4))
    boxes = [top, left, top + height, left + width, centres[1:, 1], centres[1:, 0]]
    return np.stack(boxes, axis=1).astype(np.float32)


@given(st.integers(1, 30), st.integers(1, 30), st.floats(0, 1), st.integers(1, 9), st.integers(0, 99))
def test_objects_found_in_bands_are_those_of_the_whole_mask(height, width, part, rows, seed):
    mask_HW = np.random.default_rng(seed).random((height, width)) < part
    assert found_in_bands(mask_HW, rows) == pytest.approx(found_by_opencv(mask_HW))


def test_a_ring_and_what_it_surrounds_are_two_objects_and_a_corner_joins():
    mask_HW = np.zeros((9, 9), bool)
    mask_HW[1:8, 1:8] = True
    mask_HW[2:7, 2:7] = False
    mask_HW[4, 4] = True
    mask_HW[8, 8] = True
    ring, middle = found_in_bands(mask_HW, 2)
    assert ring[:4].tolist() == [1, 1, 9, 9]
    assert middle.tolist() == [4, 4, 5, 5, 4, 4]


def test_a_mask_without_foreground_has_no_object():
    assert found_in_bands(np.zeros((5, 7), bool), 3).shape == (0, 6)
