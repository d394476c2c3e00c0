from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from kit.errors import KitError
from kit.images.slide import open_slide
from kit.local.competitions.labelled import LabelledData
from kit.masks import coco as codec
from kit.predictions import Instances
from train_local.data import label_sets, prepare
from train_local.data.image_choice import coco_of, labelled_ids
from train_local.data.instance_tiles import InstanceTiles, collate, target_of
from train_local.data.sampler import shuffled
from train_local.recipes.settings import Data, ImageSet, PseudoRound

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


def test_tiles_of_different_sizes_are_padded_and_their_masks_tell_the_size():
    small = (torch.ones((3, 4, 6), dtype=torch.uint8), target_of(np.ones((1, 4, 6), bool)))
    large = (torch.ones((3, 8, 5), dtype=torch.uint8), target_of(np.zeros((0, 8, 5), bool)))
    x_NCHW, targets = collate([small, large])
    assert x_NCHW.shape == (2, 3, 8, 6)
    assert x_NCHW[0, :, 4:].sum() == 0
    assert x_NCHW[0].sum() == 3 * 4 * 6
    assert targets[0]["masks"].shape == (1, 4, 6)
    assert targets[1]["masks"].shape == (0, 8, 5)


def ids_of(examples):
    return [path.stem for path, _ in examples._tiles]


def test_image_sets_choose_dataset_slide_and_part(made):
    train, every = set(made.fold(0).train), made.images
    first = ids_of(tiles(made, replace(WHOLE, sets=(ImageSet(dataset=1),))))
    assert first == sorted(key for key in train if every[key].dataset == 1)
    second = ids_of(tiles(made, replace(WHOLE, sets=(ImageSet(dataset=2, part="all"),))))
    assert second == sorted(key for key in every if every[key].dataset == 2)
    of_slide = ids_of(tiles(made, replace(WHOLE, sets=(ImageSet(dataset=2, wsis=("4",), part="all"),))))
    assert of_slide == [key for key in second if every[key].group == "4"]
    full = ids_of(tiles(made, replace(WHOLE, sets=(ImageSet(dataset=1, part="all"),))))
    assert full == sorted(key for key in every if every[key].dataset == 1)
    assert set(made.fold(0).valid) <= set(full), "a member of all data trains on what the fold holds out"


def test_without_dataset_numbers_every_set_is_the_fold_s_training_part(made):
    plain = replace(made, images={key: replace(image, dataset=None) for key, image in made.images.items()})
    for part in ("all", "fold"):
        sets = (ImageSet(dataset=2, wsis=("4",), part=part),)
        assert labelled_ids(plain, 0, sets) == list(made.fold(0).train), "no held-out tile is trained on"
    assert labelled_ids(plain, 0, (ImageSet(part="all"),)) == sorted(made.images)


def test_a_set_without_tiles_is_told(made):
    with pytest.raises(KitError, match="no training image of fold 0 belongs to dataset 9, WSI 3") as error:
        tiles(made, replace(WHOLE, sets=(ImageSet(dataset=1), ImageSet(dataset=9, wsis=("3",)))))
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


@pytest.fixture
def exp2(made, tmp_path):
    """A round of pseudo labels for the unlabelled tiles: one good label each, and one below the threshold."""
    made_round = PseudoRound(name="exp2", dataset=3, wsis=("6",), teachers=("detectors-x101",), threshold=0.5)
    labels = {}
    for image_id, image in made.unlabelled.items():
        masks_NHW = np.zeros((2, image.height, image.width), bool)
        masks_NHW[0, 10:40, 20:60] = masks_NHW[1, 50:60, 50:60] = True
        counts = [codec.encode(mask_HW) for mask_HW in masks_NHW]
        labels[image_id] = Instances(image.height, image.width, np.array([0.9, 0.4]), counts)
    label_sets.write(
        tmp_path / made_round.label_set,
        made,
        labels,
        identity="a" * 64,
        round_name="exp2",
        threshold=0.5,
        teachers={"detectors-x101.fold0": "b" * 64},
    )
    return made_round


def with_labels(made, exp2, folder, **changes):
    sets = (ImageSet(dataset=2, part="all"), ImageSet(dataset=3, labels=exp2))
    data = replace(WHOLE, sets=sets, **changes)
    return InstanceTiles(made, 0, data, augment=unchanged, seed=1, per_step=2, labels=folder)


def example_of_a_label_set(examples):
    names = ids_of(examples)
    number = next(n for n in range(len(names)) if names[shuffled(1, 0, n, len(names))].startswith("cmu1"))
    return examples[0, number]


def test_pseudo_labels_are_trained_on_beside_the_truth(made, exp2, tmp_path):
    loaded = label_sets.load(tmp_path / "exp2@0.5")
    assert (loaded.images, loaded.instances, loaded.identity) == (8, 8, "a" * 64)
    examples = with_labels(made, exp2, tmp_path)
    second = [key for key, image in made.images.items() if image.dataset == 2]
    assert ids_of(examples) == sorted(second) + sorted(made.unlabelled)
    _, target = example_of_a_label_set(examples)
    assert target["boxes"].tolist() == [[20, 10, 60, 40]]


def test_merged_annotations_get_new_ids_and_keep_their_source(made, exp2, tmp_path):
    sets = (ImageSet(dataset=2, part="all"), ImageSet(dataset=3, wsis=("6",), labels=exp2))
    value = coco_of(made, 0, sets, tmp_path)
    assert [entry["id"] for entry in value["annotations"]] == list(range(1, len(value["annotations"]) + 1))
    sources = Counter(image["source"] for image in value["images"])
    assert sources == {"truth": 12, "exp2@0.5": 4}
    labels = [entry for entry in value["annotations"] if entry["source"] == "exp2@0.5"]
    assert [entry["score"] for entry in labels] == [0.9] * 4


def test_a_label_set_that_is_missing_changed_or_of_other_images_is_told(made, exp2, tmp_path):
    with pytest.raises(KitError, match=r"the recipe needs the label set exp2@0\.5"):
        with_labels(made, exp2, None)
    with pytest.raises(KitError, match=r"the label set exp2@0\.5 is not made yet"):
        with_labels(made, exp2, tmp_path / "nowhere")
    path = tmp_path / "exp2@0.5" / "coco.json"
    whole = path.read_text()
    path.write_text(whole.replace("0.9", "0.8"))
    with pytest.raises(KitError, match=r"the labels of exp2 are not those that labels\.json describes"):
        with_labels(made, exp2, tmp_path)
    path.write_text(whole)
    first = next(iter(made.unlabelled))
    smaller = {**made.unlabelled, first: replace(made.unlabelled[first], height=100)}
    with pytest.raises(KitError, match=f"labels of image {first} are for 256 x 320 pixels"):
        with_labels(replace(made, unlabelled=smaller), exp2, tmp_path)
    twice = (ImageSet(dataset=3, labels=exp2), ImageSet(dataset=3, labels=exp2))
    with pytest.raises(KitError, match=r"is labelled by exp2@0\.5 and by exp2@0\.5"):
        coco_of(made, 0, twice, tmp_path)


def test_tiles_without_instances_are_kept_if_the_recipe_says_so(made, exp2, tmp_path):
    nothing = Instances(256, 320, np.ones(0), [])
    label_sets.write(
        tmp_path / "exp2@0.5",
        made,
        dict.fromkeys(made.unlabelled, nothing),
        identity="c" * 64,
        round_name="exp2",
        threshold=0.5,
        teachers={},
    )
    assert len(ids_of(with_labels(made, exp2, tmp_path))) == 12
    examples = with_labels(made, exp2, tmp_path, filter_empty=False)
    assert len(ids_of(examples)) == 20
    _, target = example_of_a_label_set(examples)
    assert target["masks"].shape == (0, 256, 320)
