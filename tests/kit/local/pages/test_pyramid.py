import base64

import cv2
import numpy as np
import pytest
import tifffile

from kit.images.reading import ColourTiffs
from kit.local.pages.pyramid import TILE, pyramid


def slide(path, image_HWC):
    tifffile.imwrite(path, image_HWC, photometric="rgb", tile=(256, 256))
    return path


def noise(height, width):
    """As hard to compress as tissue, and different everywhere."""
    random = np.random.default_rng(5)
    coarse = random.integers(60, 220, (height // 8 + 1, width // 8 + 1, 1), np.uint8)
    return np.ascontiguousarray(np.kron(coarse, np.ones((8, 8, 3), np.uint8))[:height, :width])


def decoded(text):
    data = np.frombuffer(base64.b64decode(text), np.uint8)
    return cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1].astype(int)


def no_interest(height, width):
    return np.zeros((-(-height // TILE), -(-width // TILE)))


@pytest.mark.parametrize("size", [(1, 1), (37, 512), (512, 513), (1300, 1100), (2049, 700)])
def test_tiles_of_each_level_make_up_the_image_at_its_size(tmp_path, size):
    image_HWC = noise(*size)
    found = pyramid(slide(tmp_path / "a.tif", image_HWC), ColourTiffs(), no_interest(*size), 10**9)
    assert (found.height, found.width) == size
    assert found.complete == found.finest
    assert found.kept == ""
    expected_HWC = image_HWC
    for level in range(found.finest, found.coarsest - 1, -1):
        height, width = expected_HWC.shape[:2]
        rows, columns = -(-height // TILE), -(-width // TILE)
        shown_HWC = np.concatenate(
            [
                np.concatenate(
                    [decoded(found.tiles[level, column, row]) for column in range(columns)], axis=1
                )
                for row in range(rows)
            ]
        )
        assert shown_HWC.shape == expected_HWC.shape
        assert np.abs(shown_HWC - expected_HWC.astype(int)).mean() < 12, "JPEG loses some"
        half = (-(-width // 2), -(-height // 2))
        even_HWC = np.pad(expected_HWC, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        expected_HWC = cv2.resize(even_HWC, half, interpolation=cv2.INTER_AREA)
    assert (found.coarsest, 0, 0) in found.tiles
    assert {level for level, _, _ in found.tiles} == set(range(found.coarsest, found.finest + 1))


@pytest.mark.parametrize("budget", [120_000, 400_000, 900_000])
def test_a_slide_keeps_its_overview_and_the_tiles_where_most_is_to_be_seen(tmp_path, budget):
    size = (3500, 4100)
    interest_YX = no_interest(*size)
    interest_YX[5, 7], interest_YX[0, 1], interest_YX[3, 3] = 900, 500, 20
    found = pyramid(slide(tmp_path / "a.tif", noise(*size)), ColourTiffs(), interest_YX, budget)
    assert found.coarsest <= found.complete < found.finest
    assert found.characters <= budget
    fine = [(column, row) for level, column, row in found.tiles if level == found.finest]
    order = [(7, 5), (1, 0), (3, 3)]
    assert sorted(fine) == sorted(order[: len(fine)]), "the most interesting first"
    if budget > 500_000:
        assert fine == [(7, 5)]
        assert "1 tile at full size" in found.kept
    for level, column, row in found.tiles:
        if level > max(found.complete + 1, found.coarsest):
            assert (level - 1, column // 2, row // 2) in found.tiles, "nothing to look at on the way there"


def test_a_budget_that_nothing_fits_leaves_the_one_small_tile(tmp_path):
    found = pyramid(slide(tmp_path / "a.tif", noise(1500, 1500)), ColourTiffs(), np.ones((3, 3)), 10)
    assert list(found.tiles) == [(found.coarsest, 0, 0)]
    assert found.complete == found.coarsest
