import numpy as np
import pytest

from kit.ensemble import Member
from kit.errors import KitError
from kit.inference import calibration
from kit.inference.store import CodedDetections, save_detections
from kit.local import calibration_fit
from kit.masks import coco
from kit.predictions import Instances
from train_local.ensemble import calibrations
from train_local.ensemble.calibrations import Judged, JudgeRequest

SIZE = (40, 40)
IOU = 0.6


def square(top, left, side=8):
    mask_HW = np.zeros(SIZE, bool)
    mask_HW[top : top + side, left : left + side] = True
    return coco.encode(mask_HW)


def detections(*found):
    """Of (top, left, score)."""
    boxes = np.array([[left, top, left + 8, top + 8] for top, left, _ in found], np.float64).reshape(-1, 4)
    scores = np.array([score for *_, score in found])
    return CodedDetections(*SIZE, boxes, scores, [square(top, left) for top, left, _ in found])


def member(name="m"):
    return Member(
        name=name,
        weights="w",
        sha256=name.encode().hex(),
        size=1,
        network={},
        inference={"size": 40},
        requires=[],
    )


def test_hits_are_judged_after_the_views_are_merged(tmp_path):
    views = {
        "identity": {"a": detections((0, 0, 0.9), (20, 20, 0.3)), "b": detections((30, 0, 0.6))},
        "hflip": {"a": detections((0, 1, 0.8), (0, 30, 0.5)), "b": detections()},
    }
    files = []
    for view, of_image in views.items():
        files.append({image_id: tmp_path / f"{view}-{image_id}.npz" for image_id in of_image})
        for image_id, found in of_image.items():
            save_detections(files[-1][image_id], found)
    truth = {
        "a": Instances(*SIZE, np.ones(2), [square(0, 0), square(20, 20)]),
        "b": Instances(*SIZE, np.ones(1), [square(0, 0)]),
    }
    of_image = {
        image_id: JudgeRequest(member(), tuple(view[image_id] for view in files), truth[image_id], IOU)
        for image_id in truth
    }
    scores, hits = calibrations.judge_image(of_image["a"])
    assert scores.tolist() == [0.9, 0.5, 0.3], "0.8 is the best one once more"
    assert hits.tolist() == [True, False, True]
    assert [found.tolist() for found in calibrations.judge_image(of_image["b"])] == [[0.6], [False]]
    files[0]["a"].unlink()
    with pytest.raises(KitError, match="this pass has no result"):
        calibrations.judge_image(of_image["a"])


def overconfident(recipe, name, seed, power):
    """Detections whose hits come at the rate score ** power."""
    random = np.random.default_rng(seed)
    scores = random.random(400)
    return Judged(recipe, name, scores, random.random(400) < scores**power)


def test_a_member_is_calibrated_by_what_the_other_folds_found():
    judged = [overconfident("r", "r.fold0", 0, 3.0), overconfident("r", "r.fold1", 1, 0.5)]
    found = calibrations.choices(judged)
    assert set(found) == {"isotonic", "temperature", "rank"}
    for method in ("isotonic", "temperature"):
        for item, other in (judged, judged[::-1]):
            fitted = found[method][item.member]
            assert fitted == calibration_fit.fit(method, other.scores, other.hits)
    low, high = (
        calibration.apply(found["isotonic"][name], np.array([0.5]))[0] for name in ("r.fold1", "r.fold0")
    )
    assert low < 0.3
    assert high > 0.6, "fold 1 is told what fold 0 saw, and the other way round"


def test_recipes_of_one_fold_and_too_few_detections_are_left_as_they_are():
    alone = overconfident("alone", "alone.fold0", 2, 2.0)
    pair = [overconfident("r", f"r.fold{fold}", fold, 2.0) for fold in range(2)]
    assert calibrations.choices([alone]) == {}
    assert {name for fitted in calibrations.choices([alone, *pair]).values() for name in fitted} == {
        "r.fold0",
        "r.fold1",
    }
    few = [Judged("r", f"r.fold{fold}", np.array([0.5]), np.array([True])) for fold in range(2)]
    assert calibrations.choices(few) == {}
