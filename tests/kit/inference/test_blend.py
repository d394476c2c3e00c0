import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.inference.blend import Gaussian, Halo, density, enlarge, reach
from kit.inference.layout import Layout
from kit.inference.store import levels_of, open_map, write_map


def laid(height, width, core, context):
    window = core + 2 * context
    return Layout(height, width, core, context, ((window, window),))


LAYOUTS = st.builds(
    laid, st.integers(1, 30), st.integers(1, 30), core=st.integers(1, 9), context=st.integers(0, 12)
)
KEPT = st.sampled_from([1.0, 0.6])
EPSILON = float(np.finfo(np.float32).eps)
"""A float32 sum of a few weights near 1 is off by some of these: a map by half a level and that."""


@pytest.fixture(scope="module")
def blended(tmp_path_factory):
    """Writes windows, float32 (window, window), with a blend and reads the map back as probabilities."""
    path = tmp_path_factory.mktemp("maps") / "map.npy"

    def run(kind, layout, window_of, stored="uint16"):
        with write_map(path, layout.height, layout.width, stored) as file:
            blend = kind(layout, file)
            for tile in layout.tiles():
                map_HW = window_of(tile)
                if map_HW is not None:
                    blend.put(tile, [map_HW])
            blend.finish()
        levels_HW = np.array(open_map(path))
        return levels_HW / levels_of(levels_HW.dtype)

    return run


@settings(deadline=None)
@given(
    layout=LAYOUTS,
    value=st.floats(0, 1, width=32),
    kind=st.sampled_from([Halo, Gaussian]),
    stored=st.sampled_from(["uint8", "uint16"]),
)
def test_the_weights_of_every_pixel_add_up_to_one(blended, layout, value, kind, stored):
    constant = np.full(layout.window, value, np.float32)
    found = blended(kind, layout, lambda _: constant, stored)
    assert found.shape == (layout.height, layout.width)
    assert np.abs(found - value).max() <= 0.5 / np.iinfo(stored).max + 4 * EPSILON


@settings(deadline=None)
@given(layout=LAYOUTS, kept=KEPT, seed=st.integers(0, 99))
def test_blending_is_the_weighted_mean_of_the_windows_that_show_a_pixel(blended, layout, kept, seed):
    rng, context, (window, _) = np.random.default_rng(seed), layout.context, layout.window
    given_windows = {
        tile: rng.random((window, window), np.float32) for tile in layout.tiles() if rng.random() < kept
    }
    # The plain way: sums and weights of a canvas with room for all windows.
    total = np.zeros((layout.height + 2 * window, layout.width + 2 * window))
    weight, inside = np.zeros_like(total), np.zeros_like(total)
    for tile, map_HW in given_windows.items():
        distance = (np.arange(window) - (window - 1) / 2) / (window / 8)
        along = np.exp(-(distance**2) / 2)
        top, left = tile.y0 - context + window, tile.x0 - context + window
        place = np.s_[top : top + window, left : left + window]
        total[place] += map_HW * np.outer(along, along)
        weight[place] += np.outer(along, along)
        inside[window + tile.y0 :, window + tile.x0 :][: tile.height, : tile.width] = 1
    expected = np.divide(total * inside, weight, out=np.zeros_like(total), where=weight > 0)
    found = blended(Gaussian, layout, given_windows.get)
    assert np.abs(found - expected[window:-window, window:-window]).max() <= 1 / 65535


@settings(deadline=None)
@given(layout=LAYOUTS, kept=KEPT, seed=st.integers(0, 99))
def test_a_halo_is_cut_off_and_what_was_left_out_is_zero(blended, layout, kept, seed):
    rng, context = np.random.default_rng(seed), layout.context
    expected = np.zeros((layout.height, layout.width))
    given_windows = {}
    for tile in layout.tiles():
        if rng.random() < kept:
            map_HW = given_windows[tile] = rng.random(layout.window, np.float32)
            own_HW = map_HW[context : context + tile.height, context : context + tile.width]
            expected[tile.y0 : tile.y0 + tile.height, tile.x0 : tile.x0 + tile.width] = own_HW
    found = blended(Halo, layout, given_windows.get)
    assert np.abs(found - expected).max() <= 0.5 / 65535 + 4 * EPSILON


@settings(deadline=None)
@given(
    windows=st.tuples(st.integers(1, 24), st.integers(0, 24)),
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    sides=st.lists(st.integers(1, 80), min_size=1, max_size=2),
    seed=st.integers(0, 99),
)
def test_a_halo_of_coarse_maps_is_that_of_the_whole_windows_enlarged(
    tmp_path_factory, windows, size, sides, seed
):
    rng, (core, context) = np.random.default_rng(seed), windows
    window = core + 2 * context
    layout = Layout(*size, core, context, tuple((side, side) for side in sides))
    path = tmp_path_factory.mktemp("maps") / "map.npy"
    expected = np.zeros(size)
    with write_map(path, *size, "uint16") as file:
        blend = Halo(layout, file)
        for tile in layout.tiles():
            maps = [rng.random((side, side), np.float32) / len(sides) for side in sides]
            blend.put(tile, maps)
            whole = sum(
                cv2.resize(map_HW, (window, window), interpolation=cv2.INTER_LINEAR) for map_HW in maps
            )
            own_HW = whole[context : context + tile.height, context : context + tile.width]
            expected[tile.y0 : tile.y0 + tile.height, tile.x0 : tile.x0 + tile.width] = own_HW
        blend.finish()
    assert np.abs(np.array(open_map(path)) / 65535 - expected).max() < 1e-4


@given(
    window=st.integers(1, 400), sides=st.lists(st.integers(1, 400), min_size=1, max_size=3), data=st.data()
)
def test_what_is_enlarged_holds_what_is_wanted_and_a_map_pixel_more(window, sides, data):
    first = data.draw(st.integers(0, window - 1))
    count = data.draw(st.integers(1, window - first))
    part = reach(window, sides, first, count)
    for side in sides:
        assert part.start * side % window == part.stop * side % window == 0, "whole pixels of every map"
        assert part.start == 0 or (first - part.start) * side >= window
        assert part.stop == window or (part.stop - first - count) * side >= window


def test_of_the_published_windows_less_than_half_is_enlarged():
    part = reach(2304, [768], 384, 1536)
    assert (part.start, part.stop) == (381, 1923)


def test_blended_borders_are_smoother_than_cut_ones(blended):
    """Windows that disagree: a cut shows the whole difference, a blend a small step."""
    layout = laid(64, 64, 32, 16)
    half = {tile: np.full(layout.window, 0.2 if tile.x0 == 0 else 0.8, np.float32) for tile in layout.tiles()}
    cut, smooth = (blended(kind, layout, half.get) for kind in (Halo, Gaussian))
    assert np.abs(np.diff(cut, axis=1)).max() == pytest.approx(0.6, abs=1e-4)
    assert np.abs(np.diff(smooth, axis=1)).max() < 0.1


def test_weights_fall_from_the_centre_and_never_to_zero():
    weights = density(2304)
    assert np.array_equal(weights, weights[::-1])
    assert (np.diff(weights[:1152]) > 0).all()
    assert weights.max() == pytest.approx(1, abs=1e-5)
    assert weights[1152 - 288] == pytest.approx(np.exp(-0.5), abs=2e-3), "a sigma is an eighth"
    assert 3e-4 < weights.min() < 4e-4


def test_maps_are_enlarged_bilinearly_and_added_up():
    rng = np.random.default_rng(0)
    maps = [rng.random((4, 6), np.float32), rng.random((8, 12), np.float32), rng.random((16, 24), np.float32)]
    expected = sum(cv2.resize(map_HW, (24, 16), interpolation=cv2.INTER_LINEAR) for map_HW in maps)
    untouched = [map_HW.copy() for map_HW in maps]
    assert np.abs(enlarge(maps, 16, 24, 10, 0.5) - (10 * expected + 0.5)).max() < 1e-5
    assert all(np.array_equal(*pair) for pair in zip(maps, untouched, strict=True))
    turned = np.asfortranarray(maps[0])
    assert np.array_equal(enlarge([turned], 16, 24, 1), enlarge([maps[0]], 16, 24, 1))
