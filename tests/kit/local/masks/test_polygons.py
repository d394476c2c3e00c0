import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.errors import KitError
from kit.local.masks import polygons


def test_a_rectangle_is_filled_outline_included():
    filled_HW = polygons.fill([[[1, 2], [4, 2], [4, 5], [1, 5]]], 8, 6)
    expected_HW = np.zeros((8, 6), bool)
    expected_HW[2:6, 1:5] = True
    assert np.array_equal(filled_HW, expected_HW)


def test_a_ring_in_a_ring_is_a_hole():
    outer, inner = [[0, 0], [9, 0], [9, 9], [0, 9]], [[3, 3], [6, 3], [6, 6], [3, 6]]
    filled_HW = polygons.fill([outer, inner], 10, 10)
    assert not filled_HW[4:6, 4:6].any()
    assert filled_HW.sum() > 80


def test_no_ring_fills_nothing():
    assert not polygons.fill([], 4, 4).any()


def test_the_far_edges_belong_to_the_last_pixels():
    assert polygons.fill([[[0, 0], [6, 0], [6, 4], [0, 4]]], 4, 6).all()


@pytest.mark.parametrize(
    ("ring", "problem"),
    [
        ([[0, float("nan")], [5, 0], [3, 1]], "vertex 0 of ring 1 (0, nan) is no place in an image"),
        ([[0, 0], [5, 0], [3, float("-inf")]], "vertex 2 of ring 1 (3, -inf) is no place in an image"),
        ([[0, 0], [1e308, 0], [3, 1]], "vertex 1 of ring 1 (1e+308, 0) is no place in an image"),
        ([[0, 0], [10**400, 0], [3, 1]], "vertex 1 of ring 1 (inf, 0) is no place in an image"),
        ([[0, 0], [10**7 + 1, 0], [3, 1]], "vertex 1 of ring 1 (1e+07, 0) is no place in an image"),
        ([["0", "0"], ["5", "0"], ["3", "1"]], "ring 1 is no list of (x, y): '0' is no number"),
        ([[0, 0], [5, None], [3, 1]], "ring 1 is no list of (x, y): None is no number"),
        ([[0, 0], [5, 0, 1], [3]], "ring 1 is no list of (x, y)"),
        ([[0, 0], [5, 0]], "ring 1 has 2 vertices, it needs at least 3"),
        ([[0], [5], [3]], "ring 1 has the shape (3, 1), it has to be (n, 2)"),
        ([[[0, 0], [5, 0], [3, 3]]], "ring 1 is no list of (x, y)"),
        ([[0, 0], [5], [3, 3]], "ring 1 is no list of (x, y)"),
        ("circle", "ring 1 is no list of (x, y)"),
        ([0, 0, 5, 0, 3, 3], "ring 1 is no list of (x, y): 0 is no pair"),
        ([[0, 0], None, [3, 3]], "ring 1 is no list of (x, y): None is no pair"),
        ([{"x": 0, "y": 0}, [5, 0], [3, 3]], "ring 1 is no list of (x, y): {'x': 0, 'y': 0} is no pair"),
    ],
)
def test_bad_rings_are_refused_with_tile_and_vertex(ring, problem):
    good = [[0, 0], [5, 0], [5, 3]]
    with pytest.raises(KitError) as caught:
        polygons.fill([good, ring], 4, 6, where="polygons.jsonl, tile 0006ff2aa7cd, polygon 3")
    assert problem in str(caught.value)
    assert "polygons.jsonl, tile 0006ff2aa7cd, polygon 3" in str(caught.value)


@pytest.mark.parametrize("ring", [[[0, 0, 9], [5, 0, 9], [5, 3, 9]], [[0, 0, 9], [5, 0], [5, 3, 9, 9]]])
def test_heights_are_left_out(ring):
    assert polygons.vertices(ring, 0).tolist() == [[0, 0], [5, 0], [5, 3]]


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(-60, 80), st.integers(-60, 80)), min_size=3, max_size=8))
def test_what_lies_outside_the_tile_is_cut_off_exactly(ring):
    inside = [(x + (x >= 24), y + (y >= 16)) for x, y in ring]  # x = 24 and y = 16 count as the last pixels
    large_HW = polygons.fill([[(x + 100, y + 100) for x, y in inside]], 300, 300)
    assert np.array_equal(polygons.fill([inside], 16, 24), large_HW[100:116, 100:124])


def test_an_outline_that_reaches_very_far_takes_no_memory():
    far = 10**7
    assert polygons.fill([[[-far, -far], [far, -far], [far, far], [-far, far]]], 16, 24).all()
    assert not polygons.fill([[[far, 1], [far, 9], [far - 9, 9]]], 16, 24).any()
