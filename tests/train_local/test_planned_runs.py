from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kit.errors import KitError
from kit.models import build
from train_local.initial_weights import load_initial_weights
from train_local.options import Options
from train_local.planned_runs import PlannedRun, plan_runs
from train_local.recipes.settings import NetworkConfig
from train_local.train_all import train_all


@pytest.fixture
def two_stages(blobs):
    first = blobs.recipe(name="early", iterations=1, folds=(0,))
    return first, replace(blobs.recipe(name="late", iterations=1), earlier_stage=first, folds=(0, 1))


def test_earlier_stages_come_first_and_once(two_stages, blob_data):
    _, second = two_stages
    third = replace(second, name="later", folds=(1, 5), fold_count=6)
    names = [job.name for job in plan_runs([second, third], blob_data)]
    assert names == ["early.fold0", "late.fold0", "late.fold1", "later.fold1"], "fold 5 was not prepared"
    elsewhere = replace(second, competition="vasculature")
    assert plan_runs([elsewhere], blob_data) == []


def test_a_stage_starts_from_the_weights_of_the_one_before(two_stages, blob_data, tmp_path, capsys):
    first, second = two_stages
    with pytest.raises(KitError, match="late starts from early, which is not trained yet") as error:
        PlannedRun(second, 1).ready(blob_data, tmp_path)
    assert "train early" in str(error.value)
    plan = plan_runs([second], blob_data)
    train_all(plan, blob_data, tmp_path, Options(device="cpu"), dry_run=True)
    assert "waits" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    train_all(plan, blob_data, tmp_path, Options(device="cpu"), only="*.fold0")
    assert (tmp_path / "late" / "fold0" / "done.json").is_file()
    assert not (tmp_path / "late" / "fold1").exists()
    run, begin = PlannedRun(second, 1).ready(blob_data, tmp_path)
    assert begin.path == tmp_path / "early" / "fold0" / "weights.safetensors"
    assert run.status() == "to do"
    network = build(second.network.as_dict())
    load_initial_weights(network, second, begin)
    trained = build(first.network.as_dict())
    load_initial_weights(trained, second, begin)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), trained.parameters(), strict=True))


def test_runs_side_by_side_wait_for_their_earlier_stage(two_stages, blob_data, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent)  # where the other processes find the recipe's class
    plan = plan_runs([two_stages[1]], blob_data)
    train_all(plan, blob_data, tmp_path, Options(device="cpu"), at_once=2)
    done = {str(path.relative_to(tmp_path).parent) for path in tmp_path.glob("*/*/done.json")}
    assert done == {"early/fold0", "late/fold0", "late/fold1"}
    wrong = replace(
        two_stages[0],
        name="wrong",
        network=NetworkConfig(name="unet-regnety16", arguments={"encoder_depth": 3}),
    )
    with pytest.raises(KitError, match="encoder depth 3 got 5 decoder widths"):
        train_all(plan_runs([wrong], blob_data), blob_data, tmp_path, Options(), at_once=2)


def test_a_pattern_that_matches_nothing_lists_what_there_is(two_stages, blob_data, tmp_path):
    plan = plan_runs([two_stages[1]], blob_data)
    with pytest.raises(KitError, match="no run matches 'unet'") as error:
        train_all(plan, blob_data, tmp_path, Options(), only="unet")
    assert "choose from these runs: early.fold0, late.fold0, late.fold1" in str(error.value)
    with pytest.raises(KitError, match="no recipe is for kidney"):
        train_all([], blob_data, tmp_path, Options())


def test_a_recipe_of_another_competition_is_refused(blobs, blob_data, tmp_path):
    with pytest.raises(KitError, match="recipe blobs is for vasculature, the data is of kidney"):
        PlannedRun(blobs.recipe(competition="vasculature"), 0).ready(blob_data, tmp_path)


def test_a_fold_without_images_is_refused(blobs, blob_data, tmp_path):
    empty = replace(blob_data, folds=[replace(blob_data.folds[0], valid=())])
    with pytest.raises(KitError, match="fold 0 has no image to validate on") as error:
        PlannedRun(blobs.recipe(), 0).ready(empty, tmp_path)
    assert "fewer --folds" in str(error.value)
