"""`prepare` and training examples on images of other formats: networks learn on what predict.py sees."""

import csv

import numpy as np
import pytest
from PIL import Image

from kit.errors import KitError
from kit.masks import rle
from tests.kit.images.coded_files import dicom, jpeg, png
from train_local.baseline import predict_baseline
from train_local.data import prepare, prepared, slides, whole_images

HEIGHT, WIDTH = 40, 56
TOML = """
name = "{name}"
slug = "{name}"
kind = "{kind}"
[images]
{images}
[truth]
{truth}
[submission]
mask = "rle"
{submission}
[metric]
{metric}
"""
MASK_HW = np.zeros((HEIGHT, WIDTH), bool)
MASK_HW[5:20, 10:30] = True


def written(
    folder, name, *, images, truth='form = "text"\nfile = "train.csv"\nmask = "rle"', kind="semantic"
):
    instance = kind == "instance"
    text = TOML.format(
        name=name,
        kind=kind,
        images=images,
        truth=truth,
        submission='encoding = "coco"' if instance else "",
        metric='name = "AP"\niou = 0.5' if instance else 'name = "mean Dice"',
    )
    path = folder / f"{name}.toml"
    path.write_text(text)
    return path


def table(data, ids, tests):
    text = rle.to_kaggle(rle.encode(MASK_HW))
    for name, listed in (("train.csv", ids), ("sample_submission.csv", tests)):
        with (data / name).open("w", newline="") as stream:
            csv.writer(stream).writerows([("id", "rle"), *((image, text) for image in listed)])


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def scenes():
    random = np.random.default_rng(1)
    return {image: random.integers(0, 1 << 16, (HEIGHT, WIDTH, 1)) for image in ("v1_01", "v1_02", "v2_01")}


def test_sixteen_bit_slices_become_the_arrays_that_the_rule_says(tmp_path):
    data, deep = tmp_path / "data", scenes()
    for image, samples_HWC in deep.items():
        volume, number = image.split("_")
        put(data / "train" / volume / f"{number}.png", png(samples_HWC, 16))
        put(data / "masks" / volume / f"{number}.png", png(MASK_HW[..., None] * 255))
        put(data / "test" / "v9" / f"{number}.png", png(samples_HWC, 16))
    table(data, deep, ["v9_01", "v9_02"])
    toml = written(
        tmp_path,
        "deep",
        images='train = "train/{v}/{n}.png"\ntest = "test/{v}/{n}.png"\nid = "{v}_{n}"\n'
        "intensity = [0, 32768]",
        truth='form = "images"\nfile = "masks/{v}/{n}.png"',
    )
    made = prepare.prepare(toml, data, tmp_path / "out", reductions=(1,), sides=(32,), fold_count=2)
    assert sorted(made.images) == sorted(deep)
    assert made.images["v1_02"].path == "train/v1/02.png"
    for image, samples_HWC in deep.items():
        files = slides.files_of(made.root, 1, image)
        expected = np.clip(samples_HWC / 32768 * 255, 0, 255)
        assert np.abs(np.load(files.image) - expected).max() <= 0.5
        assert np.array_equal(np.load(files.mask) > 127, MASK_HW)
        assert np.load(whole_images.files_of(made.root, 32, image).image).shape == (32, 32, 3)
    assert any("it is grey" in finding for finding in made.findings)
    again = prepared.load(tmp_path / "out")
    with again.source.reading.open(again.image_path("v2_01")) as opened:
        assert (opened.height, opened.width) == (HEIGHT, WIDTH)
    found = predict_baseline(toml, data, ["v9_01"], "all-foreground")
    assert rle.area(found["v9_01"].runs) == HEIGHT * WIDTH


def test_dicom_files_and_the_same_picture_twice(tmp_path):
    data, deep = tmp_path / "data", scenes()
    for image, samples_HWC in deep.items():
        values_HW = samples_HWC[..., 0].astype(np.uint16)
        put(data / "train" / f"{image}.dcm", dicom(values_HW, RescaleIntercept=-1000, RescaleSlope=1))
        put(data / "test" / f"{image}9.dcm", dicom(values_HW))
    put(data / "train" / "copy.dcm", (data / "train" / "v1_01.dcm").read_bytes())
    table(data, [*deep, "copy"], ["v1_019"])
    toml = written(
        tmp_path,
        "scans",
        images='train = "train/{id}.dcm"\ntest = "test/{id}.dcm"\nintensity = { percentiles = [1, 99] }',
    )
    with pytest.raises(KitError, match="show the same picture"):
        prepare.prepare(toml, data, tmp_path / "out", fold_count=4)
    (data / "train" / "copy.dcm").unlink()
    table(data, deep, ["v1_019"])
    made = prepare.prepare(toml, data, tmp_path / "out", reductions=(2,), fold_count=3)
    shown_HWC = np.load(slides.files_of(made.root, 2, "v1_01").image)
    assert shown_HWC.shape == (HEIGHT // 2, WIDTH // 2, 3)


def test_photos_for_a_detector(tmp_path):
    from train_local.data.instance_tiles import InstanceTiles
    from train_local.recipes.settings import Data

    data = tmp_path / "data"
    photos = {
        image: np.asarray(np.random.default_rng(n).integers(0, 256, (HEIGHT, WIDTH, 3)), np.uint8)
        for n, image in enumerate("abcd")
    }
    for image, photo_HWC in photos.items():
        put(data / "train" / f"{image}.jpg", jpeg(photo_HWC, orientation=6))
        put(data / "test" / f"{image}9.jpg", jpeg(photo_HWC))
    table(data, photos, ["a9"])
    toml = written(
        tmp_path, "photos", images='train = "train/{id}.jpg"\ntest = "test/{id}.jpg"', kind="instance"
    )
    made = prepare.prepare(toml, data, tmp_path / "out", fold_count=2)
    assert any("EXIF orientation is 6" in finding for finding in made.findings)
    tiles = InstanceTiles(
        made,
        0,
        Data(tile=None, scale=1.0, crop=None),
        augment=lambda image, masks, _: (image, masks),
        seed=0,
        per_step=1,
    )
    image_CHW, target = tiles[0, 0]
    shown_HWC = np.array(Image.open(data / "train" / f"{tiles.image_of((0, 0))}.jpg"))
    assert np.array_equal(image_CHW.numpy().transpose(1, 2, 0), shown_HWC)
    assert np.array_equal(target["masks"][0].numpy(), MASK_HW)


def test_a_rule_that_makes_images_black_raises_an_alarm(tmp_path):
    data, deep = tmp_path / "data", scenes()
    for image, samples_HWC in deep.items():
        put(data / "train" / f"{image}.png", png(samples_HWC // 255, 16))
        put(data / "test" / f"{image}9.png", png(samples_HWC, 16))
    table(data, deep, ["v1_019"])
    paths = 'train = "train/{id}.png"\ntest = "test/{id}.png"\nintensity = '
    made = prepare.prepare(
        written(tmp_path, "dark", images=paths + '"full range"'), data, tmp_path / "out", fold_count=2
    )
    assert any("of it is black" in finding and "alarm" in finding for finding in made.findings)
    toml = written(tmp_path, "plain", images=paths.removesuffix("intensity = "))
    with pytest.raises(KitError, match="nobody says which of them become 0 and 255"):
        prepare.prepare(toml, data, tmp_path / "out2", fold_count=2)
