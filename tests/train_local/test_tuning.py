import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.competitions.base import SemanticMask
from kit.inference.fusion import fuse_semantic
from kit.inference.settings import InstanceFusion
from kit.masks import rle
from kit.metrics.dice import dice
from train_local import tuning


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
    threshold, value = tuning.best_threshold(truth, {name: {0: files[name][0]} for name in files}, [1.0])
    assert value == 1.0
    assert threshold == pytest.approx(0.29), "of equals the one nearest to a half"
    weights, settings = tuning.tune_semantic(truth, files, [[1.0, 2.0], [1.0, 1.0], [1.0, 0.01]])
    assert weights == [1.0, 0.01]
    assert 0.1 < settings["threshold"] < 0.31


def test_instance_settings_climb_to_the_best_of_each_choice():
    wanted = InstanceFusion(morphology="opening", iou=0.7, vote_fraction=0.5, skip_score=0.05).as_dict()
    asked = []

    def score(weights, settings):
        asked.append((tuple(weights), tuple(settings.items())))
        return sum(settings[name] == wanted[name] for name in wanted) + (tuple(weights) == (1.0, 2.0))

    weights, settings = tuning.tune_instance([[1.0, 1.0], [1.0, 2.0]], InstanceFusion(), score)
    assert (weights, settings) == ([1.0, 2.0], wanted)
    assert len(set(asked)) == len(asked), "nothing is scored twice"


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
    one, _ = tuning.best_threshold(truth, {"0": files["0"]}, [1.0])
    many, value = tuning.best_threshold(truth, files, [1.0])
    assert one == 0.5, "one image alone tells nothing"
    assert many < 0.36, "thirty that agree do"
    assert value > 0.99
