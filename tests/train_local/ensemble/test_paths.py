from itertools import combinations

import pytest

from train_local.ensemble.nested import cross_validated, most_asked
from train_local.ensemble.parts import others
from train_local.ensemble.paths import ASKED, SHARES, best_subsets
from train_local.ensemble.scores import Assigned
from train_local.ensemble.search import search_ladder, within_cost
from train_local.ensemble.trial import Selection

ERRORS, COSTS = (2.0, 2.0, 1.9, 1.7, 2.1), (1.0, 1.5, 5.0, 3.0, 1.2)
"""Networks that are about as good as each other, at costs that let other ones fit each share."""


def scored(scene, number=3):
    parts = [scene.scores.ids[start::number] for start in range(number)]
    told = []
    found = cross_validated(scene.scores, scene.candidates, parts, on_asked=told.append)
    assert sum(told) == most_asked(parts) == 4 * len(SHARES) * ASKED
    assert min(told) >= 0
    return parts, found


def test_a_subset_is_cheaper_than_its_share_and_weighs_as_the_ladder_does(make_scene):
    scene = make_scene(11, ERRORS, costs=COSTS, images=9)
    _, found = scored(scene)
    whole = found.steps[-1].step
    weights = dict(zip(whole.selection.recipe_views, whole.selection.weights, strict=True))
    assert found.subsets, "the best for some share is no step of this ladder"
    for subset in found.subsets:
        assert subset.step.cost <= subset.share * whole.cost
        for recipe_view, weight in zip(
            subset.step.selection.recipe_views, subset.step.selection.weights, strict=True
        ):
            assert weights[recipe_view] == weight
        prefix = within_cost([one.step for one in found.steps], subset.step.cost)[-1]
        assert subset.step.score > prefix.score
        assert 0 < subset.step.settings["threshold"] < 1
    shares = [subset.share for subset in found.subsets]
    assert shares == sorted(set(shares))


def test_the_unseen_score_of_a_subset_is_made_of_images_that_no_search_has_seen(make_scene):
    scene = make_scene(11, ERRORS, costs=COSTS, images=9)
    parts, found = scored(scene)
    whole = found.steps[-1].step
    costs = {item.recipe_view: item.cost for item in scene.candidates}
    for subset in found.subsets:
        assigned = {}
        for number, part in enumerate(parts):
            ladder = search_ladder(scene.scores, scene.candidates, others(parts, number))
            [step] = best_subsets(
                scene.scores,
                within_cost(ladder, whole.cost),
                costs,
                others(parts, number),
                [subset.step.cost],
            )
            assert step.cost <= subset.step.cost
            assigned.update(dict.fromkeys(part, Assigned(step.selection, step.settings)))
        assert subset.cv == pytest.approx(scene.scores.score(assigned))
        assert 0 < subset.error < 0.2


def test_one_image_has_subsets_without_an_unseen_score(make_scene):
    scene = make_scene(11, ERRORS, costs=COSTS, images=1)
    found = cross_validated(scene.scores, scene.candidates, [scene.scores.ids])
    assert all(subset.promise == subset.step.score for subset in found.subsets)


def test_a_subset_has_a_score_of_all_images_or_none(make_scene):
    # recipe1, the best by far, held out the last two images only.
    scene = make_scene(3, (1.5, 0.3, 2.0), costs=(4.0, 0.5, 2.0), without=[(1, image) for image in range(4)])
    scores = scene.scores
    ladder = search_ladder(scores, scene.candidates, scores.ids, keep_all=True)
    costs = {item.recipe_view: item.cost for item in scene.candidates}
    cheap, small, dear = best_subsets(scores, ladder, costs, scores.ids, [0.5, 2.5, 6.5])
    assert cheap is None, "recipe1 fits, but has no score of all images"
    assert {view.recipe for view in small.selection.recipe_views} == {"recipe1", "recipe2"}
    assert dear is ladder[-1], "a step of the ladder is that step"


def test_few_subsets_are_all_asked_for_once_and_the_best_is_taken(make_scene):
    scene = make_scene(5, (1.5, 2.0, 2.5))
    scores, told = scene.scores, []
    ladder = search_ladder(scores, scene.candidates, scores.ids, keep_all=True)
    costs = {item.recipe_view: item.cost for item in scene.candidates}
    found = best_subsets(scores, ladder, costs, scores.ids, [1.0, 2.0, 3.0], on_asked=told.append)
    assert sum(told[:-1]) == 7, "three recipe views have seven subsets, and all caps share them"
    assert sum(told) == 3 * ASKED
    order = ladder[-1].selection
    for cap, step in zip((1, 2, 3), found, strict=True):
        best = max(
            scores.quick(
                Selection(
                    tuple(order.recipe_views[place] for place in places),
                    tuple(order.weights[place] for place in places),
                ),
                scores.ids,
                {},
            )
            for size in range(1, cap + 1)
            for places in combinations(range(3), size)
        )
        assert scores.quick(step.selection, scores.ids, {}) == pytest.approx(best)
