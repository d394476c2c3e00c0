import pytest

from kit.errors import KitError
from train_local import recipes
from train_local.recipes.passes import with_batch_size, with_checkpointing, with_less_memory


def test_a_smaller_batch_is_accumulated_to_the_same_step():
    recipe = recipes.get("unet-regnety16")
    small = with_batch_size(recipe, 4)
    assert (small.batch_size, small.accumulate) == (4, 4 * recipe.batch_size * recipe.accumulate // 16)
    assert small.step_examples == recipe.step_examples
    with pytest.raises(KitError, match="cannot be divided into passes of 3") as error:
        with_batch_size(recipe, 3)
    assert "1, 2, 4, 8, 16" in str(error.value)


def test_checkpointing_is_an_argument_of_the_networks_that_have_it():
    assert with_checkpointing(recipes.get("detectors-r50")).network.arguments["checkpointing"]
    with pytest.raises(KitError, match="keeps all activations") as error:
        with_checkpointing(recipes.get("unet-regnety16"))
    assert "--batch-size" in str(error.value)


def test_a_graph_for_a_smaller_card_has_each_recipe_as_small_as_it_can_be():
    two_stages = recipes.get("detectors-x101")
    small = with_less_memory(two_stages, batch=1, checkpointing=True)
    for before, after in ((two_stages, small), (two_stages.earlier_stage, small.earlier_stage)):
        assert (after.batch_size, after.step_examples) == (1, before.step_examples)
        assert after.network.arguments["checkpointing"]
    unet = recipes.get("unet-regnety16")
    assert with_less_memory(unet, batch=5, checkpointing=True) == with_batch_size(unet, 4), "5 divides no 16"
    assert with_less_memory(unet, batch=100) == unet
