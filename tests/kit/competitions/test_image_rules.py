import pytest

from kit import competitions
from kit.competitions.image_rules import distributions, formats, modules, reading_of
from kit.competitions.images_check import check_images
from kit.competitions.images_format import Images
from kit.errors import KitError
from kit.images.intensity_rule import Intensity, intensity_of


def images(path, **more):
    return Images(**{"train": path, "test": path.replace("train", "test"), **more})


@pytest.mark.parametrize(
    ("path", "more", "form"),
    [
        ("train/{id}.png", {}, "png"),
        ("train/{id}.JPG", {}, "jpeg"),
        ("train/{id}.dcm", {"intensity": "dicom window"}, "dicom"),
        ("train/{id}", {"format": "dicom", "intensity": "full range"}, "dicom"),
        ("train/{id}.tif", {"intensity": [0, 4095]}, "tiff"),
        ("train/{volume}/{slice}.tif", {"id": "{volume}_{slice}"}, "tiff"),
        ("train/{id}/*.png", {}, "png"),
    ],
)
def test_special_images(path, more, form):
    made = images(path, **more)
    assert made.special
    check_images(made)
    assert formats(made) == {form}
    assert reading_of(made).formats == (form,)
    assert distributions(made) == (("pydicom",) if form == "dicom" else ())


def test_files_without_an_ending_are_tiffs_as_long_as_nothing_else_is_said_of_them():
    assert formats(images("train/{id}", test="test/{id}.png")) == {"tiff", "png"}


@pytest.mark.parametrize("path", ["train/{id}.tiff", "train/{id}", "train/{id}/a.svs"])
def test_colour_tiffs_need_none_of_this(path):
    assert not images(path).special
    check_images(images(path))
    assert modules(images(path)) == []


def test_only_the_readers_that_a_definition_uses_travel():
    travels = modules(images("train/{id}.png"))
    assert travels == ["kit.competitions.image_rules", "kit.images.png_jpeg"]
    assert "kit.images.volume" in modules(images("train/{id}/*.jpg"))
    assert "kit.images.dicom" in modules(images("train/{id}.dcm"))


@pytest.mark.parametrize(
    ("path", "more", "words"),
    [
        ("train/a.png", {}, "has no {id}"),
        ("train/{id}.webp", {}, "have to be TIFF, PNG, JPEG or DICOM"),
        ("train/{id}", {"intensity": "full range"}, "does not tell the format"),
        ("train/{a}/{b}.png", {"id": "{a}_{c}"}, "has no {c} in it"),
        ("train/{a}{b}.png", {"id": "{a}"}, "nothing stands between"),
        ("train/{}/{id}.png", {}, "cannot be read"),
        ("train/{a b}/{id}.png", {}, "cannot be read"),
        ("train/*/{id}.png", {}, "behind '*'"),
        ("train/{id}.png", {"intensity": "dicom window"}, "no path ends with .dcm"),
        ("train/{id}.tif", {"orientation": "exif"}, "PNG and JPEG"),
        ("train/{id}.dcm", {"slice_order": "position"}, "folders of slices"),
        ("train/{id}/*.png", {"slice_order": "position"}, "DICOM files tell alone"),
        ("train/{id}.png", {"test": "test/{id}/*.png"}, "only one of train and test"),
        ("train/{id}.png", {"intensity": "most"}, "intensity is 'most'"),
        ("train/{id}.png", {"intensity": [5, 5]}, "intensity is [5, 5]"),
        ("train/{id}.png", {"intensity": [True, 5]}, "intensity is"),
        ("train/{id}.png", {"intensity": {"percentiles": [9, 101]}}, "percentiles is [9, 101]"),
        ("train/{id}.png", {"intensity": {"percentile": [1, 99]}}, "intensity is"),
    ],
)
def test_faults_say_what_to_write(path, more, words):
    with pytest.raises(KitError) as caught:
        check_images(images(path, **more))
    assert words in caught.value.problem
    assert caught.value.fix


def test_only_a_model_of_values_gets_folders_of_slices(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text(
        'name = "a"\nslug = "a"\nkind = "semantic"\n[images]\ntrain = "train/{id}/*.png"\n'
        'test = "test/{id}/*.png"\n[truth]\nform = "text"\nfile = "train.csv"\nmask = "rle"\n'
        '[submission]\nmask = "rle"\n[metric]\nname = "mean Dice"\n'
    )
    with pytest.raises(KitError, match="a folder of slices") as caught:
        competitions.get(path)
    assert "{volume}_{slice}" in caught.value.fix


def test_the_four_rules():
    assert intensity_of(None) is None
    assert intensity_of("full range") == Intensity("full range")
    assert intensity_of("dicom window") == Intensity("dicom window")
    assert intensity_of([0, 4095]) == Intensity("range", 0, 4095)
    assert intensity_of({"percentiles": [1, 99.5]}) == Intensity("percentiles", 1, 99.5)
