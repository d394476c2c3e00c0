import numpy as np
import pytest

from kit import competitions
from kit.errors import KitError
from kit.local.competitions.check import check
from kit.local.competitions.labelled import LabelledData

RNG = np.random.default_rng(7)
RGB_HWC = RNG.integers(0, 255, (10, 12, 3), np.uint8)


def lines(report):
    return [str(finding) for finding in report.findings]


def test_a_good_folder_has_no_errors_or_alarms(each):
    report = each.check()
    assert report.ok
    assert not [line for line in lines(report) if line.startswith("alarm")]
    assert report.facts["test images"] == 2
    assert report.facts["training images with truth"] == 2


def test_neither_sample_submission_nor_test_images(each):
    (each.root / "sample_submission.csv").unlink()
    for image_id in ("cc", "dd"):
        each.competition.image_path(each.root, image_id, "test").unlink()
    assert any("neither sample_submission.csv nor images " in line for line in lines(each.check()))


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize(
    ("array", "options", "shown"),
    [
        (RGB_HWC.astype(np.float32), {}, "image holds 32-bit float samples, not 8-bit or 16-bit unsigned"),
        (RGB_HWC[..., 0], {"photometric": "minisblack"}, "it is grayscale or palette"),
    ],
)
def test_unusable_pixels_are_errors_that_name_the_file(each, split, array, options, shown):
    path = each.image(split, {"train": "aa", "test": "cc"}[split], array, **options)
    errors = [line for line in lines(each.check()) if line.startswith("error")]
    assert len(errors) == 1
    assert shown in errors[0]
    assert str(path) in errors[0]
    assert "convert it to 8-bit RGB first" in errors[0]


def test_a_truncated_image_is_an_error_that_says_how_much_is_missing(each):
    path = each.competition.image_path(each.root, "cc", "test")
    whole = path.read_bytes()
    path.write_bytes(whole[:-50])
    (error,) = [line for line in lines(each.check()) if line.startswith("error")]
    assert f"it has {len(whole) - 50} bytes" in error
    assert f"should end at byte {len(whole)}" in error
    assert str(path) in error


def test_an_image_that_is_no_tiff_or_missing_is_an_error(each):
    path = each.competition.image_path(each.root, "aa", "train")
    path.write_bytes(b"<html>403 Forbidden</html>")
    assert any("not a TIFF" in line and str(path) in line for line in lines(each.check()))
    path.unlink()
    assert any("image is missing" in line and str(path) in line for line in lines(each.check()))


@pytest.mark.parametrize(
    ("array", "options", "shown"),
    [
        (
            np.dstack([RGB_HWC, RGB_HWC[..., :1]]),
            {"extrasamples": ["unassalpha"]},
            "its fourth channel (alpha) is left out",
        ),
        (
            RGB_HWC.transpose(2, 0, 1).copy(),
            {"planarconfig": "separate"},
            "its channels come first (separate planes)",
        ),
        (
            RGB_HWC.transpose(2, 0, 1).copy(),
            {"photometric": "minisblack"},
            "its single-channel pages are taken as red, green and blue",
        ),
    ],
)
def test_usable_but_unusual_pixels_are_noted(each, array, options, shown):
    path = each.image("test", "cc", array, **options)
    report = each.check()
    assert report.ok
    assert any(line.startswith(f"note: {shown}") and str(path) in line for line in lines(report))
    assert each.competition.size_of(each.root, "cc") == (10, 12)


def test_ids_without_image_and_images_without_id_are_reported(each):
    each.competition.image_path(each.root, "dd", "test").rename(
        each.competition.image_path(each.root, "ee", "test")
    )
    found = lines(each.check())
    assert any(line.startswith("error: image is missing") and "/dd.tif" in line for line in found)
    assert any(
        line.startswith("alarm: image test") and "/ee.tif" in line and "not in sample_submission.csv" in line
        for line in found
    )


def test_ids_listed_twice_are_errors(each):
    path = each.root / "sample_submission.csv"
    text = path.read_text()
    path.write_text(text + text.splitlines()[-1] + "\n")
    twice = text.splitlines()[-1].split(",")[0]
    fix = "the kit writes one row for each image; where each object needs a row, it cannot predict"
    assert f"error: id {twice} is there twice [{path}] -> {fix}" in lines(each.check())


def test_training_ids_listed_twice_are_errors(each):
    path = each.root / each.labelled().files[0]
    text = path.read_text()
    path.write_text(text + text.splitlines()[-1] + "\n")
    (error,) = [line for line in lines(each.check()) if line.startswith("error")]
    assert error.startswith(f"error: id aa is there twice [{path}] -> ")
    assert "keep one" not in error
    with pytest.raises(KitError, match="id aa is there twice"):
        each.truth(["aa"])
    assert list(each.truth(["bb"])) == ["bb"]


def test_a_training_image_may_be_predicted_but_its_id_may_not_mean_two_images(each):
    """The public part of many competitions is a copy of a training image."""
    row = (each.root / "sample_submission.csv").read_text().splitlines()[-1].split(",")
    each.table("sample_submission.csv", each.competition.columns, ["aa", *row[1:]])
    for image_id in ("cc", "dd"):
        each.competition.image_path(each.root, image_id, "test").unlink()
    each.image("test", "aa", RGB_HWC)
    assert not [line for line in lines(each.check()) if line.startswith("error")]
    each.image("test", "aa", RGB_HWC[:9])
    (error,) = [line for line in lines(each.check()) if line.startswith("error")]
    assert error.startswith("error: aa is the id of a training image and of another one to predict")
    assert each.competition.size_of(each.root, "aa") == (10, 12)  # of the image that truth is for


def test_training_images_without_any_mask_are_an_alarm(kidney, vasculature, tmp_path):
    kidney.table("train.csv", ("id", "encoding"), ("aa", ""), ("bb", ""))
    (tmp_path / "own.toml").write_text(
        'like = "vasculature"\nname = "own"\n[truth]\nscored = ["blood_vessels"]\n'  # a slip of the pen
    )
    own = competitions.get(tmp_path / "own.toml")
    for report in (kidney.check(), check(LabelledData(own, vasculature.root))):
        alarms = [line for line in lines(report) if line.startswith("alarm")]
        assert alarms[-1].startswith("alarm: no training image has a mask")
    assert alarms[0].startswith("alarm: no annotation is of the type 'blood_vessels'")
    for image_id in ("aa", "bb"):
        kidney.competition.image_path(kidney.root, image_id, "train").unlink()
    assert not [line for line in lines(kidney.check()) if line.startswith("alarm")]  # errors enough
