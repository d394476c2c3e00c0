"""Scores by fusing as on Kaggle: values and masks of classes, with the tuning of their settings."""

import json

import numpy as np
import pytest

from kit.competitions import parsing
from kit.competitions.values import ValuesCompetition
from kit.ensemble import Member
from kit.images.info import ImageInfo
from kit.predictions import Values
from train_local.ensemble import class_tuning, values_tuning
from train_local.ensemble.fused_scores import FusedScores, HeldOut
from train_local.ensemble.scores import Assigned
from train_local.ensemble.search import Candidate, search_ladder, worth_of
from train_local.ensemble.trial import RecipeView, Selection

A, B, C = (RecipeView(name, "identity") for name in "abc")
DEFINITION = {
    "name": "numbers",
    "slug": "numbers",
    "kind": "values",
    "targets": ["n"],
    "images": {"train": "train/{id}.tif", "test": "test/{id}.tif"},
    "truth": {"form": "table", "file": "train.csv"},
    "submission": {"id": "id"},
    "metric": {"name": "RMSE"},
}


def member(name):
    return Member(
        name=name, weights=f"{name}.safetensors", sha256="0", size=0, network={}, inference={}, requires=[]
    )


@pytest.fixture
def scores(tmp_path):
    """Members a and b are right but for a little, c is far off in one image of four."""
    random = np.random.default_rng(0)
    images = {}
    for number in range(12):
        true = float(number)
        said = {
            A: true + random.normal(0, 0.1),
            B: true + random.normal(0, 0.1),
            C: true + 9 * (number % 4 == 0),
        }
        found = {}
        for recipe_view, value in said.items():
            path = tmp_path / f"{recipe_view.recipe}{number}.json"
            path.write_text(json.dumps({"n": value}))
            found[recipe_view] = member(recipe_view.recipe), path
        images[f"{number:02}"] = HeldOut(Values({"n": true}), (1, 1), ImageInfo(), found)
    competition = ValuesCompetition(parsing.parse(DEFINITION), DEFINITION)
    return FusedScores(competition, images, values_tuning.tune, processes=1)


def test_an_error_counts_negative_and_the_mean_of_two_is_better_than_one(scores):
    one, both = Selection((A,), (1.0,)), Selection((A, B), (1.0, 1.0))
    values = [scores.quick(item, scores.ids, {}) for item in (one, both)]
    assert values[0] < values[1] < 0
    assert np.isnan(scores.quick(Selection((RecipeView("x", "identity"),), (1.0,)), scores.ids, {}))
    assert scores.images(C) == frozenset(scores.ids)


def test_a_ladder_of_losses_begins_with_what_is_good_enough_for_its_cost(scores):
    costs = {A: 2.0, B: 1.0, C: 0.5}
    candidates = [Candidate(item, cost) for item, cost in costs.items()]
    steps = search_ladder(scores, candidates, scores.ids)
    assert steps[0].selection.recipe_views == (B,), "about as good as a, and cheaper; c is cheap and far off"
    assert steps[-1].score >= steps[0].score
    assert all(step.score < 0 for step in steps)


def test_an_outlier_makes_the_median_better(scores):
    three = Selection((A, B, C), (1.0, 1.0, 1.0))
    assert scores.tune(three, scores.ids, {}) == {"numbers": "median"}
    assert scores.tune(Selection((A, B), (1.0, 1.0)), scores.ids, {})["numbers"] == "mean"


def test_images_with_ways_of_their_own_are_scored_together_and_disagreement_is_doubt(scores):
    three, two = Selection((A, B, C), (1.0, 1.0, 1.0)), Selection((A, B), (1.0, 1.0))
    mixed = {key: Assigned(three if key == "00" else two, {}) for key in scores.ids}
    assert scores.score(mixed) < scores.quick(two, scores.ids, {})
    doubts = scores.doubts(dict.fromkeys(scores.ids, Assigned(three, {})))
    assert min(doubts[f"{n:02}"] for n in (0, 4, 8)) > max(doubts[f"{n:02}"] for n in (1, 2, 3, 5, 6, 7))


def test_thresholds_of_classes_are_found_one_after_the_other():
    best = {"a": 0.3, "b": 0.65}

    def scored(tried):
        return [
            -sum(abs(one["thresholds"].get(name, one["threshold"]) - wanted) for name, wanted in best.items())
            - one["exclusive"]
            for one in tried
        ]

    tuned = class_tuning.tuner(["a", "b"])({}, scored)
    assert tuned["thresholds"] == {"a": 0.3, "b": pytest.approx(0.65)}
    assert tuned["exclusive"] is False


def test_what_a_loss_is_worth_is_the_best_one_s_share_of_it():
    assert worth_of(0.75, 0.8) == 0.75
    assert worth_of(-0.5, -0.25) == 0.5
    assert worth_of(-0.25, -0.25) == 1
    assert worth_of(0.0, 0.0) == 0
