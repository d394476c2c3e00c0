import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from kit import competitions
from kit.errors import KitError
from kit.local.competitions.labelled import LabelledData
from kit.local.competitions.scores import score
from train_local import baseline

SAMPLE = Path(__file__).parents[2] / "sample"


def scored(competition, kind, count=None):
    module = competitions.get(competition)
    data = SAMPLE / competition
    ids = module.test_ids(data)[:count]
    predictions = baseline.predict_baseline(competition, data, ids, kind)
    truth = LabelledData(module, data).truth(ids)
    return score(module, truth, predictions).value, predictions


@pytest.mark.parametrize("seed", range(5))
def test_otsu_is_opencv_s(seed):
    random = np.random.default_rng(seed)
    values = np.concatenate([random.normal(70, 20, 5000), random.normal(160, 30, 3000)])
    image_HW = values.clip(0, 255).astype(np.uint8).reshape(80, 100)
    expected, _ = cv2.threshold(image_HW, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    assert baseline.otsu(np.bincount(image_HW.ravel(), minlength=256)) == int(expected)


def test_otsu_of_one_value_is_that_value():
    assert baseline.otsu(np.eye(256, dtype=np.int64)[17]) == 17


def test_bands_do_not_change_the_masks(monkeypatch):
    whole = [scored("kidney", kind)[1] for kind in ("otsu", "otsu-smoothed")]
    monkeypatch.setattr(baseline, "_BAND", 37)
    banded = [scored("kidney", kind)[1] for kind in ("otsu", "otsu-smoothed")]
    for one, other in zip(whole, banded, strict=True):
        assert all(np.array_equal(one[image_id].runs, other[image_id].runs) for image_id in one)


def test_all_foreground_covers_every_pixel():
    _, predictions = scored("kidney", "all-foreground")
    for mask in predictions.values():
        assert mask.runs.tolist() == [[0, mask.height * mask.width]]
    _, predictions = scored("vasculature", "all-foreground", 2)
    assert all(len(found.masks) == 1 for found in predictions.values())


def test_otsu_finds_some_nuclei_and_ranks_by_darkness():
    value, predictions = scored("vasculature", "otsu", 6)
    assert 0.05 < value < 0.6
    for found in predictions.values():
        assert (np.diff(found.scores) <= 0).all()
        assert found.scores.min() >= 0
        assert found.scores.max() <= 1


def test_an_unknown_baseline_is_told_with_the_known_ones():
    with pytest.raises(KitError, match="no baseline is called 'magic'") as caught:
        baseline.predict_baseline("kidney", SAMPLE / "kidney", [], "magic")
    assert caught.value.fix == "choose one of otsu, otsu-smoothed, all-foreground"


def test_a_missing_image_is_told(tmp_path):
    with pytest.raises(KitError, match="image 7 is missing"):
        baseline.predict_baseline("vasculature", tmp_path, ["7"], "otsu")


@pytest.mark.parametrize("competition", ["kidney", "vasculature"])
def test_the_command_writes_a_valid_submission(competition, tmp_path):
    out = tmp_path / "submission.csv"
    command = [sys.executable, "-m", "train_local", "baseline", "--competition", competition]
    subprocess.run([*command, "--data", str(SAMPLE / competition), "--out", str(out)], check=True)
    module = competitions.get(competition)
    ids = module.test_ids(SAMPLE / competition)
    sizes = {image_id: module.size_of(SAMPLE / competition, image_id) for image_id in ids}
    assert module.validate(out, ids, sizes).ok
