import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.errors import KitError
from kit.images.info import ImageInfo
from kit.inference.semantic_doubt import MaskDoubt
from kit.inference.semantic_fusion import fuse_semantic
from kit.local.metrics.dice import dice
from kit.masks import rle
from kit.predictions import SemanticMask
from train_local.ensemble import pixels
from train_local.ensemble.pixels import CountRequest, ScanRequest
from train_local.ensemble.scores import Assigned
from train_local.ensemble.semantic_scores import HeldOut, SemanticScores, bins_of, dice_of_histograms
from train_local.ensemble.semantic_tuning import BINS
from train_local.ensemble.trial import RecipeView, Selection


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("maps")


def written(folder, maps):
    paths = tuple(folder / f"{number}.npy" for number in range(len(maps)))
    for path, levels_HW in zip(paths, maps, strict=True):
        np.save(path, levels_HW)
    return paths


def smooth_scene(seed, side, count):
    """A disc and maps that mostly find it, with errors of their own."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    distance = side / 4 - np.hypot(y - side / 2, x - side / 2)
    maps = []
    for _ in range(count):
        waves = sum(
            random.normal() * np.sin(x / random.uniform(3, 20) + y / random.uniform(3, 20)) for _ in range(4)
        )
        maps.append(np.uint16(65535 / (1 + np.exp(-(distance / 4 + waves)))))
    return SemanticMask(side, side, rle.encode(distance > 0)), maps


@given(
    st.integers(0, 10_000),
    st.sampled_from((0.0, 0.3, 1.0)),
    st.lists(st.floats(0.1, 4), min_size=1, max_size=3),
)
def test_curves_of_a_complete_sample_and_counts_are_what_fusing_and_scoring_gives(
    folder, seed, density, weights
):
    random = np.random.default_rng(seed)
    mask_HW = random.random((9, 7)) < density
    truth = SemanticMask(9, 7, rle.encode(mask_HW))
    maps = [random.integers(0, 65536, (9, 7)).astype(np.uint16) for _ in weights]
    paths = written(folder, maps)
    sample = pixels.sample_image(ScanRequest(paths, truth, 100))
    assert sample.complete
    mean_P = (np.array(weights) / np.sum(weights)).astype(np.float32) @ sample.prob_MP
    histogram = np.bincount(bins_of(mean_P) + sample.truth_P * (BINS + 1), minlength=2 * (BINS + 1))
    curve = dice_of_histograms(histogram.reshape(1, 2, BINS + 1).astype(np.float64))[0]
    places = np.array([0, 24, 49, 73, 98])
    cuts = (places + 1) / BINS
    counted = pixels.count_masks(CountRequest(paths, truth, np.array([weights] * 5), cuts))
    for place, cut, exact in zip(places, cuts, counted, strict=True):
        fused = dice(truth.runs, fuse_semantic(maps, weights, cut))
        assert curve[place] == pytest.approx(fused)
        assert exact == pytest.approx(fused)


def test_a_sample_stands_for_all_pixels_and_tells_dice_to_a_percent(folder, monkeypatch):
    monkeypatch.setattr(pixels, "_SCAN_PIXELS", 40_000)  # several bands
    truth, maps = smooth_scene(3, 400, 4)
    paths = written(folder, maps)
    sample = pixels.sample_image(ScanRequest(paths, truth, 8000))
    assert not sample.complete
    assert 4000 < len(sample.truth_P) < 12_000
    assert sample.weight_P.sum(dtype=np.float64) == pytest.approx(400 * 400)
    assert (sample.weight_P * sample.truth_P).sum() == pytest.approx(truth.runs[:, 1].sum(), rel=1e-5)
    for weights in ([1, 1, 1, 1], [1, 0, 0, 0], [2, 1, 0.5, 1]):
        for cut in (0.2, 0.5, 0.8):
            exact = pixels.count_masks(CountRequest(paths, truth, np.array([weights]), np.array([cut])))[0]
            reached = np.array(weights) @ sample.prob_MP / np.sum(weights) >= cut
            hit = sample.weight_P[reached & sample.truth_P].sum()
            total = sample.weight_P[reached].sum() + sample.weight_P[sample.truth_P].sum()
            assert 2 * hit / total == pytest.approx(exact, abs=0.01)
    again = pixels.sample_image(ScanRequest(paths, truth, 8000))
    assert np.array_equal(again.prob_MP, sample.prob_MP), "equal runs draw equal pixels"


def test_maps_of_a_byte_and_of_two_bytes_are_fused_together(folder):
    truth, maps = smooth_scene(1, 30, 2)
    mixed = [maps[0], (maps[1] >> 8).astype(np.uint8)]
    paths = written(folder, mixed)
    counted = pixels.count_masks(CountRequest(paths, truth, np.array([[1.0, 2.0]]), np.array([0.4])))
    assert counted[0] == pytest.approx(dice(truth.runs, fuse_semantic(mixed, [1.0, 2.0], 0.4)))


def test_a_map_of_another_size_is_told_with_its_file(folder):
    truth, maps = smooth_scene(2, 20, 1)
    (path,) = written(folder, [maps[0][:10]])
    with pytest.raises(KitError, match="10 x 20 pixels, the truth of its image 20 x 20") as error:
        pixels.sample_image(ScanRequest((path,), truth, 10))
    assert str(path) in str(error.value)
    assert "predicts anew" in str(error.value)


def test_doubts_are_those_of_the_rows_on_kaggle_and_of_large_images_nearly_so(folder):
    views, weights = [RecipeView(name, "identity") for name in "abc"], (1.0, 2.0, 0.5)
    held, maps_of = {}, {}
    for side, image_id in ((60, "small"), (400, "large")):
        truth, maps = smooth_scene(side, side, 3)
        (folder / image_id).mkdir()
        paths = written(folder / image_id, maps)
        held[image_id] = HeldOut(truth, dict(zip(views, paths, strict=True)), ImageInfo())
        maps_of[image_id] = maps
    scores = SemanticScores(held, processes=1, pixels=8000)
    assert scores.complete == {"small"}
    how = Assigned(Selection(tuple(views), weights), {"threshold": 0.4})
    found = scores.doubts(dict.fromkeys(held, how))
    for image_id, tolerance in (("small", 1e-5), ("large", 5e-3)):
        doubt = MaskDoubt()
        fuse_semantic(maps_of[image_id], weights, 0.4, doubt)
        assert found[image_id] == pytest.approx(doubt.value, abs=tolerance)
