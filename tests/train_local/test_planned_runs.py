from dataclasses import replace

import pytest
import torch

from kit.errors import KitError
from kit.models import build
from train_local import recipes
from train_local.engine.initial_weights import load_initial_weights
from train_local.planned_runs import PlannedRun


def test_a_stage_starts_from_the_weights_of_the_one_before(blobs, two_stages, blob_data, tmp_path):
    first, second = two_stages
    with pytest.raises(KitError, match="late starts from early, which is not trained yet") as error:
        PlannedRun(second, 1).ready(blob_data, tmp_path)
    assert "train early" in str(error.value)
    blobs.train_all([first], blob_data, tmp_path)
    run, begin = PlannedRun(second, 1).ready(blob_data, tmp_path)
    assert begin.path.parent == tmp_path / "early" / "fold0"
    assert run.status() == "to do"
    # Weights of other settings lie in the same place; what starts from them is not what its identity says.
    changed = replace(second, earlier_stage=replace(first, grad_clip=1.0))
    for planned, budget in ((PlannedRun(changed, 1), None), (PlannedRun(second, 1), 60.0)):
        with pytest.raises(
            KitError, match=r"late\.fold1 starts from early\.fold0, which is not finished, or"
        ):
            planned.ready(blob_data, tmp_path, budget=budget)
    network = build(second.network.as_dict())
    load_initial_weights(network, second, begin)
    trained = build(first.network.as_dict())
    load_initial_weights(trained, second, begin)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), trained.parameters(), strict=True))


def test_a_run_has_the_identity_it_has_in_the_graph_and_another_with_another_seed(
    two_stages, blob_data, tmp_path
):
    planned = PlannedRun(two_stages[0], 0)
    run, _ = planned.ready(blob_data, tmp_path)
    job = planned.job(blob_data, tmp_path)
    assert (job.name, job.identity, job.folder) == ("kidney/early.fold0", run.identity, run.folder)
    seeded, _ = planned.ready(blob_data, tmp_path, seed=7)
    assert seeded.seed == 7
    assert seeded.identity != run.identity
    assert PlannedRun(two_stages[1], 1).job(blob_data, tmp_path).needs == ("kidney/early.fold0",)


def test_a_recipe_for_another_kind_of_masks_is_refused(blob_data, tmp_path):
    with pytest.raises(KitError, match="recipe detectors-r50-tiny is for vasculature, the data is of kidney"):
        PlannedRun(recipes.get("detectors-r50").tiny(), 0).ready(blob_data, tmp_path)


def test_a_fold_without_images_is_refused(blobs, blob_data, tmp_path):
    empty = replace(blob_data, folds=[replace(blob_data.folds[0], valid=())])
    with pytest.raises(KitError, match="fold 0 has no image to validate on") as error:
        PlannedRun(blobs.recipe(), 0).ready(empty, tmp_path)
    assert "fewer --folds" in str(error.value)
