from dataclasses import replace

import numpy as np
import pytest
import torch

from kit.errors import KitError
from train_local.data import slides
from train_local.data.slide_crops import SlideCrops, is_blank
from train_local.recipes.settings import Data

RANDOM = Data(tile=96, scale=0.5, crop=32, sampling="random", examples_per_image=8)
TILES = Data(tile=64, scale=0.5, crop=None, object_tiles=0.5, sampling="tiles")


def unchanged(image_HWC, mask_HW, random, *, organ):
    return image_HWC, mask_HW


def crops(made, data, *, ids=("aa", "bb"), seed=1):
    return SlideCrops(made, ids, data, augment=unchanged, seed=seed, per_step=4)


def found_in(made, x_CHW, image_id, reduction=2):
    """Top left corners at which a crop occurs in a slide's array."""
    image_HWC = np.load(slides.files_of(made.root, reduction, image_id).image)
    crop_HWC = x_CHW.numpy().transpose(1, 2, 0)
    size = crop_HWC.shape[0]
    starts = np.argwhere((image_HWC == crop_HWC[0, 0]).all(axis=2))
    return [(y, x) for y, x in starts if np.array_equal(image_HWC[y : y + size, x : x + size], crop_HWC)]


@pytest.mark.parametrize("data", [RANDOM, TILES, replace(RANDOM, tile=None)])
def test_an_example_is_a_pure_function_of_seed_and_position(blob_data, data):
    first, second, other = crops(blob_data, data), crops(blob_data, data), crops(blob_data, data, seed=2)
    for position in ((0, 0), (5, 3), (1000, 1)):
        x_CHW, y_CHW = first[position]
        second[3, 3]
        again = second[position]
        assert torch.equal(x_CHW, again[0])
        assert torch.equal(y_CHW, again[1])
    assert any(not torch.equal(first[0, item][0], other[0, item][0]) for item in range(4))


def test_crops_are_pixels_of_the_slides_with_their_masks(blob_data):
    examples, inside = crops(blob_data, RANDOM), 0
    for item in range(12):
        x_CHW, y_CHW = examples[item, 0]
        assert x_CHW.shape == (3, 32, 32)
        assert x_CHW.dtype == torch.uint8
        assert y_CHW.shape == (1, 32, 32)
        for image_id in ("aa", "bb"):
            for y, x in found_in(blob_data, x_CHW, image_id):
                inside += 1
                mask_HW = np.load(slides.files_of(blob_data.root, 2, image_id).mask)[y : y + 32, x : x + 32]
                assert np.array_equal(y_CHW[0].numpy(), mask_HW.astype(np.float32) / 255)
    assert inside >= 6, "the others lie over the border, where the slide is mirrored"


def test_tiles_walk_over_every_object_once_a_round(blob_data):
    examples = crops(blob_data, TILES)
    objects, grid = examples._objects, examples._grid
    assert len(examples) == len(objects) + len(grid)
    assert len(grid) == 2 * 3 * 4, "96 x 128 training pixels in tiles of 32, none of them blank"
    walk = [examples._walk(number) for number in range(2 * len(objects))]
    assert sorted(map(str, walk[1::2])) == sorted(map(str, objects))


def test_object_shares_are_kept(blob_data):
    covered = {}
    for part in (0.0, 1.0):
        examples = crops(blob_data, replace(TILES, object_tiles=part))
        covered[part] = np.mean([examples[step, 0][1][0, 16, 16].item() for step in range(24)])
    assert covered[1.0] > 0.9, "tiles are centred on objects"
    assert covered[0.0] < 0.6


def test_blank_tiles_are_glass_and_black():
    def sums(values):
        values = np.asarray(values, float)
        return np.array([values.size, values.sum(), (values**2).sum(), (values < 10).sum()])

    random = np.random.default_rng(0)
    assert is_blank(sums(random.normal(230, 5, 1000)))
    assert is_blank(sums(np.full(100, 4)))
    assert is_blank(sums([*[150] * 89, *[0] * 11]))
    assert not is_blank(sums(random.normal(230, 40, 1000)))
    assert not is_blank(sums(random.normal(150, 5, 1000)))


def test_a_slide_without_objects_can_be_trained_on(blob_data, tmp_path, blobs):
    from train_local.data import prepare

    data = blobs.make_competition(tmp_path / "data", ids=("aa", "bb"))
    (data / "train.csv").write_text("id,encoding\naa,\nbb,\n")
    made = prepare.prepare("kidney", data, tmp_path / "out", reductions=(2,))
    for kind in (RANDOM, TILES):
        assert crops(made, kind)[0, 0][1].sum() == 0


def test_recipes_that_do_not_fit_are_told(blob_data):
    with pytest.raises(KitError, match="not prepared at 1/8") as error:
        crops(blob_data, replace(RANDOM, scale=0.125))
    assert "--scale 1/1 1/2 1/8" in str(error.value)
    with pytest.raises(KitError, match="a slide needs a tile or a crop size"):
        crops(blob_data, replace(RANDOM, tile=None, crop=None))


def test_without_a_share_every_object_and_grid_tile_comes_once_an_epoch(blob_data):
    examples = crops(blob_data, replace(TILES, object_tiles=None))
    epoch = [examples._walk(number) for number in range(len(examples))]
    assert sorted(map(repr, epoch)) == sorted(map(repr, [*examples._objects, *examples._grid]))


def test_masks_of_grid_tiles_are_hard_and_those_of_objects_soft(blob_data):
    examples = crops(blob_data, replace(TILES, object_tiles=0.0))
    for item in range(8):
        assert set(examples[item, 0][1].unique().tolist()) <= {0.0, 1.0}
    soft = {
        value
        for number in range(examples.objects)
        for value in examples.object_tile(number)[1].unique().tolist()
    }
    assert len(soft) > 2
