import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.errors import KitError
from kit.inference.reader import ArraySource, require_pixels, windows
from kit.inference.settings import SemanticSettings


class CountingSource(ArraySource):
    """Remembers which rows were read."""

    def __init__(self, image_HWC):
        super().__init__(image_HWC)
        self.reads = []

    def read_band(self, y0, y1):
        assert 0 <= y0 < y1 <= self.height
        self.reads.append((y0, y1))
        return super().read_band(y0, y1)


@settings(deadline=None)
@given(
    height=st.integers(1, 23),
    width=st.integers(1, 23),
    core=st.integers(1, 9),
    context=st.integers(0, 6),
)
def test_windows_are_cut_from_the_reflected_image(height, width, core, context):
    image_HWC = np.random.default_rng(height * 64 + width).integers(0, 256, (height, width, 3), np.uint8)
    reach = core + context
    padded = np.pad(image_HWC, ((context, reach), (context, reach), (0, 0)), mode="reflect")
    plan = SemanticSettings(core=core, context=context, scale=1.0)
    for tile, input_HWC in windows(ArraySource(image_HWC), plan):
        rows, columns = slice(tile.y0, tile.y0 + plan.window), slice(tile.x0, tile.x0 + plan.window)
        assert np.array_equal(input_HWC, padded[rows, columns])


def test_windows_are_resized_by_area():
    image_HWC = np.random.default_rng(0).integers(0, 256, (48, 48, 3), np.uint8)
    plan = SemanticSettings(core=48, context=0, scale=1 / 3)
    ((_, input_HWC),) = windows(ArraySource(image_HWC), plan)
    assert np.array_equal(input_HWC, cv2.resize(image_HWC, (16, 16), interpolation=cv2.INTER_AREA))


def test_rows_inside_an_image_are_read_once():
    source = CountingSource(np.zeros((64, 8, 3), np.uint8))
    assert len(list(windows(source, SemanticSettings(core=8, context=4, scale=1.0)))) == 8
    rows = [row for y0, y1 in source.reads for row in range(y0, y1)]
    assert sorted(set(rows)) == list(range(64))
    assert len(rows) == 64


def test_no_read_is_taller_than_a_window():
    source = CountingSource(np.zeros((1000, 4, 3), np.uint8))
    plan = SemanticSettings(core=32, context=8, scale=0.5)
    list(windows(source, plan))
    assert max(y1 - y0 for y0, y1 in source.reads) <= plan.window


def test_an_image_without_pixels_is_refused_by_name():
    with pytest.raises(KitError, match="image has no pixels: 0 x 7") as caught:
        require_pixels(ArraySource(np.zeros((0, 7, 3), np.uint8)), "member a, image b")
    assert caught.value.where == "member a, image b"
