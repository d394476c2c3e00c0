import numpy as np
import pytest

from kit import competitions
from kit.errors import KitError

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


def test_kaggles_part_alone_is_enough_on_kaggle(each):
    for name in (*each.competition.truth_files, "tile_meta.csv"):
        (each.root / name).unlink(missing_ok=True)
    assert each.check(need_train=False).ok
    assert not each.check().ok


def test_ids_come_in_the_order_of_the_sample_submission_else_sorted(kidney):
    assert kidney.competition.test_ids(kidney.root) == ["dd", "cc"]
    (kidney.root / "sample_submission.csv").unlink()
    assert kidney.competition.test_ids(kidney.root) == ["cc", "dd"]
    assert kidney.competition.train_ids(kidney.root) == ["aa", "bb"]


def test_neither_sample_submission_nor_test_images(each):
    (each.root / "sample_submission.csv").unlink()
    for image_id in ("cc", "dd"):
        each.competition.image_path(each.root, image_id, "test").unlink()
    assert any("neither sample_submission.csv nor images " in line for line in lines(each.check()))


def test_sizes_come_from_the_header(each):
    each.image("train", "wide", RGB_HWC[:3])
    assert each.competition.size_of(each.root, "wide") == (3, 12)
    assert each.competition.size_of(each.root, "cc") == (10, 12)
    with pytest.raises(KitError, match="image is missing"):
        each.competition.size_of(each.root, "nobody")
    with pytest.raises(KitError, match="image cannot be read: File name too long"):
        each.competition.size_of(each.root, "x" * 400)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize(
    ("array", "options", "shown"),
    [
        (RGB_HWC.astype(np.float32), {}, "image holds 32-bit float samples, needed are 8-bit unsigned ones"),
        (RGB_HWC[..., 0], {"photometric": "minisblack"}, "image of 10 x 12 pixels is grayscale or palette"),
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


def test_on_kaggle_one_broken_image_is_an_alarm_and_all_broken_an_error(each):
    path = each.competition.image_path(each.root, "cc", "test")
    path.write_bytes(b"II")
    report = each.check(need_train=False)
    assert report.ok
    assert any(
        line.startswith("alarm") and "its row of the submission stays empty" in line for line in lines(report)
    )
    each.competition.image_path(each.root, "dd", "test").write_bytes(b"II")
    assert not each.check(need_train=False).ok


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
    assert f"error: id {twice} is there twice [{path}] -> download the table again" in lines(each.check())


def test_training_ids_listed_twice_are_errors(each):
    path = each.root / each.competition.truth_files[0]
    text = path.read_text()
    path.write_text(text + text.splitlines()[-1] + "\n")
    assert f"error: id aa is there twice [{path}] -> keep one of the two" in lines(each.check())
    with pytest.raises(KitError, match="id aa is there twice"):
        each.competition.truth(each.root, ["aa"])
    assert list(each.competition.truth(each.root, ["bb"])) == ["bb"]


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
    for report in (kidney.check(), competitions.get(tmp_path / "own.toml").check(vasculature.root)):
        (alarm,) = [line for line in lines(report) if line.startswith("alarm")]
        assert alarm.startswith("alarm: no training image has a mask")
    for image_id in ("aa", "bb"):
        kidney.competition.image_path(kidney.root, image_id, "train").unlink()
    assert not [line for line in lines(kidney.check()) if line.startswith("alarm")]  # errors enough


def test_truth_of_held_out_images_comes_from_the_solution(each):
    truth = each.competition.truth(each.root, ["cc", "aa"])
    assert list(truth) == ["cc", "aa"]
    with pytest.raises(KitError, match="no truth for 2 images, the first is x") as caught:
        each.competition.truth(each.root, ["x", "aa", "y"])
    assert " and ".join(each.competition.truth_files) in caught.value.fix


def test_training_truth_goes_before_the_solution(kidney):
    expected = kidney.competition.truth(kidney.root, ["aa"])["aa"].runs.tolist()
    kidney.table("solution.csv", ("id", "encoding"), ("aa", "1 1"))
    assert kidney.competition.truth(kidney.root, ["aa"])["aa"].runs.tolist() == expected != []
