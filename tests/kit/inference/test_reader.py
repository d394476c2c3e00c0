import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.errors import KitError
from kit.inference.band_source import require_pixels
from kit.inference.layout import layout
from kit.inference.reader import batches
from kit.inference.semantic_settings import SemanticSettings
from tests.kit.inference.sources import ArraySource


class CountingSource(ArraySource):
    """Remembers which rows were read."""

    def __init__(self, image_HWC):
        super().__init__(image_HWC)
        self.reads = []

    def read_band(self, y0, y1):
        assert 0 <= y0 < y1 <= self.height
        self.reads.append((y0, y1))
        return super().read_band(y0, y1)


def noise(height, width):
    return np.random.default_rng(height * 64 + width).integers(0, 256, (height, width, 3), np.uint8)


def windows(source, plan, scales=(1.0,), **options):
    """Tiles with their network inputs, a list for each tile."""
    laid = layout(plan, scales, (source.height, source.width), pixel_size=None, where="image")
    return [
        (tile, [x_NHWC[index] for x_NHWC in batch.inputs])
        for batch in batches(source, laid, 3, **options)
        for index, tile in enumerate(batch.tiles)
    ]


def reflected(image_HWC, plan):
    """The image with all that its windows can show around it."""
    after = plan.core + plan.context
    return np.pad(image_HWC, ((plan.context, after), (plan.context, after), (0, 0)), mode="reflect")


@settings(deadline=None)
@given(
    height=st.integers(1, 23),
    width=st.integers(1, 23),
    core=st.integers(1, 9),
    context=st.integers(0, 6),
    shrink=st.integers(1, 3),
)
def test_windows_are_cut_from_the_reflected_image_and_shrunk_one_by_one(height, width, core, context, shrink):
    image_HWC = noise(height, width)
    plan = SemanticSettings(core=core * shrink, context=context * shrink, scale=1 / shrink)
    padded_HWC = reflected(image_HWC, plan)
    found = windows(ArraySource(image_HWC), plan)
    for tile, (input_HWC,) in found:
        window_HWC = padded_HWC[tile.y0 : tile.y0 + plan.window, tile.x0 : tile.x0 + plan.window]
        side = plan.input_size
        assert np.array_equal(input_HWC, cv2.resize(window_HWC, (side, side), interpolation=cv2.INTER_AREA))
    assert sum(tile.height * tile.width for tile, _ in found) == height * width


@pytest.mark.parametrize(
    ("core", "context", "scale"),
    [
        (64, 32, 0.3125),  # 3.2 pixels become one, in step with the cores
        (48, 24, 0.3),  # out of step
        (50, 25, 0.25),  # core and context out of step
        (64, 32, 42 / 128),  # the context alone out of step
        (16, 8, 1.5),  # enlarged
        (300, 150, 1 / 3),  # more rows than are read at once
    ],
)
def test_each_window_is_what_it_would_be_alone_at_any_scale(core, context, scale):
    image_HWC = noise(130, 200)
    plan = SemanticSettings(core=core, context=context, scale=scale)
    padded_HWC, side = reflected(image_HWC, plan), plan.input_size
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    for tile, (input_HWC,) in windows(ArraySource(image_HWC), plan):
        window_HWC = padded_HWC[tile.y0 : tile.y0 + plan.window, tile.x0 : tile.x0 + plan.window]
        alone_HWC = cv2.resize(window_HWC, (side, side), interpolation=method)
        assert np.abs(input_HWC.astype(int) - alone_HWC).max() <= 1  # a sum of floats at a tie
        assert (input_HWC == alone_HWC).mean() > 0.999


@pytest.mark.parametrize(
    ("core", "scales"),
    [
        (32, (1.0, 0.5)),
        (32, (0.7, 1.0)),
        (32, (2.0, 1.0, 0.25)),
        (576, (1.0, 2 / 3)),  # 2 and 3 pixels become one, in more rows than are read at once
    ],
)
def test_several_scales_see_the_same_windows(core, scales):
    image_HWC, plan = noise(50, 70), SemanticSettings(core=core, context=core // 2, scale=0.5)
    together = windows(ArraySource(image_HWC), plan, scales)
    for index, scale in enumerate(scales):
        alone = windows(ArraySource(image_HWC), plan, (scale,))
        for (tile, inputs), (other, (input_HWC,)) in zip(together, alone, strict=True):
            assert tile == other
            assert inputs[index].shape == input_HWC.shape
            assert np.abs(inputs[index].astype(int) - input_HWC).max() <= 1


@pytest.mark.parametrize("scale", [1.0, 0.5, 0.3])
def test_rows_inside_an_image_are_read_once(scale):
    source = CountingSource(np.zeros((2048, 8, 3), np.uint8))
    plan = SemanticSettings(core=512, context=300, scale=scale)
    assert len(windows(source, plan)) == 4
    times = np.zeros(2048, int)
    for y0, y1 in source.reads:
        times[y0:y1] += 1
    assert (times[301:-301] == 1).all()
    assert times.min() == 1
    assert times.max() == 2  # what the border mirrors


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_no_more_rows_are_read_at_once_than_a_fraction_of_a_window(scale):
    source = CountingSource(np.zeros((9000, 4, 3), np.uint8))
    windows(source, SemanticSettings(core=2048, context=256, scale=scale))
    assert max(y1 - y0 for y0, y1 in source.reads) <= 256


@pytest.mark.parametrize("scale", [1.0, 0.5, 0.3])
@pytest.mark.parametrize("skip_background", [True, False])
def test_some_of_the_windows_are_the_same_as_among_all_and_other_rows_are_not_read(scale, skip_background):
    image_HWC, plan = noise(300, 70), SemanticSettings(core=16, context=6, scale=scale)
    every = windows(ArraySource(image_HWC), plan, skip_background=skip_background)
    random = np.random.default_rng(1)
    for wanted in ([], [every[0]], [every[-1]], [one for one in every if random.random() < 0.1]):
        source = CountingSource(image_HWC)
        found = windows(source, plan, tiles=[tile for tile, _ in wanted], skip_background=skip_background)
        assert [tile for tile, _ in found] == [tile for tile, _ in wanted]
        for (_, inputs), (_, expected) in zip(found, wanted, strict=True):
            assert all(map(np.array_equal, inputs, expected))
        read = {row for y0, y1 in source.reads for row in range(y0, y1)}
        assert len(read) <= sum(plan.window for _ in {tile.y0 for tile, _ in wanted})


def test_the_whole_image_is_one_window_whose_longer_side_is_the_size():
    image_HWC = noise(30, 60)
    ((tile, inputs),) = windows(ArraySource(image_HWC), SemanticSettings(size=20), (1.0, 0.5, 2.0))
    assert (tile.y0, tile.x0, tile.height, tile.width) == (0, 0, 30, 60)
    assert [x_HWC.shape for x_HWC in inputs] == [(10, 20, 3), (5, 10, 3), (20, 40, 3)]
    assert np.array_equal(inputs[0], cv2.resize(image_HWC, (20, 10), interpolation=cv2.INTER_AREA))


def test_windows_without_tissue_are_counted_and_left_out():
    image_HWC = np.full((512, 768, 3), 240, np.uint8)
    image_HWC[300:330, 600:630] = (150, 60, 130)
    plan = SemanticSettings(core=128, context=32, scale=0.5)
    laid = layout(plan, (1.0,), (512, 768), pixel_size=None, where="image")
    found = list(batches(ArraySource(image_HWC), laid, 4, skip_background=True))
    tiles = [(tile.y0, tile.x0) for batch in found for tile in batch.tiles]
    assert (256, 512) in tiles
    assert len(tiles) + sum(batch.skipped for batch in found) == 24
    assert set(tiles) <= {(y0, x0) for y0 in (128, 256, 384) for x0 in (512, 640)}
    everything = list(batches(ArraySource(image_HWC), laid, 4))
    assert sum(len(batch.tiles) for batch in everything) == 24
    assert sum(batch.skipped for batch in everything) == 0
    shown = {
        tile: x_HWC for batch in everything for tile, x_HWC in zip(batch.tiles, batch.inputs[0], strict=True)
    }
    for batch in found:
        for tile, x_HWC in zip(batch.tiles, batch.inputs[0] if batch.tiles else [], strict=True):
            assert np.array_equal(x_HWC, shown[tile])


@pytest.mark.parametrize(
    ("context", "shown"), [(0, {(0, 128)}), (32, {(0, 0), (0, 128), (128, 0), (128, 128)})]
)
def test_tissue_counts_in_the_windows_that_show_it_and_in_no_others(context, shown):
    """A row of windows that ends where the next one begins lends it no tissue."""
    image_HWC = np.full((384, 384, 3), 240, np.uint8)
    image_HWC[96:128, 128:160] = (150, 60, 130)  # touches the cores below and to the left
    plan = SemanticSettings(core=128, context=context, scale=1.0)
    laid = layout(plan, (1.0,), (384, 384), pixel_size=None, where="image")
    found = batches(ArraySource(image_HWC), laid, 4, skip_background=True)
    assert {(tile.y0, tile.x0) for batch in found for tile in batch.tiles} == shown


def test_an_image_without_pixels_is_refused_by_name():
    with pytest.raises(KitError, match="image has no pixels: 0 x 7") as caught:
        require_pixels(ArraySource(np.zeros((0, 7, 3), np.uint8)), "member a, image b")
    assert caught.value.where == "member a, image b"


def test_the_example_of_the_documentation():
    """Windows of the rows -2..6, 2..10 and 6..14; the last one mirrors the rows 10 and 9."""
    source = CountingSource(noise(12, 12))
    windows(source, SemanticSettings(core=4, context=2, scale=0.5))
    assert source.reads == [(0, 6), (6, 10), (9, 12)]
