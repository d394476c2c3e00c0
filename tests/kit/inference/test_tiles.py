import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kit.inference import tiles


@given(height=st.integers(1, 40), width=st.integers(1, 40), core=st.integers(1, 17))
def test_cores_are_every_pixel_exactly_once_in_rows(height, width, core):
    plan = list(tiles.plan(height, width, core))
    seen = np.zeros((height, width), int)
    for tile in plan:
        assert 1 <= tile.height <= core
        assert 1 <= tile.width <= core
        seen[tile.y0 : tile.y0 + tile.height, tile.x0 : tile.x0 + tile.width] += 1
    assert (seen == 1).all()
    assert len(plan) == tiles.count(height, width, core)
    assert plan == sorted(plan, key=lambda tile: (tile.y0, tile.x0))


def test_a_side_that_is_a_multiple_of_the_core_gets_no_empty_tile():
    assert tiles.count(512, 1024, 512) == 2


@given(rows=st.integers(0, 12), by=st.integers(0, 14))
def test_rows_move_up_in_place(rows, by):
    held = np.arange(rows * 3).reshape(rows, 3)
    expected = held[by:].copy()
    tiles.move_up(held, by)
    assert np.array_equal(held[: len(expected)], expected)
