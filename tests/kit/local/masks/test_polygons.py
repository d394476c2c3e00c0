import numpy as np
import pytest

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
        ([[0, 0], [7, 0], [3, 3]], "vertex 1 of ring 1 (7, 0) lies outside the tile (6 x 4)"),
        ([[0, 0], [5, 0], [3, -0.5]], "vertex 2 of ring 1 (3, -0.5) lies outside the tile (6 x 4)"),
        ([[0, float("nan")], [5, 0], [3, 1]], "vertex 0 of ring 1 (0, nan) lies outside"),
        ([[0, 0], [5, 0]], "ring 1 has 2 vertices, it needs at least 3"),
        ([[0, 0, 1], [5, 0, 1], [3, 3, 1]], "ring 1 has the shape (3, 3), it has to be (n, 2)"),
        ([[0, 0], [5], [3, 3]], "ring 1 is no list of (x, y)"),
        ("circle", "ring 1 is no list of (x, y)"),
    ],
)
def test_bad_rings_are_refused_with_tile_and_vertex(ring, problem):
    good = [[0, 0], [5, 0], [5, 3]]
    with pytest.raises(KitError) as caught:
        polygons.fill([good, ring], 4, 6, where="polygons.jsonl, tile 0006ff2aa7cd, polygon 3")
    assert problem in str(caught.value)
    assert "polygons.jsonl, tile 0006ff2aa7cd, polygon 3" in str(caught.value)
