from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from train_local.ensemble import static_weighting
from train_local.ensemble.nested import cross_validated, front_of
from train_local.ensemble.scores import Assigned
from train_local.ensemble.search import at_cost, search_ladder
from train_local.ensemble.trial import Selection

few = settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def parts_of(scores, number=3):
    return [scores.ids[start::number] for start in range(number)]


def names(step):
    return [view.recipe for view in step.selection.recipe_views]


@few
@given(st.integers(0, 1000), st.lists(st.sampled_from((0.5, 1.0, 4.0)), min_size=4, max_size=4))
def test_a_ladder_grows_by_one_recipe_view_a_step_and_never_takes_a_loss(make_scene, seed, costs):
    scene = make_scene(seed, (1.0, 1.5, 2.0, 6.0), costs=costs)
    steps = search_ladder(scene.scores, scene.candidates, scene.scores.ids)
    for number, step in enumerate(steps):
        assert len(step.selection.recipe_views) == number + 1
    for before, after in pairwise(steps):
        assert after.selection.recipe_views[:-1] == before.selection.recipe_views
        assert after.selection.weights[:-1] == before.selection.weights
        assert after.score > before.score
        assert after.cost > before.cost
    every = search_ladder(scene.scores, scene.candidates, scene.scores.ids, keep_all=True)
    assert len(every) == len(scene.candidates)


def test_each_step_is_told_when_it_is_there(make_scene):
    scene, told = make_scene(0, (1.0, 1.5, 2.0)), []
    steps = search_ladder(scene.scores, scene.candidates, scene.scores.ids, on_step=told.append)
    assert told == steps != []


def test_without_a_recipe_view_that_held_out_all_images_nothing_begins(make_scene):
    scene = make_scene(3, (1.5, 0.3), without=[(0, 0), (1, 1)])
    assert search_ladder(scene.scores, scene.candidates, scene.scores.ids) == []
    searched = cross_validated(scene.scores, scene.candidates, parts_of(scene.scores))
    assert (searched.steps, searched.subsets) == ([], [])


class OfASample:
    """Scores that are asked quickly of a sample of the images only, as those of detections are."""

    def __init__(self, scores, sample):
        self.scores, self.sample = scores, sample

    def __getattr__(self, name):
        return getattr(self.scores, name)

    def quick(self, selection, ids, settings):
        known = frozenset(ids) & self.sample
        return self.scores.quick(selection, known, settings) if known else float("nan")


def test_what_held_out_no_image_of_the_sample_is_not_added(make_scene):
    scene = make_scene(3, (1.5, 0.3), without=[(1, image) for image in range(3)])
    seen = OfASample(scene.scores, frozenset({"image0"}))
    assert [names(step) for step in search_ladder(seen, scene.candidates, scene.scores.ids)] == [["recipe0"]]
    assert len(search_ladder(scene.scores, scene.candidates, scene.scores.ids)) == 2


def test_of_equal_networks_the_cheap_one_comes_first_and_a_poor_one_never_does(make_scene):
    scene = make_scene(1, (1.5, 1.5, 9.0), costs=(4.0, 1.0, 0.1), images=8)
    steps = search_ladder(scene.scores, scene.candidates, scene.scores.ids)
    assert names(steps[0]) == ["recipe1"], "recipe2 is cheaper, but far from the best"
    assert names(steps[1])[-1] == "recipe0"


def test_a_recipe_view_of_some_images_is_measured_on_these_and_never_begins(make_scene):
    # recipe1, the best by far, held out the last two images only; recipe2 no image at all that counts.
    without = [*((1, image) for image in range(4)), *((2, image) for image in range(6))]
    scene = make_scene(3, (1.5, 0.3, 1.0), without=without)
    parts = parts_of(scene.scores)
    steps = cross_validated(scene.scores, scene.candidates, parts).steps
    assert names(steps[-1].step) == ["recipe0", "recipe1"]
    assert all(0 < item.cv <= 1 for item in steps)
    alone = search_ladder(scene.scores, scene.candidates, parts[0])
    assert names(alone[0]) == ["recipe0"], "recipe1 held those of this search out, but not all that count"


@few
@given(st.integers(0, 1000))
def test_the_ladders_front_has_no_rung_that_costs_more_and_promises_less(make_scene, seed):
    scene = make_scene(seed, (1.5, 2.0, 2.5, 5.0))
    steps = cross_validated(scene.scores, scene.candidates, parts_of(scene.scores)).steps
    kept = [steps[place] for place in front_of(steps)]
    for cheap, dear in pairwise(kept):
        assert dear.step.cost > cheap.step.cost
        assert dear.cv > cheap.cv


def test_members_that_are_noise_raise_the_fitted_score_but_not_that_of_unseen_images(make_scene):
    fitted, unseen = [], []
    for seed in range(6):
        # Weak members whose errors all share: what one adds on four images is chance.
        scene = make_scene(100 + seed, (0.3,) * 5, images=4, shared=2.0)
        steps = cross_validated(
            scene.scores, scene.candidates, parts_of(scene.scores, 4), keep_all=False
        ).steps
        fitted.append(max(item.step.score for item in steps) - steps[0].step.score)
        unseen.append(steps[-1].cv - steps[-1].step.score)
    assert np.mean(fitted) > 0, "the search fits itself to chance"
    assert np.mean(unseen) < 0, "and unseen images tell"


def test_the_unseen_score_is_made_of_images_that_no_search_has_seen(make_scene):
    scene = make_scene(5, (1.5, 2.0))
    scores, parts = scene.scores, parts_of(scene.scores)
    steps = cross_validated(scores, scene.candidates, parts).steps
    assigned = {}
    for number, part in enumerate(parts):
        others = [image_id for other, ids in enumerate(parts) if other != number for image_id in ids]
        ladder = search_ladder(scores, scene.candidates, others)
        for image_id in part:
            step = at_cost(ladder, steps[0].step.cost)
            assigned[image_id] = Assigned(step.selection, step.settings)
    assert steps[0].cv == pytest.approx(scores.score(assigned))
    assert 0 < steps[0].error < 0.2


def test_one_image_has_no_unseen_score(make_scene):
    scene = make_scene(6, (1.0, 1.5), images=1)
    steps = cross_validated(scene.scores, scene.candidates, [scene.scores.ids]).steps
    assert np.isnan(steps[0].cv)
    assert steps[0].static is None
    assert front_of(steps)[0] == 0


@few
@given(st.integers(0, 1000))
def test_static_weighting_gives_a_front_and_repeats_what_is_good(make_scene, seed):
    scene = make_scene(seed, (1.0, 2.0, 4.0), costs=(4.0, 1.0, 1.0))
    found = static_weighting.front(scene.scores, scene.candidates, scene.scores.ids)
    seconds = [step.cost for step in found]
    assert seconds == sorted(set(seconds))
    assert min(seconds) == 1.0, "the cheapest single ones are on it or beaten by their like"
    assert all(weight == round(weight) for step in found for weight in step.selection.weights)


def test_static_weighting_compares_what_held_out_all_images(make_scene):
    scene = make_scene(7, (1.0, 0.1, 1.0), without=[(1, 0)])
    found = static_weighting.front(scene.scores, scene.candidates, scene.scores.ids[1:])
    assert {view.recipe for step in found for view in step.selection.recipe_views} <= {"recipe0", "recipe2"}
    assert static_weighting.front(scene.scores, scene.candidates[1:2], scene.scores.ids) == []


def test_scores_of_samples_are_made_exact_by_a_count(make_scene):
    scene = make_scene(8, (2.0, 2.5), pixels=60)
    scores = scene.scores
    selection = Selection(tuple(item.recipe_view for item in scene.candidates), (1.0, 0.5))
    how = {image_id: Assigned(selection, {"threshold": 0.4}) for image_id in scores.ids}
    estimate = scores.score(how)
    scores.count([how])
    exact = scores.score(how)
    whole = make_scene(8, (2.0, 2.5)).scores.score(how)
    assert exact == pytest.approx(whole, abs=1e-6)
    assert estimate != exact
    assert estimate == pytest.approx(exact, abs=0.1)
