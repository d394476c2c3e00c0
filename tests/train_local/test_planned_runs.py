from dataclasses import replace

import pytest
import torch

from kit.errors import KitError
from kit.models import build
from train_local.initial_weights import load_initial_weights
from train_local.options import Options
from train_local.planned_runs import PlannedRun, plan_runs
from train_local.train_all import train_all


def test_earlier_stages_come_first_and_once(two_stages, blob_data):
    _, second = two_stages
    third = replace(second, name="later", folds=(1, 5), fold_count=6)
    names = [run.name for run in plan_runs([second, third], blob_data)]
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


def test_a_recipe_of_another_competition_is_refused(blobs, blob_data, tmp_path):
    with pytest.raises(KitError, match="recipe blobs is for vasculature, the data is of kidney"):
        PlannedRun(blobs.recipe(competition="vasculature"), 0).ready(blob_data, tmp_path)


def test_a_fold_without_images_is_refused(blobs, blob_data, tmp_path):
    empty = replace(blob_data, folds=[replace(blob_data.folds[0], valid=())])
    with pytest.raises(KitError, match="fold 0 has no image to validate on") as error:
        PlannedRun(blobs.recipe(), 0).ready(empty, tmp_path)
    assert "fewer --folds" in str(error.value)
