"""First weights of a run: published checkpoints by the names recipes give them."""

from dataclasses import replace

import pytest
import torch

from kit.errors import KitError
from kit.local.pretrained.limited import convert
from kit.local.pretrained.registry import get, names
from kit.models import build
from train_local import recipes
from train_local.engine.initial_weights import InitialWeights, find_initial_weights, load_initial_weights
from train_local.planned_runs import PlannedRun

NAME = "regnety_016"
FILE = "regnety_016-54367f74.pth"


@pytest.fixture
def recipe(blobs):
    return blobs.recipe(pretrained=NAME)


@pytest.fixture
def encoder(recipe):
    """What timm publishes of the recipe's encoder: other names than in the U-Net, and a classifier."""
    whole = build(recipe.network.as_dict()).network.state_dict()
    prefix = "encoder.model."
    state = {name.removeprefix(prefix): value for name, value in whole.items() if name.startswith(prefix)}
    return {name: torch.rand_like(value, dtype=torch.float32) for name, value in state.items()} | {
        "head.fc.weight": torch.rand(1000, 8)
    }


def check(network, encoder):
    state = network.network.state_dict()
    for name, value in encoder.items():
        if not name.startswith("head.") and not name.endswith("num_batches_tracked"):
            assert torch.equal(state[f"encoder.model.{name}"], value)


def test_every_recipe_starts_from_a_registered_checkpoint_for_its_network():
    for name in recipes.names():
        recipe = recipes.get(name)
        while recipe is not None:
            assert (recipe.pretrained is None) == (recipe.earlier_stage is not None), (
                f"{recipe.name} starts from nothing"
            )
            if recipe.pretrained is not None:
                assert recipe.network.name in get(recipe.pretrained).networks, recipe.name
            recipe = recipe.earlier_stage
    assert {"timm", "detectors_htc_r50_1x_coco"} <= set(names())


def test_without_the_checkpoint_the_error_is_the_command_that_gets_it(recipe, tmp_path):
    with pytest.raises(KitError, match=f"starts from the published checkpoint {NAME}") as error:
        find_initial_weights(recipe, 0, tmp_path, None)
    for part in (
        f"python -m kit.models fetch {NAME} --out checkpoints",
        f"nox -s fetch -- {NAME}",
        "--checkpoints checkpoints",
    ):
        assert part in str(error.value)
    with pytest.raises(KitError, match="published checkpoint") as error:
        find_initial_weights(recipe, 0, tmp_path, tmp_path)
    assert f"--out {tmp_path}" in str(error.value)
    assert "convert" not in str(error.value), "what was fetched is converted when a training takes it"


def test_a_fetched_checkpoint_is_converted_once(recipe, encoder, tmp_path, capsys):
    torch.save(encoder, tmp_path / FILE)
    first = find_initial_weights(recipe, 0, tmp_path, tmp_path)
    assert "of encoder.* loaded" in capsys.readouterr().err
    assert first.path.name.startswith(f"{NAME}.unet-regnety16-")
    made = first.path.stat().st_mtime_ns
    assert find_initial_weights(recipe, 0, tmp_path, tmp_path) == first
    assert first.path.stat().st_mtime_ns == made
    network = build(recipe.network.as_dict())
    load_initial_weights(network, recipe, first)
    check(network, encoder)


def test_another_content_under_the_same_name_is_converted_again_and_is_another_training(
    blobs, recipe, encoder, blob_data, tmp_path
):
    def identity():
        return PlannedRun(recipe, 0).job(blob_data, tmp_path / "runs", published=tmp_path).identity

    absent = identity()
    torch.save(encoder, tmp_path / FILE)
    before = identity()
    find_initial_weights(recipe, 0, tmp_path, tmp_path)
    assert identity() == before != absent, "the conversion is of the same content"
    other = {name: value + 1 for name, value in encoder.items()}
    torch.save(other, tmp_path / FILE)
    assert identity() not in {before, absent}
    network = build(recipe.network.as_dict())
    load_initial_weights(network, recipe, find_initial_weights(recipe, 0, tmp_path, tmp_path))
    check(network, other)
    (tmp_path / FILE).unlink()
    assert PlannedRun(blobs.recipe(), 0).job(blob_data, tmp_path, published=tmp_path).config.keys() == {
        "recipe",
        "fold",
    }, "a recipe that starts from nothing has no checkpoint"


def test_a_converted_checkpoint_is_enough(recipe, encoder, tmp_path):
    source, folder = tmp_path / FILE, tmp_path / "checkpoints"
    torch.save(encoder, source)
    convert(source, recipe.network.as_dict(), folder / f"{NAME}.safetensors")
    found = find_initial_weights(recipe, 0, tmp_path, folder)
    assert found.path == folder / f"{NAME}.safetensors"
    network = build(recipe.network.as_dict())
    load_initial_weights(network, recipe, found)
    check(network, encoder)


def test_one_converted_for_other_sizes_is_refused(blobs, recipe, encoder, tmp_path):
    source = tmp_path / FILE
    torch.save(encoder, source)
    convert(source, recipe.network.as_dict(), tmp_path / f"{NAME}.safetensors")
    sizes = {**recipe.network.arguments, "encoder_depth": 4, "decoder_channels": [16, 8, 8, 8]}
    deeper = blobs.recipe(network=replace(recipe.network, arguments=sizes))
    with pytest.raises(KitError, match="was converted for unet-regnety16 of other sizes") as error:
        load_initial_weights(
            build(deeper.network.as_dict()), deeper, InitialWeights("x", tmp_path / f"{NAME}.safetensors")
        )
    assert "convert it again with --network and --config" in str(error.value)


def test_a_file_that_was_not_converted_is_refused(recipe, encoder, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(encoder, path)
    with pytest.raises(KitError, match="not a converted checkpoint") as error:
        load_initial_weights(build(recipe.network.as_dict()), recipe, InitialWeights("x", path))
    assert "kit.models convert" in str(error.value)
