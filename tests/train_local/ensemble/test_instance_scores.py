import numpy as np
import pytest

from kit.competitions import get
from kit.ensemble import Member
from kit.errors import KitError
from kit.inference.fusion import PassResult, fuse
from kit.inference.instance_settings import InstanceFusion
from kit.inference.store import CodedDetections, save_detections
from kit.local.competitions.scores import score
from kit.masks import coco
from kit.predictions import Instances
from kit.typed_json import to_plain
from train_local.ensemble.answers import Answers, key_of
from train_local.ensemble.instance_scores import InstanceScores
from train_local.ensemble.kept_images import HeldOut
from train_local.ensemble.nested import cross_validated
from train_local.ensemble.paths import best_subsets
from train_local.ensemble.processes import Helpers
from train_local.ensemble.scores import Assigned
from train_local.ensemble.search import Candidate, tuned_step
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
        fused = fuse(results, how.settings, (SIDE, SIDE), kind="instance", image_id=image_id)
        predicted[image_id] = fused.prediction
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
    both = Selection((VIEWS[0], VIEWS[2]), (1.0, 1.0))
    fresh = scores.tune(both, scores.ids, start)
    tuned, before = (
        scores.score(dict.fromkeys(scores.ids, Assigned(both, how)))
        for how in (fresh, {**start, "calibration": {}})
    )
    assert tuned >= before


def test_additions_are_compared_with_the_published_settings_whatever_the_rung_before_has(scores):
    both, odd = Selection((VIEWS[0], VIEWS[2]), (1.0, 1.0)), {"iou": 0.99, "skip_score": 0.6}
    assert scores.quick(both, scores.ids, odd) == scores.quick(both, scores.ids, {})
    published = dict.fromkeys(scores.ids, Assigned(both, to_plain(InstanceFusion())))
    assert scores.quick(both, scores.ids, {}) == scores.score(published)


def test_a_search_asks_for_a_sample_and_what_it_ends_with_is_scored_on_all_images(images):
    few, every = (
        InstanceScores(get("vasculature"), images, processes=1, searched=searched) for searched in (3, 6)
    )
    both = Selection((VIEWS[0], VIEWS[2]), (1.0, 1.0))
    assigned = dict.fromkeys(few.ids, Assigned(both, {}))
    sampled, whole = few.score(assigned), every.score(assigned)
    assert sampled == every.score(
        {image_id: assigned[image_id] for image_id in ("image0", "image2", "image5")}
    )
    assert sampled != whole
    few.count([assigned])
    assert few.score(assigned) == whole


def test_answers_are_kept_by_what_decides_them_and_dropped_when_they_are_too_many(images):
    views = [Assigned(Selection(VIEWS[:2], weights), {}) for weights in ((1.0, 3.0), (2.0, 2.0), (5.0, 5.0))]
    assert len({key_of(how) for how in views}) == 1, "a member weighs as the mean of its views"
    both = [Assigned(Selection((VIEWS[0], VIEWS[2]), weights), {}) for weights in ((1.0, 2.0), (2.0, 4.0))]
    assert key_of(both[0]) == key_of(both[1]) != key_of(views[0])
    answers = Answers(get("vasculature"), images, Helpers(1), "here", most_bytes=0)
    first, second = (answers.score(dict.fromkeys(answers.ids, how)) for how in (views[0], both[0]))
    assert first != second
    assert answers.score(dict.fromkeys(answers.ids, views[0])) == first, "asked again"
    for ids in (answers.ids[:2], answers.ids):  # the second time a part of it is known
        answers.ask([(both[0], ids), (views[0], ids)])
        assert len(answers._known) == 2, "what was just asked for stays"
        assert answers._bytes == sum(one.nbytes for one in answers._known.values()) > 0


def test_detections_of_another_size_than_the_image_are_named(images):
    image = images["image0"]
    larger = HeldOut(Instances(SIDE, SIDE + 1, image.truth.scores[:0], []), image.found)
    scores = InstanceScores(get("vasculature"), {"image0": larger}, processes=1)
    with pytest.raises(KitError, match="the stored detections are of 48 x 48 pixels") as error:
        scores.quick(Selection((VIEWS[0],), (1.0,)), scores.ids, {})
    assert "npz" in str(error.value)


def test_images_without_any_instance_are_right_if_nothing_is_found(images):
    nothing = Instances(SIDE, SIDE, np.zeros(0), [])
    bare = {key: HeldOut(nothing, image.found) for key, image in images.items()}
    scores = InstanceScores(get("vasculature"), bare, processes=1)
    alone = Selection((VIEWS[0],), (1.0,))
    assert scores.quick(alone, scores.ids, {}) == 0, "everything found is wrong"
    assert scores.score(dict.fromkeys(scores.ids, Assigned(alone, {"skip_score": 0.99}))) == 1


def test_detectors_that_see_different_things_are_fused_to_a_ladder(images):
    few, every = (InstanceScores(get("vasculature"), images, processes=1, searched=n) for n in (4, 6))
    candidates = [Candidate(VIEWS[0], 1.0), Candidate(VIEWS[2], 1.0)]
    steps = cross_validated(few, candidates, [few.ids[::2], few.ids[1::2]]).steps
    assert len(steps) > 1
    for item in steps:
        assert 0 < item.cv <= 1
        assert item.error >= 0
        assert item.static is not None
        again = dict.fromkeys(few.ids, Assigned(item.step.selection, item.step.settings))
        assert item.step.score == every.score(again), "of all images, though a sample was asked for"


def test_the_best_subset_of_detectors_under_a_cap_has_settings_of_its_own(scores):
    costs = dict(zip(VIEWS, (0.4, 1.0, 0.5), strict=True))
    order = Selection((VIEWS[1], VIEWS[0], VIEWS[2]), (1.0, 1.0, 0.5))
    ladder = [tuned_step(scores, order, scores.ids, {}, 1.9)]
    [pair, whole] = best_subsets(scores, ladder, costs, scores.ids, [0.95, 1.9])
    assert pair.selection == Selection((VIEWS[0], VIEWS[2]), (1.0, 0.5))
    assert pair.cost == pytest.approx(0.9)
    assert pair.settings == scores.tune(pair.selection, scores.ids, {})
    assert pair.score == scores.score(dict.fromkeys(scores.ids, Assigned(pair.selection, pair.settings)))
    assert whole is ladder[-1]


def test_doubts_are_those_of_the_rows_on_kaggle(images, scores):
    both = Selection((VIEWS[0], VIEWS[1], VIEWS[2]), (1.0, 1.0, 2.0))
    how = Assigned(both, {**to_plain(InstanceFusion()), "min_area": 10})
    found = scores.doubts(dict.fromkeys(scores.ids, how))
    for image_id, doubt in found.items():
        results = [
            PassResult(
                file=images[image_id].found[view][1], weight=weight, member=images[image_id].found[view][0]
            )
            for view, weight in zip(both.recipe_views, both.weights, strict=True)
        ]
        fused = fuse(results, how.settings, (SIDE, SIDE), kind="instance", image_id=image_id)
        assert doubt == fused.doubt
    assert 0 < min(found.values()) < max(found.values()) < 1
