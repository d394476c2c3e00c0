from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from kit import competitions
from kit.errors import KitError
from kit.images.slide import open_slide
from kit.local.competitions.labelled import LabelledData
from kit.masks import rle
from kit.models import Logits
from train_local.data import balanced_tiles, prepare
from train_local.data.balanced_tiles import BalancedTiles, Epochs
from train_local.data.image_crops import IGNORED, ImageCrops
from train_local.engine import losses
from train_local.recipes.settings import Data

SAMPLE = Path(__file__).parents[3] / "sample" / "body"
WHOLE = Data(
    tile=None,
    scale=1.0,
    crop=96,
    image_side=128,
    scale_range=(60, 160),
    crop_cat_max_ratio=0.75,
    fill=(124, 116, 104),
)
TILES = Data(tile=256, scale=0.25, crop=None, sampling="balanced", offsets=(0, 128), least_std=10.0)


@pytest.fixture(scope="module")
def stains(tmp_path_factory):
    """One stain: every image with red and blue swapped, and a pixel less at each side."""
    folder = tmp_path_factory.mktemp("stains")
    (folder / "swapped").mkdir()
    for path in sorted((SAMPLE / "train_images").glob("*.tiff")):
        with open_slide(path) as slide:
            image_HWC = slide.read_band(0, slide.height)[1:-1, 1:-1, ::-1]
        Image.fromarray(np.ascontiguousarray(image_HWC)).save(folder / "swapped" / f"{path.stem}.png")
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory, stains):
    out = tmp_path_factory.mktemp("body")
    return prepare.prepare("body", SAMPLE, out, reductions=(1,), sides=(128,), stains=stains)


class Organs:
    """An augmentation that changes nothing and remembers which organs it was told."""

    def __init__(self):
        self.seen = Counter()

    def __call__(self, image_HWC, mask_HW, random, *, organ):
        self.seen[organ] += 1
        return image_HWC, mask_HW


def whole(made, data=WHOLE, augment=None, seed=1):
    ids = made.fold(0).train
    return ImageCrops(made, ids, data, augment=augment or Organs(), seed=seed, per_step=2)


def test_the_competition_is_prepared_with_its_organs_and_published_folds(made):
    assert (made.split, made.sides, made.stains) == ("published", [128], ["swapped"])
    assert Counter(image.organ for image in made.images.values()) == {"kidney": 5, "prostate": 5, "spleen": 5}
    for fold in made.folds:
        assert Counter(made.images[key].organ for key in fold.valid) == {
            "kidney": 1,
            "prostate": 1,
            "spleen": 1,
        }


def test_whole_images_are_area_means_of_the_image_and_its_mask(made):
    image_id = made.fold(0).train[0]
    data = replace(WHOLE, crop=None, scale_range=None)
    examples = ImageCrops(made, [image_id], data, augment=Organs(), seed=1, per_step=1)
    x_CHW, target_1HW = examples[0, 0]
    with open_slide(made.image_path(image_id)) as slide:
        image_HWC = slide.read_band(0, slide.height)
    assert x_CHW.shape == (3, 128, 128)
    assert x_CHW.float().mean(dim=(1, 2)).numpy() == pytest.approx(image_HWC.mean(axis=(0, 1)), abs=1)
    true = LabelledData(competitions.get("body"), SAMPLE).truth([image_id])[image_id]
    share = rle.area(true.runs) / (true.height * true.width)
    assert float(target_1HW.mean()) == pytest.approx(share, abs=0.02)
    assert set(target_1HW.unique().tolist()) == {0.0, 1.0}


def test_an_epoch_has_every_image_in_every_stain_once_and_tells_the_organ(made):
    organs = Organs()
    examples = whole(made, replace(WHOLE, stains=("swapped",)), organs)
    assert len(examples) == 24
    counts = Counter(examples.image_of((step, item)) for step in range(12) for item in range(2))
    assert counts == dict.fromkeys(made.fold(0).train, 2)
    reds = {}
    for step in range(12):
        for item in range(2):
            x_CHW, _ = examples[step, item]
            reds.setdefault(examples.image_of((step, item)), []).append(float(x_CHW[0].float().sum()))
    assert organs.seen == {"kidney": 8, "prostate": 8, "spleen": 8}
    assert all(first != second for first, second in reds.values())


def test_examples_are_stretched_cropped_and_padded_with_pixels_that_no_loss_counts(made):
    examples, padded = whole(made), 0
    for step in range(20):
        x_CHW, target_1HW = examples[step, 0]
        assert x_CHW.shape == (3, 96, 96)
        assert target_1HW.shape == (1, 96, 96)
        beyond_HW = target_1HW[0] == IGNORED
        assert (x_CHW[:, beyond_HW] == torch.tensor([[124], [116], [104]])).all()
        inside_HW = ~beyond_HW
        rows, columns = int(inside_HW.any(1).sum()), int(inside_HW.any(0).sum())
        assert inside_HW[:rows, :columns].all()
        assert inside_HW.sum() == rows * columns
        assert min(rows, columns) >= 60
        padded += rows * columns < 96 * 96
        again, repeated = whole(made)[step, 0]
        assert torch.equal(x_CHW, again)
        assert torch.equal(target_1HW, repeated)
    assert padded, "some sides are shorter than the crop"


def test_crops_of_one_class_are_drawn_again(made):
    shares = {}
    for ratio in (1.0, 0.6):
        data = replace(WHOLE, crop=40, scale_range=(150, 160), crop_cat_max_ratio=ratio)
        targets = [whole(made, data)[step, 0][1] for step in range(40)]
        shares[ratio] = np.mean([max(float(target.mean()), 1 - float(target.mean())) for target in targets])
    assert shares[0.6] < shares[1.0] - 0.05


def test_pixels_beyond_the_image_do_not_change_the_losses():
    random = np.random.default_rng(0)
    target_N1HW = torch.from_numpy((random.random((2, 1, 8, 8)) < 0.4).astype(np.float32))
    logits_N2HW = torch.from_numpy(random.normal(size=(2, 2, 8, 8)).astype(np.float32))
    other_N2HW = logits_N2HW.clone()
    other_N2HW[:, :, 5:] = torch.from_numpy(random.normal(size=(2, 2, 3, 8)).astype(np.float32))
    target_N1HW[:, :, 5:] = IGNORED
    weights = {"cross_entropy": 1.0, "lovasz": 3.0}
    one, other = (
        losses.semantic(weights, Logits(logits, {}), target_N1HW) for logits in (logits_N2HW, other_N2HW)
    )
    assert {name: float(value) for name, value in one.items()} == pytest.approx(
        {name: float(value) for name, value in other.items()}
    )
    inside = losses.semantic(weights, Logits(logits_N2HW[:, :, :5], {}), target_N1HW[:, :, :5])
    assert float(one["lovasz"]) == pytest.approx(float(inside["lovasz"]))
    assert float(one["cross_entropy"]) == pytest.approx(float(inside["cross_entropy"]) * 5 / 8)


def test_sizes_and_stains_that_are_not_prepared_are_told(made, capsys):
    with pytest.raises(KitError, match="whole images were not prepared at 200 x 200"):
        whole(made, replace(WHOLE, image_side=200))
    with pytest.raises(KitError, match="in the stain 'pas', which are not prepared") as error:
        whole(made, replace(WHOLE, stains=("swapped", "pas")))
    assert "--stains" in str(error.value)
    alone = whole(replace(made, stains=[]), replace(WHOLE, stains=("swapped", "pas")))
    assert len(alone) == 12
    said = " ".join(capsys.readouterr().err.split())
    assert "trains on the originals alone, and not on their copies in swapped, pas as published" in said
    with pytest.raises(KitError, match="were not prepared at full resolution"):
        BalancedTiles(replace(made, reductions=[2]), ["10001"], TILES, augment=Organs(), seed=1, per_step=2)


def test_a_stain_without_some_image_is_refused(stains, tmp_path):
    (tmp_path / "half").mkdir()
    with pytest.raises(KitError, match="stain half lacks 15 of 15 images, the first is 10001"):
        prepare.prepare("body", SAMPLE, tmp_path / "out", sides=(32,), stains=tmp_path)
    with pytest.raises(KitError, match="no stained copies are here"):
        prepare.prepare("body", SAMPLE, tmp_path / "out", sides=(32,), stains=tmp_path / "nowhere")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("side", "plain", "shifted"),
    [
        (3000, [0, 1024, 2048], [512, 1536]),
        (2100, [0, 1024, 2048], [512]),
        (1024, [0], []),
        (3072, [0, 1024, 2048], [512]),
    ],
)
def test_tiles_begin_where_the_published_ones_did(side, plain, shifted):
    assert list(balanced_tiles.starts(side, 1024, 0)) == plain
    assert list(balanced_tiles.starts(side, 1024, 512)) == shifted


def balanced(made, data=TILES, augment=None):
    return BalancedTiles(made, made.fold(0).train, data, augment=augment or Organs(), seed=1, per_step=4)


def test_tiles_are_described_by_their_pixels(made):
    examples = balanced(made)
    assert len({(tile.image, tile.top, tile.left) for tile in examples._tiles}) == len(examples._tiles)
    for tile in examples._tiles[::7]:
        image_HWC, mask_HW = BalancedTiles._read(balanced(made, replace(TILES, scale=1.0)), tile)
        assert image_HWC.shape == (256, 256, 3)
        assert image_HWC.std() > 10
        assert tile.bin == min(round(float((mask_HW / 255).mean()) * 20), 7)


def test_examples_of_tiles_are_resized_and_know_their_organ(made):
    organs = Organs()
    examples = balanced(made, augment=organs)
    x_CHW, target_1HW = examples[3, 1]
    assert x_CHW.shape == (3, 64, 64)
    assert 0 <= float(target_1HW.min()) <= float(target_1HW.max()) <= 1
    assert set(organs.seen) <= {"kidney", "prostate", "spleen"}
    again, repeated = balanced(made)[3, 1]
    assert torch.equal(x_CHW, again)
    assert torch.equal(target_1HW, repeated)
    assert examples.image_of((3, 1)) in made.fold(0).train


def test_an_epoch_has_as_many_tiles_with_as_without_foreground_and_all_bins_equally():
    bins = (0,) * 30 + (1,) * 60 + (2,) * 30 + (7,) * 10
    epochs = Epochs(bins, seed=3)
    assert len(epochs) == 30 + 3 * 10
    for epoch in range(3):
        drawn = [bins[number] for number in epochs.draw(epoch)]
        assert Counter(drawn) == {0: 30, 1: 10, 2: 10, 7: 10}
        assert set(epochs.draw(epoch)) >= set(range(30)), "those without foreground come once"
    assert [epochs.tile(number) for number in range(60, 120)] == epochs.draw(1).tolist()
    assert epochs.draw(0).tolist() != epochs.draw(1).tolist()


def test_without_one_of_the_kinds_all_tiles_come_once():
    assert sorted(Epochs((3, 3, 7), seed=1).draw(0)) == [0, 1, 2]
    assert sorted(Epochs((0, 0), seed=1).draw(5)) == [0, 1]
