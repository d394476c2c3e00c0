import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.images.info import ImageInfo
from kit.inference.semantic_fusion import fuse_semantic
from kit.inference.semantic_settings import SemanticFusion
from kit.local.metrics.dice import dice
from kit.masks import rle
from kit.predictions import SemanticMask
from kit.typed_json import from_plain
from train_local.ensemble import semantic_tuning as tuning


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("maps")


@given(
    st.integers(0, 10_000),
    st.sampled_from((0.0, 0.3, 1.0)),
    st.lists(st.floats(0.1, 4), min_size=1, max_size=3),
)
def test_dice_of_every_threshold_is_what_fusing_and_scoring_gives(folder, seed, density, weights):
    random = np.random.default_rng(seed)
    mask_HW = random.random((9, 7)) < density
    truth = SemanticMask(9, 7, rle.encode(mask_HW))
    maps = [random.integers(0, 65536, (9, 7)).astype(np.uint16) for _ in weights]
    paths = [folder / f"{number}.npy" for number in range(len(maps))]
    for path, levels_HW in zip(paths, maps, strict=True):
        np.save(path, levels_HW)
    curve = tuning.dice_by_threshold(truth, paths, weights)
    for place in (0, 24, 49, 73, 98):
        fused = fuse_semantic(maps, weights, (place + 1) / tuning.BINS)
        assert curve[place] == pytest.approx(dice(truth.runs, fused))


def test_the_best_threshold_and_weights_are_found(tmp_path):
    mask_HW = np.zeros((20, 20), bool)
    mask_HW[5:15, 5:15] = True
    truth = {"a": SemanticMask(20, 20, rle.encode(mask_HW))}
    good = np.where(mask_HW, 0.3, 0.1)
    noise = np.random.default_rng(0).random((20, 20))
    files = {"a": {}}
    for index, prob_HW in enumerate((good, noise)):
        np.save(tmp_path / f"{index}.npy", (prob_HW * 65535).round().astype(np.uint16))
        files["a"][index] = tmp_path / f"{index}.npy"
    truth["b"], files["b"] = truth["a"], files["a"]
    curves = tuning.dice_curves(truth, {name: {0: files[name][0]} for name in files}, [1.0])
    threshold, value = tuning.best_threshold(np.array(list(curves.values())))
    assert value == 1.0
    assert threshold == pytest.approx(0.29), "of equals the one nearest to a half"
    infos = {"a": ImageInfo(), "b": ImageInfo()}
    weights, settings = tuning.tune(truth, files, [[1.0, 2.0], [1.0, 1.0], [1.0, 0.01]], infos)
    assert weights == [1.0, 0.01]
    assert 0.1 < settings["threshold"] < 0.31


def test_few_images_do_not_move_the_threshold_far_and_many_do(tmp_path):
    def image(number, level):
        mask_HW = np.zeros((10, 10), bool)
        mask_HW[:5] = True
        prob_HW = np.where(mask_HW, level, 0.05)
        prob_HW[0] = 0.5 * level  # a row found below half of the level only
        np.save(tmp_path / f"{number}.npy", (prob_HW * 65535).round().astype(np.uint16))
        return SemanticMask(10, 10, rle.encode(mask_HW)), {0: tmp_path / f"{number}.npy"}

    levels = np.random.default_rng(0).uniform(0.6, 0.7, 30)
    made = {str(number): image(number, level) for number, level in enumerate(levels)}
    truth, files = ({name: pair[part] for name, pair in made.items()} for part in (0, 1))
    curves = tuning.dice_curves(truth, files, [1.0])
    one, _ = tuning.best_threshold(curves["0"][None])
    many, value = tuning.best_threshold(np.array(list(curves.values())))
    assert one == 0.5, "one image alone tells nothing"
    assert many < 0.36, "thirty that agree do"
    assert value > 0.99


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


def test_thresholds_of_organs_are_used_where_the_masks_are_made(tmp_path):
    mask_HW = np.zeros((10, 10), bool)
    mask_HW[:5] = True
    truth, files, infos = {}, {}, {}
    for number in range(20):
        organ, level = ("lung", 0.2) if number % 2 else ("kidney", 0.8)
        prob_HW = np.where(mask_HW, level, 0.4 * level)
        np.save(tmp_path / f"{number}.npy", (prob_HW * 65535).round().astype(np.uint16))
        name = str(number)
        truth[name] = SemanticMask(10, 10, rle.encode(mask_HW))
        files[name] = {0: tmp_path / f"{number}.npy"}
        infos[name] = ImageInfo(None, organ, "HPA")
    _, settings = tuning.tune(truth, files, [[1.0]], infos)
    tuned = from_plain(SemanticFusion, settings)
    for name, info in infos.items():
        found = fuse_semantic([np.load(files[name][0])], [1.0], tuned.threshold_of(info))
        assert dice(truth[name].runs, found) == 1.0, (info.organ, settings)
