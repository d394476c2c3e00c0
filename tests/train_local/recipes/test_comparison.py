import re
from dataclasses import replace

import pytest

from train_local import recipes
from train_local.recipes import comparison, comparison_rules, not_compared, published
from train_local.recipes.paths import MISSING, at, equal, leaves
from train_local.recipes.settings import Deviation, ImageSet
from train_local.recipes.show import published_name, shown


@pytest.fixture(scope="module")
def compared():
    return {recipe.name: comparison.compare(recipe) for recipe in comparison.all_recipes()}


@pytest.fixture(scope="module")
def paths():
    """Every path of the published values."""
    stages = [stage for name in published.names() for stage in published.load(name).stages]
    return {path for stage in stages for path in (*dict(leaves(stage.config)), *stage.core)}


def test_every_published_value_is_ours_or_declared_with_a_reason(compared):
    assert len(compared) == 23
    for name, values in compared.items():
        assert [item for item in values if item.verdict == "different"] == [], name
        assert all(item.reason for item in values if item.verdict != "equal"), name


def test_no_leaf_is_left_out_in_silence(compared):
    for recipe in comparison.all_recipes():
        stage = published.stage_of(published_name(recipe), recipe.stage)
        wanted = [path for path, _ in leaves(stage.config)] + list(stage.core)
        found = [item.path for item in compared[recipe.name]]
        assert found[: len(wanted)] == wanted
        assert set(found[len(wanted) :]) <= {item.path for item in recipe.deviations}


def test_most_values_are_really_compared(compared):
    count = comparison.counts([item for values in compared.values() for item in values])
    assert count["equal"] > 4 * count["not compared"]


def test_tables_of_exceptions_have_no_row_that_meets_nothing(paths):
    for pattern, reason in not_compared.NOT_COMPARED:
        assert any(re.fullmatch(pattern, path) for path in paths), (pattern, reason)
    for pattern in comparison_rules.patterns():
        assert any(pattern.fullmatch(path) for path in paths), pattern


def test_what_a_deviation_says_of_ours_is_what_show_says():
    for recipe in comparison.all_recipes():
        value = shown(recipe)
        for item in recipe.deviations:
            ours = at(value, item.path)
            if item.path.startswith("data.sets["):
                continue  # folders in another order
            assert ours == MISSING or equal(item.ours, ours), (recipe.name, item.path)


def other_augmentation(recipe):
    first = recipe.augment[0]
    return {"augment": (replace(first, p=first.p / 2), *recipe.augment[1:])}


@pytest.mark.parametrize("name", ["detectors-r50", "unet-regnety16", "segformer-b3-1024"])
@pytest.mark.parametrize(
    ("change", "path"),
    [
        (lambda r: {"optimiser": replace(r.optimiser, lr=r.optimiser.lr * 2)}, "optimiser.lr"),
        (lambda r: {"schedule": replace(r.schedule, min_lr=0.5)}, "schedule.min_lr"),
        (lambda r: {"batch_size": r.batch_size + 1}, "batch.per_gpu"),
        (lambda r: {"gpus": r.gpus + 1}, "batch.gpus"),
        (lambda r: {"losses": dict.fromkeys(r.losses or ["loss_mask"], 7.0)}, "loss.weights"),
        (lambda r: {"validation": replace(r.validation, every=7)}, "eval.every"),
        (lambda r: {"data": replace(r.data, crop=64, scale_range=(1, 2))}, "input.crop"),
        (lambda r: {"precision": "bf16-mixed"}, "precision.dtype"),
        (lambda r: {"augment": ()}, "augment.ops"),
        (lambda r: {"hand_over": "last" if r.hand_over == "best" else "best"}, "checkpoint.used_next"),
    ],
)
def test_a_changed_value_is_found(name, change, path):
    recipe = recipes.get(name)
    found = comparison.compare(replace(recipe, **change(recipe)))
    assert path in {item.path for item in found if item.verdict == "different"}


@pytest.mark.parametrize("name", ["detectors-r50", "vit-adapter-l-adamw"])
def test_a_changed_probability_and_a_changed_argument_are_found(name):
    recipe = recipes.get(name)
    first = recipe.augment[0]
    for changed in (replace(first, p=0.4), replace(first, args={"direction": ["horizontal"]})):
        found = comparison.compare(replace(recipe, augment=(changed, *recipe.augment[1:])))
        wrong = [item.path for item in found if item.verdict == "different"]
        assert any(path.startswith("augment[0]") for path in wrong)


def test_other_images_and_another_fold_are_found():
    recipe = recipes.get("cbnetv2-swin-b")
    sets = replace(recipe.data, sets=(ImageSet(dataset=2),))
    for change, path in (({"folds": (0,)}, "data.split.fold"), ({"data": sets}, "data.sets")):
        found = comparison.compare(replace(recipe, **change))
        assert path in {item.path for item in found if item.verdict == "different"}


def test_a_deviation_that_is_none_counts_as_a_difference():
    recipe = recipes.get("detectors-r50")
    idle = Deviation(path="batch.gpus", published=3, ours=3, why="no reason")
    found = comparison.compare(replace(recipe, deviations=(*recipe.deviations, idle)))
    (wrong,) = [item for item in found if item.verdict == "different"]
    assert wrong.path == "batch.gpus"
    assert "is none" in wrong.reason


def test_every_published_value_names_its_source():
    for name in published.names():
        for stage in published.load(name).stages:
            assert set(re.findall(r"\b([A-Z][a-z]?\d?):", stage.file)) <= set(
                published.load(name).repositories
            )
            without = [item.path for item in comparison.compare(recipe_of(name, stage)) if unsourced(item)]
            assert without == [], name


def unsourced(item):
    return item.verdict == "equal" and not item.source and "." in item.path and item.path not in CORE


CORE = {path for name in published.names() for stage in published.load(name).stages for path in stage.core}


def recipe_of(name, stage):
    recipe = recipes.get(name)
    return recipe.earlier_stage if stage.stage == 1 else recipe


def test_costs_come_from_the_logs():
    cost = published.cost("detectors-x101", 2)
    assert (cost.gpu_hours, cost.gpu_memory_mb, cost.gpu) == (6.8, 43757, "3 x RTX A6000")
    assert published.cost("segformer-b4-960", None).gpu_hours == pytest.approx(45000 * 0.326 / 3600, abs=0.01)
    assert published.cost("unet-regnetx32", None).gpu_hours == 2.0
    assert published.cost("vit-adapter-l-sgd", 1).gpu_hours is None
