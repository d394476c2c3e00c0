import json
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit import competitions, models
from kit.errors import KitError
from kit.inference import views
from kit.inference.settings import InstanceSettings, SemanticSettings
from train_local import recipes
from train_local.data import augment
from train_local.losses import SEMANTIC
from train_local.recipes import Schedule


def forms():
    for name in recipes.names():
        recipe = recipes.get(name)
        yield recipe
        yield recipe.tiny()
        if recipe.before is not None:
            yield recipe.before
            yield recipe.before.tiny()


@pytest.fixture(params=forms(), ids=lambda recipe: recipe.name)
def recipe(request):
    return request.param


def used(steps):
    for step in steps:
        yield step.name
        yield from used(step.choices)


class TestEveryRecipe:
    def test_its_network_comes_from_a_solution_of_its_competition(self, recipe):
        assert models.spec(recipe.network["network"]).system.startswith(f"{recipe.competition}-")

    def test_its_competition_takes_what_its_network_predicts(self, recipe):
        assert competitions.get(recipe.competition).kind == models.spec(recipe.network["network"]).kind

    def test_its_inference_settings_and_views_are_known(self, recipe):
        kind = models.spec(recipe.network["network"]).kind
        settings = {"semantic": SemanticSettings, "instance": InstanceSettings}[kind]
        settings.from_dict(recipe.inference)
        assert recipe.views[0] == "identity"
        assert set(recipe.views) <= set(views.names())

    def test_inference_sees_the_resolution_of_training(self, recipe):
        if "core" in recipe.inference:
            assert recipe.inference["scale"] == recipe.data.scale
        else:  # the sample's tiles are 320 pixels wide, the competition's 512
            side = 320 if recipe.name.endswith("-tiny") else 512
            assert recipe.inference["size"] == recipe.data.scale * side

    def test_its_augmentations_and_losses_are_known(self, recipe):
        assert set(used(recipe.augment)) <= set(augment.names())
        if models.spec(recipe.network["network"]).kind == "semantic":
            assert set(recipe.losses) <= set(SEMANTIC)

    def test_it_survives_json(self, recipe):
        assert json.loads(json.dumps(recipe.as_dict())) == recipe.as_dict()

    def test_its_learning_rate_ends_at_the_final_factor(self, recipe):
        assert recipe.schedule.factor(1000, 1000) == pytest.approx(recipe.schedule.final_factor, abs=1e-9)


@pytest.mark.parametrize("name", recipes.names())
def test_a_tiny_form_is_the_same_system_under_its_own_name(name):
    full, tiny = recipes.get(name), recipes.get(name).tiny()
    assert tiny.name == f"{full.name}-tiny"
    assert tiny.competition == full.competition
    assert tiny.network["network"] == full.network["network"]
    assert tiny.start is None
    assert tiny.before is None


def test_published_settings_of_the_detector_s_two_stages():
    second = recipes.get("detectors-r50")
    first = second.before
    assert (first.optimiser.lr, second.optimiser.lr) == (0.03, 0.0125)
    assert first.optimiser.lr * first.schedule.final_factor == pytest.approx(0.025)
    assert second.optimiser.lr * second.schedule.final_factor == pytest.approx(1e-8)
    assert (first.epochs, second.epochs) == (8, 23)
    assert (first.schedule.warmup_steps, second.schedule.warmup_steps) == (250, 200)
    assert (first.data.datasets, second.data.datasets) == ((2,), (1,))
    assert first.start == "detectors_htc_r50_1x_coco"


def test_published_learning_rates_of_the_u_net():
    recipe = recipes.get("unet-regnety16")
    rates = [recipe.optimiser.lr * recipe.schedule.factor(step, 100) for step in (0, 20, 100)]
    assert rates == pytest.approx([2e-5, 8e-4, 3e-5])


def test_steps_are_counted_from_epochs_or_given():
    recipe = recipes.get("unet-regnety16")
    assert recipe.total_steps(640) == 50 * (640 // (16 * 4))
    assert recipe.total_steps(3) == 50
    assert recipe.tiny().total_steps(640) == recipe.tiny().iterations


def test_an_unknown_recipe_is_told_with_the_known_ones():
    with pytest.raises(KitError, match="no recipe is called 'unet-on-mars'") as caught:
        recipes.get("unet-on-mars")
    assert caught.value.fix == "choose one of detectors-r50, unet-regnety16"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"iterations": 5}, "needs either epochs or iterations"),
        ({"epochs": None}, "needs either epochs or iterations"),
        ({"views": ()}, "has no views"),
        ({"folds": (4,)}, r"trains folds \(4,\), but there are 4"),
        ({"folds": ()}, "but there are 4"),
    ],
)
def test_a_recipe_that_cannot_be_run_is_refused(change, message):
    with pytest.raises(KitError, match=message):
        replace(recipes.get("unet-regnety16"), **change)


@given(
    total=st.integers(1, 500),
    warmup=st.integers(0, 600),
    kind=st.sampled_from(["linear", "cosine"]),
    start=st.floats(0, 1),
    final=st.floats(0, 1),
)
def test_a_schedule_rises_then_falls_within_its_bounds(total, warmup, kind, start, final):
    schedule = Schedule(warmup_steps=warmup, warmup_kind=kind, start_factor=start, final_factor=final)
    factors = [schedule.factor(step, total) for step in range(total + 1)]
    top = factors.index(max(factors))
    assert min(start, final) - 1e-12 <= min(factors)
    assert max(factors) <= 1 + 1e-12
    assert all(a <= b + 1e-12 for a, b in pairwise(factors[: top + 1]))
    assert all(a >= b - 1e-12 for a, b in pairwise(factors[top:]))
    assert factors[-1] == pytest.approx(final)
