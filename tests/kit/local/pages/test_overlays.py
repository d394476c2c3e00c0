import numpy as np
import pytest
import tifffile

from kit.images.reading import ColourTiffs
from kit.local.pages.overlays import PREDICTION_RGB, TRUTH_RGB, masks_of, outline, thumbnail
from kit.masks import coco, rle
from kit.predictions import Instances, SemanticMask

SQUARE_HW = np.zeros((60, 90), bool)
SQUARE_HW[10:40, 20:70] = True


@pytest.fixture
def white_image(tmp_path):
    path = tmp_path / "tile.tif"
    tifffile.imwrite(path, np.full((60, 90, 3), 255, np.uint8), photometric="rgb")
    return path


def semantic(mask_HW):
    return SemanticMask(*mask_HW.shape, rle.encode(mask_HW))


def drawn(path, truth, prediction, longest):
    picture_HWC, factor = thumbnail(path, ColourTiffs(), longest)
    outline(picture_HWC, factor, truth, prediction)
    return picture_HWC.astype(int)


@pytest.mark.parametrize("longest", [90, 360])
def test_outlines_follow_the_masks_at_any_size(white_image, longest):
    empty = semantic(np.zeros_like(SQUARE_HW))
    for pair, colour in (
        ((semantic(SQUARE_HW), empty), TRUTH_RGB),
        ((empty, semantic(SQUARE_HW)), PREDICTION_RGB),
    ):
        picture_HWC = drawn(white_image, *pair, longest)
        assert picture_HWC.shape == (longest * 60 // 90, longest, 3)
        factor = longest / 90
        top, middle = round((10.5) * factor - 0.5), round(45 * factor)
        assert np.abs(picture_HWC[top, middle] - colour).max() < 110, "the upper edge is drawn"
        assert picture_HWC[round(25 * factor), middle].min() > 230, "the inside is left as tissue"
        assert picture_HWC[round(55 * factor), middle].min() > 230, "the outside too"


def test_every_instance_has_its_own_outline():
    other_HW = ~SQUARE_HW
    instances = Instances(60, 90, np.array([0.9, 0.1]), [coco.encode(SQUARE_HW), coco.encode(other_HW)])
    first_HW, second_HW = masks_of(instances)
    assert (first_HW.astype(bool) == SQUARE_HW).all()
    assert (second_HW.astype(bool) == other_HW).all()


@pytest.mark.parametrize("large", [1, 1 << 24])
def test_a_large_mask_is_shrunk_before_it_is_outlined(tmp_path, monkeypatch, large):
    monkeypatch.setattr("kit.local.pages.overlays._LARGE", large)
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, np.full((600, 900, 3), 255, np.uint8), photometric="rgb")
    big = semantic(np.kron(SQUARE_HW, np.ones((10, 10), bool)))
    nothing = semantic(np.zeros((600, 900), bool))
    picture_HWC = drawn(path, big, nothing, 180)
    assert picture_HWC.shape == (120, 180, 3)
    assert np.abs(picture_HWC[20, 90] - TRUTH_RGB).max() < 110, "rows 100 of 600 are row 20 of 120"
    assert picture_HWC[50, 90].min() > 230


def test_a_thumbnail_read_in_bands_is_the_picture_in_small(tmp_path):
    path = tmp_path / "slide.tif"
    ramp_HW = np.linspace(0, 255, 1310)[:, None] * np.ones(701)
    tifffile.imwrite(path, np.repeat(ramp_HW[..., None], 3, axis=2).astype(np.uint8), photometric="rgb")
    picture_HWC, factor = thumbnail(path, ColourTiffs(), 131)
    assert (picture_HWC.shape, factor) == ((131, 70, 3), pytest.approx(0.1))
    expected_H = ramp_HW[:, 0].reshape(131, 10).mean(axis=1)
    assert np.abs(picture_HWC[:, 35, 0] - expected_H).max() < 3
