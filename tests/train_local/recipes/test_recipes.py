import json
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit import competitions
from kit.errors import KitError
from kit.inference.instance_settings import InstanceSettings
from kit.typed_json import from_plain
from train_local import recipes
from train_local.recipes import comparison, published
from train_local.recipes.settings import Data, NetworkConfig, Optimiser, Schedule, Warmup
from train_local.recipes.show import published_name
from train_local.recipes.show_augmentation import output_side
from train_local.recipes.unet import UnetRecipe


def forms():
    for name in (*recipes.names(), *recipes.teacher_names(), *recipes.stage_names()):
        recipe = recipes.get(name)
        yield recipe
        yield recipe.tiny()
        for variant in recipe.variant_names()[1:]:
            yield recipe.in_variant(variant)


@pytest.fixture(params=forms(), ids=lambda recipe: recipe.name)
def recipe(request):
    return request.param


class TestEveryRecipe:
    def test_its_network_comes_from_a_solution_of_its_competition(self, recipe):
        assert recipe.network.spec.system.startswith(f"{recipe.competition}-")

    def test_its_competition_takes_what_its_network_predicts(self, recipe):
        assert competitions.get(recipe.competition).kind == recipe.network.spec.kind

    def test_its_inference_settings_come_back_from_what_a_member_stores(self, recipe):
        assert from_plain(type(recipe.inference), recipe.inference_dict()) == recipe.inference
        assert recipe.views[0] == "identity"

    def test_inference_sees_the_resolution_of_training(self, recipe):
        if recipe.kind == "semantic" and recipe.inference.scale is not None:
            side = output_side(recipe)  # of examples that are cut at any size and resized
            trained = recipe.data.scale if side is None else side / recipe.data.tile
            assert recipe.inference.scale == trained
        elif recipe.kind == "semantic":
            low, high = recipe.data.scale_range
            assert low < recipe.inference.size < high
        elif not recipe.name.startswith("cbnetv2-swin-b") or recipe.stage == 1:
            # The sample's tiles are 320 pixels wide, the competition's 512.
            side = 320 if recipe.name.endswith("-tiny") else 512
            assert recipe.inference.size == recipe.data.scale * side

    def test_it_survives_json(self, recipe):
        value = json.loads(json.dumps(recipe.as_dict()))
        assert from_plain(type(recipe), value) == recipe
        assert from_plain(type(recipe), value).as_dict() == value

    def test_its_learning_rate_ends_at_the_lowest(self, recipe):
        if recipe.schedule.policy == "restarts":
            return  # it ends wherever the last period is
        rate = recipe.optimiser.lr
        last = recipe.schedule.factor(1000, 1000, lr=rate, epoch_steps=10)
        assert last * rate == pytest.approx(recipe.schedule.min_lr, abs=1e-12)


@pytest.mark.parametrize("name", recipes.names())
def test_a_tiny_form_is_the_same_system_under_its_own_name(name):
    full, tiny = recipes.get(name), recipes.get(name).tiny()
    assert tiny.name == f"{full.name}-tiny"
    assert tiny.competition == full.competition
    assert tiny.network.name == full.network.name
    assert tiny.pretrained is None
    assert tiny.iterations <= 300


def test_no_two_tiny_forms_are_the_same_training():
    configs = []
    for name in recipes.names():
        config = recipes.get(name).tiny().as_dict()
        # Tiny b3, b4 and b5 are one network, so the network's name tells nothing.
        configs.append({key: value for key, value in config.items() if key not in {"name", "network"}})
    semantic = [config for config in configs if config["competition"] == "body"]
    assert all(semantic.count(config) == 1 for config in semantic)


def test_tiny_stages_start_from_each_other_and_learn_from_tiny_teachers():
    tiny = recipes.get("vit-adapter-l-adamw").tiny()
    assert tiny.earlier_stage == recipes.get("vit-adapter-l-adamw-stage1").tiny()
    (labels,) = [part.labels for part in tiny.earlier_stage.data.sets if part.labels is not None]
    assert labels.teachers == ("detectors-x101-tiny", "cbnetv2-swin-b-tiny", "vit-adapter-l-teacher-tiny")
    assert recipes.get("detectors-r50").tiny().earlier_stage is None, "the demo trains it alone"


def test_published_settings_of_the_detector_s_two_stages():
    second = recipes.get("detectors-r50")
    first = second.earlier_stage
    assert (first.optimiser.lr, second.optimiser.lr) == (0.03, 0.0125)
    assert (first.schedule.min_lr, second.schedule.min_lr) == (0.025, 1e-8)
    assert (first.epochs, second.epochs) == (8, 23)
    assert (first.schedule.warmup.steps, second.schedule.warmup.steps) == (250, 200)
    assert (first.step_examples, second.step_examples) == (9, 6)
    assert first.pretrained == "detectors_htc_r50_1x_coco"


def test_an_epoch_has_the_steps_of_the_published_logs():
    """What the logs say of steps holds for every number of tiles that the filter may have left."""
    seen = 0
    for recipe in comparison.all_recipes():
        config = published.stage_of(published_name(recipe), recipe.stage).config
        steps, tiles = config["length"].get("steps_per_epoch"), config["data"].get("images_after_filter")
        if steps and tiles:
            assert {recipe.epoch_steps(count) for count in tiles} == {steps}, recipe.name
            seen += 1
    assert seen >= 8


@pytest.mark.parametrize("name", [*recipes.names(), *recipes.teacher_names(), *recipes.stage_names()])
def test_batch_norms_that_were_published_as_shared_are_shared(name):
    # Box heads of CBNetV2, and box heads and adapter of ViT-Adapter, are SyncBN in the published code.
    recipe = recipes.get(name)
    assert recipe.sync_bn == name.startswith(("cbnetv2", "vit-adapter"))
    assert not recipe.tiny().sync_bn, "torch has none on CPUs"


def test_published_learning_rates_of_the_u_net():
    recipe = recipes.get("unet-regnety16")
    peak = recipe.optimiser.lr
    rates = [peak * recipe.schedule.factor(step, 500, lr=peak, epoch_steps=10) for step in (0, 9, 109, 500)]
    assert rates == pytest.approx([2e-5, 2e-5, 8e-4, 3e-5])


def test_steps_are_counted_from_epochs_or_given():
    recipe = recipes.get("unet-regnety16")
    assert recipe.total_steps(640) == 50 * (640 // (16 * 4))
    assert recipe.total_steps(641) == 50 * 11, "what is left over makes one more step"
    assert recipe.total_steps(3) == 50
    dropped = replace(recipe, data=replace(recipe.data, drop_last=True))
    assert dropped.total_steps(641) == 50 * 10
    assert recipe.tiny().total_steps(640) == recipe.tiny().iterations


def test_an_unknown_recipe_is_told_with_the_known_ones():
    with pytest.raises(KitError, match="no recipe is called 'unet_regnety61'") as caught:
        recipes.get("unet_regnety61")
    assert caught.value.fix.startswith("did you mean 'unet-regnety16'")
    assert caught.value.fix.endswith(f"choose one of {', '.join(recipes.names())}")


def test_variants_change_what_text_and_code_disagree_about():
    published = recipes.get("detectors-x101")
    text = published.in_variant("text")
    assert (published.losses, text.losses) == ({"loss_mask": 2.0}, {"loss_mask": 4.0})
    assert text.name == "detectors-x101-text"
    assert published.in_variant("published") is published
    later = recipes.get("cbnetv2-swin-b").in_variant("text")
    assert later.earlier_stage.inference.size == 1400, "the earlier stage comes in the same variant"
    with pytest.raises(KitError, match="'vit-adapter-l-sgd' has no variant 'text'") as caught:
        recipes.get("vit-adapter-l-sgd").in_variant("text")
    assert caught.value.fix == "it has published; text and code of its authors agree"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"iterations": 5}, "needs either epochs or iterations"),
        ({"epochs": None}, "needs either epochs or iterations"),
        ({"views": ()}, "has no views"),
        ({"folds": (4,)}, r"trains folds \(4,\), but there are 4"),
        ({"folds": ()}, "but there are 4"),
        ({"folds": (0, 0)}, "names one of its folds twice"),
        ({"views": ("identity", "identity")}, "names one of its views twice"),
        ({"pretrained": "timmm"}, "no published checkpoint is called 'timmm'"),
        ({"views": ("identity", "hflop")}, "hflop"),
        ({"inference": InstanceSettings(size=512)}, "predicts semantic masks, but .* are InstanceSettings"),
        ({"losses": {"bce": 1.0, "dise": 1.0}}, "no semantic loss is called 'dise'"),
        ({"losses": {"bce": -1.0}}, "losses.bce is -1.0; it has to be at least 0"),
        ({"precision": "16"}, "precision is '16'"),
        ({"batch_size": 0}, "batch_size is 0; it has to be at least 1"),
        ({"augment": ("flip",)}, r"augment\[0\] is 'flip'"),
    ],
)
def test_a_recipe_that_cannot_be_run_is_refused(change, message):
    with pytest.raises(KitError, match=message):
        replace(recipes.get("unet-regnety16"), **change)


@pytest.mark.parametrize(
    ("make", "message", "known"),
    [
        (lambda: NetworkConfig(name="unet-on-mars"), "no network is called 'unet-on-mars'", "unet-regnety16"),
        (
            lambda: NetworkConfig(name="unet-regnety16", arguments={"encoder_dept": 3}),
            "encoder_dept",
            "encoder_depth",
        ),
        (
            lambda: NetworkConfig(name="detectors-r50", arguments={"base_chanels": 8}),
            "base_chanels",
            "base_channels",
        ),
        (
            lambda: NetworkConfig(name="unet-regnety16", arguments={"encoder_depth": 3}),
            "U-Net of depth 3 got 5 decoder widths",
            "give 3 decoder_channels",
        ),
        (
            lambda: NetworkConfig(name="unet-regnety16", arguments={"encoder_depth": "three"}),
            "encoder_depth is 'three', not an integer",
            "write an integer",
        ),
        (lambda: Optimiser(name="adan", lr=1e-3), "name is 'adan'", "adamw"),
        (lambda: Optimiser(name="sgd", lr=0), "lr is 0.0; it has to be above 0", ""),
        (lambda: Schedule(warmup=Warmup(kind="square")), "kind is 'square'", "cosine"),
        (lambda: Schedule(policy="restarts"), "policy 'restarts' has period None", "period, in epochs"),
        (lambda: Schedule(policy="two-cosines"), "needs the first of them", "Warmup"),
        (lambda: Data(tile=None, scale=1.0, crop=None, sampling="tile"), "sampling is 'tile'", "random"),
    ],
)
def test_a_wrong_word_in_a_part_of_a_recipe_is_told_with_the_known_ones(make, message, known):
    with pytest.raises(KitError, match=message) as caught:
        make()
    assert known in f"{caught.value} {caught.value.fix}"


@pytest.mark.parametrize(
    ("change", "message", "known"),
    [
        ({"name": "flipp"}, r"augment\[0\].name is 'flipp'", "'flip'"),
        ({"name": "flip", "direction": ["vertical"]}, "unknown key .*direction", "'directions'"),
        ({"name": "flip", "directions": ["up"]}, "'up'", "'vertical'"),
        ({"name": "one_of", "choices": [[{"name": "stains"}]]}, "'stains'", "'stain'"),
        ({"name": "contrast"}, "low is missing", ""),
    ],
)
def test_a_wrong_augmentation_in_a_stored_recipe_is_told_with_the_known_words(change, message, known):
    value = {**recipes.get("unet-regnety16").as_dict(), "augment": [change]}
    with pytest.raises(KitError, match=message) as caught:
        from_plain(UnetRecipe, value)
    assert known in str(caught.value.fix)


def test_what_a_member_stores_of_the_tiny_recipes_stays_as_it_was():
    """The files of finished predictions carry a hash of it."""
    unet, detector = (recipes.get(name).tiny() for name in ("unet-regnety16", "detectors-r50"))
    assert unet.inference_dict() == {
        "core": 512,
        "context": 256,
        "scale": 0.125,
        "batch_size": 4,
        "skip_background": True,
    }
    assert detector.inference_dict() == {"size": 480, "max_per_image": 150}
    assert recipes.get("detectors-r50").network.as_dict() == {"network": "detectors-r50"}


@given(
    total=st.integers(1, 500),
    warmup=st.integers(0, 600),
    kind=st.sampled_from(["linear", "cosine"]),
    start=st.floats(0, 1),
    final=st.floats(0, 1),
)
def test_a_schedule_rises_then_falls_within_its_bounds(total, warmup, kind, start, final):
    schedule = Schedule(min_lr=final, warmup=Warmup(steps=warmup, kind=kind, start_factor=start))
    factors = [schedule.factor(step, total, lr=1.0) for step in range(total + 1)]
    top = factors.index(max(factors))
    assert min(start, final) - 1e-12 <= min(factors)
    assert max(factors) <= 1 + 1e-12
    assert all(a <= b + 1e-12 for a, b in pairwise(factors[: top + 1]))
    assert all(a >= b - 1e-12 for a, b in pairwise(factors[top:]))
    assert factors[-1] == pytest.approx(final)


def test_a_multiplied_warm_up_ends_below_the_peak():
    schedule = Schedule(warmup=Warmup(steps=20, start_factor=0.1, multiplies_policy=True))
    factors = [schedule.factor(step, 100, lr=1.0) for step in (0, 10, 20, 60, 100)]
    assert factors == pytest.approx([0.1, 0.5365, 0.9045, 0.3455, 0.0], abs=1e-4)


def test_a_linear_poly_falls_by_the_same_amount_each_step():
    schedule = Schedule(policy="poly", min_lr=0.2)
    assert [schedule.factor(step, 4, lr=1.0) for step in range(5)] == pytest.approx([1, 0.8, 0.6, 0.4, 0.2])


def test_restarts_begin_anew_every_period_of_epochs():
    schedule = Schedule(policy="restarts", unit="epoch", period=3, min_lr=0.1)
    factors = [schedule.factor(step, 20, lr=1.0, epoch_steps=2) for step in range(14)]
    assert factors == pytest.approx([1, 1, 0.775, 0.775, 0.325, 0.325] * 2 + [1, 1])


def test_a_run_that_is_shorter_has_a_shorter_warm_up_and_shorter_periods():
    poly = recipes.get("segformer-b4-960").schedule
    assert poly.shortened(1 / 45).warmup == replace(poly.warmup, steps=33)
    assert poly.shortened(1.0) == poly
    rates = [poly.shortened(1 / 45).factor(step, 1000, lr=1.0) for step in range(1000)]
    assert rates.index(max(rates)) == 33
    restarts = recipes.get("segformer-b2-mixupsample").schedule
    assert (restarts.period, restarts.shortened(0.2).period, restarts.shortened(0.001).period) == (30, 6, 1)


def test_restarts_by_iteration_have_the_same_period():
    schedule = Schedule(policy="restarts", period=3)
    factors = [schedule.factor(step, 20, lr=1.0, epoch_steps=2) for step in (0, 3, 6, 9)]
    assert factors == pytest.approx([1, 0.5, 1, 0.5])
