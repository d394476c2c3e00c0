import json
from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as pycocotools

from kit.errors import KitError
from kit.local.masks import segmentation
from kit.masks import rle

masks = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=14))
SQUARE = [0, 0, 5, 0, 5, 5, 0, 5]


def from_json(value):
    """As a file holds it."""
    return json.loads(json.dumps(value))


def drawn(value, height, width):
    return rle.decode(segmentation.runs_of(from_json(value), height, width), height, width)


def lengths_of(mask_HW):
    """One pixel after another, down the columns."""
    lengths, filled = [0], False
    for pixel in mask_HW.T.reshape(-1).tolist():
        if pixel != filled:
            lengths.append(0)
            filled = pixel
        lengths[-1] += 1
    return lengths


def refusal(value, height=6, width=8):
    with pytest.raises(KitError) as caught:
        segmentation.runs_of(value, height, width, where="instances.json, annotation 7")
    assert caught.value.where == "instances.json, annotation 7"
    assert caught.value.fix
    return caught.value.problem


@settings(max_examples=200)
@given(masks)
def test_all_spellings_of_a_mask_have_its_pixels(mask_HW):
    size = list(mask_HW.shape)
    plain = {"size": size, "counts": lengths_of(mask_HW)}
    packed = pycocotools.encode(np.asfortranarray(mask_HW.astype(np.uint8)))["counts"].decode()
    assert pycocotools.frPyObjects(plain, *size)["counts"].decode() == packed
    spellings = [plain, {"size": size, "counts": packed}]
    if mask_HW.any():  # a square for each pixel
        pixels = np.argwhere(mask_HW).tolist()
        spellings.append([[x, y, x + 1, y, x + 1, y + 1, x, y + 1] for y, x in pixels])
    for value in spellings:
        assert np.array_equal(drawn(value, *size), mask_HW)


@settings(max_examples=200)
@given(
    st.lists(
        st.lists(st.tuples(st.floats(-10, 21), st.floats(-11, 23)), min_size=3, max_size=8),
        min_size=1,
        max_size=3,
    )
)
def test_any_polygons_are_united_as_pycocotools_does(rings):
    flat = [[value for point in ring for value in point] for ring in rings]
    each = [pycocotools.decode(pycocotools.frPyObjects([polygon], 12, 11))[..., 0] for polygon in flat]
    assert np.array_equal(drawn(flat, 12, 11), reduce(np.logical_or, each).astype(bool))


@settings(max_examples=200)
@given(st.text(st.characters(max_codepoint=120), max_size=12) | st.text(max_size=4))
def test_damaged_counts_are_read_as_pycocotools_would_or_refused(counts):
    try:
        runs = segmentation.runs_of({"size": [3, 4], "counts": counts}, 3, 4)
    except KitError:
        return
    expected = pycocotools.decode({"size": [3, 4], "counts": counts.encode()})
    assert np.array_equal(rle.decode(runs, 3, 4), expected.astype(bool))


@settings(max_examples=200)
@given(st.lists(st.integers(-3, 13) | st.integers(), max_size=8))
def test_lengths_are_refused_unless_they_are_all_the_pixels(counts):
    value = {"size": [3, 4], "counts": counts}
    if sum(counts) == 12 and min(counts) >= 0:
        pixels = [place % 2 == 1 for place, length in enumerate(counts) for _ in range(length)]
        assert drawn(value, 3, 4).T.reshape(-1).tolist() == pixels
    else:
        refusal(value, 3, 4)


@pytest.mark.parametrize(
    ("polygon", "problem"),
    [
        ([0, 0, 5, 0, 5, 5, 0], "polygon 1 has 7 numbers, an odd count"),
        ([3], "polygon 1 has 1 number, an odd count"),
        ([3, float("nan")], "polygon 1 is no list of finite numbers"),
        ([0, 0, 5, 0, 5, float("nan")], "polygon 1 is no list of finite numbers"),
        ([0, 0, 5, 0, 5, float("inf")], "polygon 1 is no list of finite numbers"),
        ([0, 0, 5, 0, 5, 10**400], "polygon 1 is no list of finite numbers"),
        ([0, 0, 5, 0, 5, None], "polygon 1 is no list of finite numbers"),
        ([0, 0, 5, 0, 5, "5"], "polygon 1 is no list of finite numbers"),
        ([[0, 0], [5, 0], [5, 5]] * 2, "polygon 1 is no list of finite numbers"),
        ([0, 0, 5, 0, 5, [5]], "polygon 1 is no list of finite numbers"),
        ("outline", "polygon 1 is no list of finite numbers"),
        (7, "polygon 1 is no list of finite numbers"),
        ([0, 0, 17, 0, 5, 5], "polygon 1 has a vertex at (17, 0), far outside its image (8 x 6)"),
        ([0, 0, 5, -7, 5, 5], "polygon 1 has a vertex at (5, -7), far outside its image (8 x 6)"),
        ([0, 0, 5, 0, 1e300, 5], "polygon 1 has a vertex at (1e+300, 5), far outside its image (8 x 6)"),
    ],
)
def test_bad_polygons_are_refused_before_pycocotools_sees_them(polygon, problem):
    assert problem in refusal([SQUARE, polygon])


@pytest.mark.parametrize("stray", [[], [3, 3], [0, 0, 5, 0]])  # the last one is a box to pycocotools
def test_parts_of_one_or_two_points_have_no_pixels(stray):
    assert np.array_equal(drawn([SQUARE, stray], 6, 8), drawn([SQUARE], 6, 8))
    assert np.array_equal(drawn([stray, SQUARE], 6, 8), drawn([SQUARE], 6, 8))
    assert not drawn([stray], 6, 8).any()


@pytest.mark.parametrize("flat", [[3, 3] * 4, [1, 1, 4, 4, 1, 1], [1, 1, 5, 1, 3, 1]])
def test_parts_without_an_area_are_drawn_as_pycocotools_does(flat):
    expected = pycocotools.decode(pycocotools.frPyObjects([flat], 6, 8))[..., 0]
    assert np.array_equal(drawn([flat], 6, 8), expected.astype(bool))


def test_a_polygon_may_reach_beyond_its_image_by_the_image_s_own_size():
    assert drawn([[-8, -6, 16, -6, 16, 12, -8, 12]], 6, 8).all()


def test_a_polygon_that_would_take_all_memory_is_refused():
    zigzag = [0, 0, 40_000, 40_000] * 200
    assert refusal([zigzag], 40_000, 40_000).startswith("polygon 0 is 1.6e+07 pixels long")
    back = [0, 0, 3_000_000, 0, 6_000_000, 0]  # as far again to where it began
    assert refusal([back], 1, 10_000_000).startswith("polygon 0 is 1.2e+07 pixels long")
    assert "too large for COCO's polygons" in refusal([SQUARE], 50_000, 50_000)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([], "segmentation is empty"),
        (None, "segmentation is neither a list nor {counts, size}"),
        ("polygons", "segmentation is neither a list nor {counts, size}"),
        (SQUARE, "polygon 0 is no list of finite numbers"),
        ({"counts": [48]}, "segmentation has no size"),
        ({"size": [6, 8]}, "segmentation has no counts"),
        ({"size": 6, "counts": [48]}, "size is not [height, width]"),
        ({"size": [6, 8, 3], "counts": [48]}, "size is not [height, width]"),
        ({"size": [6.0, 8.0], "counts": [48]}, "size is not [height, width]"),
        ({"size": ["6", "8"], "counts": [48]}, "size is not [height, width]"),
        ({"size": [8, 6], "counts": [48]}, "size is 8 x 6, but its image has 6 x 8 pixels"),
        ({"size": [6, 8], "counts": None}, "counts are neither a text nor a list of integers"),
        ({"size": [6, 8], "counts": []}, "counts are neither a text nor a list of integers"),
        ({"size": [6, 8], "counts": [47.5, 0.5]}, "counts are neither a text nor a list of integers"),
        ({"size": [6, 8], "counts": ["48"]}, "counts are neither a text nor a list of integers"),
        ({"size": [6, 8], "counts": [True]}, "counts are neither a text nor a list of integers"),
        ({"size": [6, 8], "counts": [10**30]}, "counts are neither a text nor a list of integers"),
        ({"size": [6, 8], "counts": [40, 7]}, "mask covers 47 pixels, the image has 6 x 8 = 48"),
        ({"size": [6, 8], "counts": [50, -2]}, "mask has a run of 50 pixels"),
        ({"size": [6, 8], "counts": [40, -2, 10]}, "mask has a run of -2 pixels"),
        ({"size": [6, 8], "counts": [2**62] * 4 + [48]}, "mask has a run of 4611686018427387904 pixels"),
        ({"size": [6, 8], "counts": ""}, "mask holds no COCO compressed counts"),
        ({"size": [6, 8], "counts": "\ud800"}, "mask holds no COCO compressed counts"),
        ({"size": [6, 8], "counts": "P" * 400}, "mask holds no COCO compressed counts"),
    ],
)
def test_what_is_no_segmentation_is_refused_with_its_place(value, problem):
    assert problem in refusal(value)
    assert problem in refusal(segmentation.compact(value))


def test_a_nest_of_lists_is_no_segmentation():
    nest = []
    for _ in range(5000):
        nest = [nest]
    assert "polygon 0 is no list" in refusal(nest)
    assert "polygon 0 is no list" in refusal([nest])
    assert "counts are neither" in refusal({"size": [6, 8], "counts": nest})


@pytest.mark.parametrize(
    "value", [[SQUARE], {"size": [6, 8], "counts": [40, 8]}, {"size": [6, 8], "counts": "X18"}]
)
def test_equal_segmentations_have_equal_keys_and_others_do_not(value):
    key = segmentation.key_of(segmentation.compact(from_json(value)))
    assert key == segmentation.key_of(segmentation.compact(from_json(value)))
    others = [[SQUARE, SQUARE], [SQUARE[2:]], {"size": [6, 8], "counts": [48]}, None, [7], []]
    assert key not in {segmentation.key_of(segmentation.compact(other)) for other in others}
