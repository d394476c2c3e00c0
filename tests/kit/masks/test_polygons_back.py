import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as pycocotools

from kit.errors import KitError
from kit.masks import coco, polygons

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


@settings(max_examples=200)
@given(masks)
def test_pycocotools_draws_our_coco_polygons_as_the_mask(mask_HW):
    drawn = polygons.to_coco(mask_HW)
    if not drawn:
        assert not mask_HW.any()
        return
    counts = pycocotools.merge(pycocotools.frPyObjects(drawn, *mask_HW.shape))["counts"]
    assert counts == coco.encode(mask_HW)
    assert np.array_equal(polygons.from_coco(drawn, *mask_HW.shape), mask_HW)


@pytest.mark.parametrize(
    ("mask_HW", "rings"),
    [(RING, [2]), (TARGET, [2, 2]), (np.eye(3, dtype=bool), [1]), (np.zeros((3, 3), bool), [])],
    ids=["hole", "region in a hole", "diagonal", "empty"],
)
def test_holes_belong_to_their_region_and_corners_touch(mask_HW, rings):
    assert sorted(len(region) for region in polygons.outlines(mask_HW)) == rings


def test_a_region_is_one_polygon_of_coco_and_corners_do_not_touch():
    assert [len(polygons.to_coco(mask_HW)) for mask_HW in (RING, TARGET, np.eye(3, dtype=bool))] == [1, 2, 3]
    square = np.zeros((6, 7), np.uint8)
    square[1:4, 2:6] = 255
    points = np.reshape(polygons.to_coco(square)[0], (-1, 2))
    assert {tuple(point) for point in points.tolist()} == {(2, 1), (6, 1), (6, 4), (2, 4)}


@settings(max_examples=60)
@given(
    st.lists(
        st.lists(st.tuples(st.floats(-3, 15), st.floats(-3, 15)), min_size=3, max_size=8),
        min_size=1,
        max_size=3,
    )
)
def test_any_polygons_are_united_as_pycocotools_does(rings):
    flat = [[value for point in ring for value in point] for ring in rings]
    expected_HW = np.zeros((12, 11), bool)
    for polygon in flat:
        counts = pycocotools.frPyObjects([polygon], 12, 11)[0]["counts"]
        expected_HW |= coco.decode(counts, 12, 11)
    assert np.array_equal(polygons.from_coco(flat, 12, 11), expected_HW)


def test_no_polygon_covers_nothing():
    assert not polygons.from_coco([], 3, 4).any()


@pytest.mark.parametrize(
    ("polygon", "problem"),
    [
        ([0, 0, 5, 0], "polygon 1 is no list of six or more finite numbers"),
        ([0, 0, 5, 0, 5, 5, 0], "polygon 1 is no list of six or more finite numbers"),
        ([0, 0, 5, 0, 5, float("nan")], "polygon 1 is no list of six or more finite numbers"),
        ([[0, 0], [5, 0], [5, 5]], "polygon 1 is no list of six or more finite numbers"),
        ("outline", "polygon 1 is no list of numbers"),
    ],
)
def test_bad_coco_polygons_are_refused_with_their_place(polygon, problem):
    with pytest.raises(KitError) as caught:
        polygons.from_coco([[0, 0, 5, 0, 5, 5], polygon], 6, 6, where="instances.json, annotation 7")
    assert problem in str(caught.value)
    assert "instances.json, annotation 7" in str(caught.value)
