import numpy as np
import pytest

from kit.competitions import get
from kit.ensemble import Member
from kit.inference.fusion import PassResult, fuse
from kit.inference.instance_settings import InstanceFusion
from kit.inference.store import CodedDetections, save_detections
from kit.local.competitions.scores import score
from kit.masks import coco
from kit.predictions import Instances
from kit.typed_json import to_plain
from train_local.ensemble.instance_scores import HeldOut, InstanceScores
from train_local.ensemble.nested import cross_validated
from train_local.ensemble.scores import Assigned
from train_local.ensemble.search import Candidate
from train_local.ensemble.trial import RecipeView, Selection

SIDE = 48
VIEWS = [RecipeView("a", "identity"), RecipeView("a", "hflip"), RecipeView("b", "identity")]


def square(top, left, side=8):
    mask_HW = np.zeros((SIDE, SIDE), bool)
    mask_HW[top : top + side, left : left + side] = True
    return coco.encode(mask_HW)


def found_by(random, places, miss):
    """Detections that miss some of the places and see one thing that is not there."""
    kept = [place for place in places if random.random() > miss]
    spots = [*((top + random.integers(0, 2), left) for top, left in kept), (40, random.integers(0, 40))]
    scores = np.sort(random.uniform(0.3, 0.9, len(spots)))[::-1]
    boxes = np.array([[left, top, left + 8, top + 8] for top, left in spots], np.float64)
    return CodedDetections(SIDE, SIDE, boxes, scores, [square(*spot) for spot in spots])


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder, random = tmp_path_factory.mktemp("found"), np.random.default_rng(0)
    images = {}
    for number in range(6):
        places = [(row, column) for row in (0, 12, 24) for column in (2, 20, 36) if random.random() < 0.7]
        found = {}
        for view in VIEWS:
            fold = number % 2
            name = f"{view.recipe}.fold{fold}"
            member = Member(
                name=name,
                weights=f"{name}.safetensors",
                sha256=name.encode().hex(),
                size=1,
                network={},
                inference={"size": SIDE},
                requires=[],
            )
            path = folder / f"{name}-{view.view}-{number}.npz"
            save_detections(path, found_by(random, places, 0.5))
            found[view] = (member, path)
        truth = Instances(SIDE, SIDE, np.ones(len(places)), [square(*place) for place in places])
        images[f"image{number}"] = HeldOut(truth, found)
    return images


@pytest.fixture
def scores(images):
    return InstanceScores(get("vasculature"), images, processes=1)


def test_a_score_is_that_of_the_fused_predictions_with_each_images_own_settings(images, scores):
    both = Selection((VIEWS[0], VIEWS[2]), (1.0, 2.0))
    alone = Selection((VIEWS[2],), (1.0,))
    loose = {**to_plain(InstanceFusion()), "iou": 0.4}
    assigned = {
        image_id: Assigned(both, {}) if number % 2 else Assigned(alone, loose)
        for number, image_id in enumerate(scores.ids)
    }
    predicted = {}
    for image_id, how in assigned.items():
        results = [
            PassResult(
                file=images[image_id].found[view][1], weight=weight, member=images[image_id].found[view][0]
            )
            for view, weight in zip(how.selection.recipe_views, how.selection.weights, strict=True)
        ]
        predicted[image_id] = fuse(results, how.settings, (SIDE, SIDE), kind="instance", image_id=image_id)
    truth = {image_id: image.truth for image_id, image in images.items()}
    assert scores.score(assigned) == pytest.approx(score(get("vasculature"), truth, predicted).value)


def test_views_of_a_recipe_share_a_weight_and_new_recipes_try_several(scores):
    one = Selection((VIEWS[0],), (2.0,))
    assert scores.relative_weights(one, VIEWS[1]) == (2.0,)
    assert scores.relative_weights(one, VIEWS[2]) == (2.0, 1.0, 4.0)


def test_a_second_view_keeps_the_settings_of_the_rung_before(scores):
    settings = scores.tune(Selection((VIEWS[0],), (1.0,)), scores.ids, {})
    start = {**settings, "iou": 0.7, "vote_fraction": 0.5}
    several = Selection((VIEWS[0], VIEWS[2], VIEWS[1]), (1.0, 1.0, 1.0))
    assert scores.tune(several, scores.ids, start) == start
    fresh = scores.tune(Selection((VIEWS[0], VIEWS[2]), (1.0, 1.0)), scores.ids, start)
    plain = scores.quick(Selection((VIEWS[0], VIEWS[2]), (1.0, 1.0)), scores.ids, start)
    assert scores.quick(Selection((VIEWS[0], VIEWS[2]), (1.0, 1.0)), scores.ids, fresh) >= plain


def test_detectors_that_see_different_things_are_fused_to_a_ladder(scores):
    candidates = [Candidate(view, 1.0) for view in VIEWS]
    parts = [scores.ids[start::3] for start in range(3)]
    steps = cross_validated(scores, candidates, parts)
    assert len(steps) > 1
    for item in steps:
        assert 0 < item.cv <= 1
        assert item.error > 0
        assert item.static is not None
