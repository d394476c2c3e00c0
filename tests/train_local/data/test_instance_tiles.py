from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from kit.errors import KitError
from kit.images.slide import open_slide
from kit.local.competitions.labelled import LabelledData
from kit.masks import coco as codec
from train_local.data import prepare
from train_local.data.instance_tiles import InstanceTiles, collate, target_of
from train_local.recipes.settings import Data, ImageSet

SAMPLE = Path(__file__).parents[3] / "sample" / "vasculature"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return prepare.prepare("vasculature", SAMPLE, tmp_path_factory.mktemp("tiles"))


def unchanged(image_HWC, masks_NHW, random):
    return image_HWC, masks_NHW


def tiles(made, data, *, seed=1):
    return InstanceTiles(made, 0, data, augment=unchanged, seed=seed, per_step=2)


WHOLE = Data(tile=None, scale=1.0, crop=None)


def test_whole_tiles_come_with_all_their_instances(made):
    from kit import competitions

    examples = tiles(made, WHOLE)
    ids = [path.stem for path, _ in examples._tiles]
    assert set(ids) <= set(made.fold(0).train)
    truth = LabelledData(competitions.get("vasculature"), SAMPLE).truth(ids)
    x_CHW, target = examples[0, 0]
    for image_id in ids:
        with open_slide(made.image_path(image_id)) as slide:
            if np.array_equal(slide.read_band(0, slide.height).transpose(2, 0, 1), x_CHW.numpy()):
                break
    else:
        pytest.fail("the example is no training tile")
    expected = [
        codec.decode(counts, truth[image_id].height, truth[image_id].width)
        for counts in truth[image_id].masks
    ]
    kept = [mask_HW for mask_HW in expected if mask_HW.sum() >= 4]
    assert np.array_equal(target["masks"].numpy(), np.stack(kept))


@pytest.mark.parametrize("data", [WHOLE, replace(WHOLE, scale=1.5, crop=160)])
def test_an_example_is_a_pure_function_of_seed_and_position(made, data):
    first, second = tiles(made, data), tiles(made, data)
    second[9, 1]
    for position in ((0, 1), (77, 0)):
        (x_CHW, target), (again, repeated) = first[position], second[position]
        assert torch.equal(x_CHW, again)
        assert torch.equal(target["masks"], repeated["masks"])
        if data.crop:
            assert x_CHW.shape == (3, 160, 160)
            assert target["masks"].shape[1:] == (160, 160)


def test_every_round_visits_every_tile(made):
    examples = tiles(made, WHOLE)
    from train_local.data.sampler import shuffled

    count = len(examples._tiles)
    assert sorted(shuffled(1, 0, number, count) for number in range(count)) == list(range(count))
    assert len(examples) == count
    assert len(tiles(made, replace(WHOLE, examples_per_image=3))) == 3 * count


def test_boxes_enclose_masks_and_slivers_are_dropped():
    masks_NHW = np.zeros((3, 10, 12), bool)
    masks_NHW[0, 2:5, 3:9] = True
    masks_NHW[1, 0, 0] = True
    target = target_of(masks_NHW)
    assert target["boxes"].tolist() == [[3, 2, 9, 5]]
    assert target["masks"].shape == (1, 10, 12)
    nothing = target_of(masks_NHW[2:])
    assert nothing["boxes"].shape == (0, 4)
    assert nothing["masks"].shape == (0, 10, 12)


def test_tiles_of_different_sizes_are_padded_at_the_right_and_bottom():
    small = (torch.ones((3, 4, 6), dtype=torch.uint8), target_of(np.ones((1, 4, 6), bool)))
    large = (torch.ones((3, 8, 5), dtype=torch.uint8), target_of(np.zeros((0, 8, 5), bool)))
    x_NCHW, targets = collate([small, large])
    assert x_NCHW.shape == (2, 3, 8, 6)
    assert x_NCHW[0, :, 4:].sum() == 0
    assert x_NCHW[0].sum() == 3 * 4 * 6
    assert targets[0]["masks"].shape == (1, 8, 6)
    assert targets[0]["masks"].sum() == 24
    assert targets[1]["masks"].shape == (0, 8, 6)


def test_a_data_set_number_without_tiles_is_told(made):
    assert len(tiles(made, replace(WHOLE, sets=(ImageSet(dataset=1),)))) > 0
    with pytest.raises(
        KitError, match="no training tile of fold 0 has an instance and belongs to dataset 2"
    ) as error:
        tiles(made, replace(WHOLE, sets=(ImageSet(dataset=2),)))
    assert "tile_meta.csv" in str(error.value)


def test_an_example_without_instances_gives_way_to_another_tile(made):
    def mostly_emptied(image_HWC, masks_NHW, random):
        return image_HWC, masks_NHW[:0] if random.random() < 0.7 else masks_NHW

    examples = InstanceTiles(made, 0, WHOLE, augment=mostly_emptied, seed=1, per_step=2)
    for step in range(6):
        _, target = examples[step, 0]
        assert len(target["boxes"]) > 0
        assert torch.equal(target["masks"], examples[step, 0][1]["masks"])


def test_a_data_set_that_augmentation_always_empties_still_gives_examples(made):
    examples = InstanceTiles(
        made, 0, WHOLE, augment=lambda image, masks, random: (image, masks[:0]), seed=1, per_step=2
    )
    _, target = examples[0, 0]
    assert target["masks"].shape[0] == 0
