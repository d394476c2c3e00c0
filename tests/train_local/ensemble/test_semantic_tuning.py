import numpy as np
import pytest

from kit.images.info import ImageInfo
from train_local.ensemble import semantic_tuning as tuning


def test_few_images_do_not_move_the_threshold_far_and_many_do():
    curves = np.array(peaked(0.3, 30, seed=0))
    one, _ = tuning.best_threshold(curves[:1])
    many, value = tuning.best_threshold(curves)
    assert one == 0.5, "one image alone tells nothing"
    assert many == pytest.approx(0.3, abs=0.05), "thirty that agree do"
    assert value == pytest.approx(curves.mean(axis=0).max(), abs=0.005)


def peaked(best, count, seed, noise=0.02):
    """Dice curves that are highest round a threshold."""
    random = np.random.default_rng(seed)
    thresholds = np.arange(1, tuning.BINS) / tuning.BINS
    return [
        0.9 - (thresholds - best - random.normal(0, 0.05)) ** 2 + random.normal(0, noise)
        for _ in range(count)
    ]


def by_organ(*groups, trial=0):
    """Curves and infos of (source, organ, best threshold, images)."""
    curves, infos = {}, {}
    for number, (source, organ, best, count) in enumerate(groups):
        for place, curve in enumerate(peaked(best, count, seed=100 * trial + number)):
            curves[f"{number}-{place}"] = curve
            infos[f"{number}-{place}"] = ImageInfo(0.4, organ, source)
    return curves, infos


def test_organs_get_the_thresholds_they_want_and_the_others_the_common_one():
    curves, infos = by_organ(
        ("HPA", "kidney", 0.5, 30), ("HPA", "lung", 0.1, 20), ("HPA", "spleen", 0.1, tuning.LEAST_IMAGES - 1)
    )
    found = tuning.organ_thresholds(curves, infos, 0.5)
    assert list(found) == ["lung"], "kidneys are content, of spleens there are too few"
    assert found["lung"] == pytest.approx(0.1, abs=0.06)


def test_organs_that_differ_by_chance_stay_near_the_common_threshold():
    moved, kept = [], 0
    for trial in range(20):
        curves, infos = by_organ(*[("HPA", organ, 0.5, 16) for organ in ("lung", "spleen")], trial=trial)
        found = tuning.organ_thresholds(curves, infos, 0.5)
        kept += 2 - len(found)
        moved += [abs(threshold - 0.5) for threshold in found.values()]
    assert kept >= 20, "the rule lets go of the common threshold when it is more than a standard error worse"
    assert max(moved, default=0) < 0.05


def test_a_source_may_want_another_threshold_than_its_organ():
    curves, infos = by_organ(("HPA", "lung", 0.5, 30), ("Hubmap", "lung", 0.15, 12), ("", "lung", 0.9, 9))
    found = tuning.organ_thresholds(curves, infos, 0.5)
    assert found["Hubmap/lung"] == pytest.approx(0.15, abs=0.06)
    assert set(found) <= {"Hubmap/lung", "HPA/lung", "lung"}, "without a source there is no name for it"


def test_images_without_an_organ_share_the_common_threshold():
    curves, infos = by_organ(("", "", 0.1, 30))
    assert tuning.organ_thresholds(curves, infos, 0.5) == {}
