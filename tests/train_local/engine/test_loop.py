import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from kit.errors import KitError
from kit.local.sidecars import read_json_lines, read_sidecar
from train_local.engine.fabric import make_fabric
from train_local.engine.loop import Trainer
from train_local.engine.train import train
from train_local.monitor.progress import read_status
from train_local.options import Options
from train_local.planned_runs import PlannedRun
from train_local.recipes.settings import Validation

SAMPLE = Path(__file__).parents[3] / "sample"


def run_of(recipe, data, root, fold=0):
    return PlannedRun(recipe, fold).ready(data, root)


def test_a_network_learns_discs_and_leaves_what_the_ensemble_needs(blobs, blob_data, tmp_path):
    run, initial = run_of(blobs.recipe(half=True), blob_data, tmp_path)
    assert run.status() == "to do"
    done = train(run, blob_data, Options(device="cpu"), initial=initial)
    assert run.status() == "finished"
    assert done["metric"] > 0.85, "discs of another colour: nearly all of them are found"
    log = read_json_lines(run.folder / "log.jsonl")
    losses = [entry["loss"] for entry in log if "loss" in entry]
    assert losses[-1] < 0.5 * losses[0]
    assert {entry["step"] for entry in log if "metric" in entry} == {20, 40}
    assert all(
        entry["loss"] == pytest.approx(entry["loss/bce"] + entry["loss/dice"])
        for entry in log
        if "lr" in entry
    )
    events = EventAccumulator(str(run.folder / "tensorboard")).Reload()
    assert {"loss", "loss/bce", "lr", "metric", "process/memory_mb"} <= set(events.Tags()["scalars"])
    assert [item.step for item in events.Images(events.Tags()["images"][0])] == [20, 40]
    record = read_sidecar(run.weights, kind="weights")
    assert record["metrics"] == {"mean Dice": done["metric"]}
    assert record["inputs"] == {"run": run.identity, "prepared": blob_data.identity}
    assert record["requires"] == ["segmentation-models-pytorch", "timm"]
    oof = json.loads((run.oof / "oof.json").read_text())
    assert oof["views"] == ["identity", "hflip"]
    for files in oof["files"].values():
        assert sorted(files) == sorted(blob_data.fold(0).valid)
        for name in files.values():
            assert read_sidecar(run.oof / name, kind="oof")["seconds"] > 0
    assert not (run.folder / "evaluation").exists()
    status = read_status(run.folder)
    assert (status.state, status.step, status.total) == ("finished", 40, 40)
    assert status.best_metric == done["metric"]
    assert status.memory_mb > 100
    again = train(run, blob_data, Options(device="cpu"), initial=initial)
    assert again == done, "what is finished is not done again"


def test_the_budget_ends_a_run_early_and_going_on_gives_the_undisturbed_result(blobs, blob_data, tmp_path):
    recipe = blobs.recipe(iterations=6, validation=Validation(every=3, unit="iteration"))
    whole, initial = run_of(recipe, blob_data, tmp_path / "whole")
    train(whole, blob_data, Options(device="cpu"), initial=initial)
    run, initial = run_of(recipe, blob_data, tmp_path / "parts")
    steps = []
    for _ in range(6):
        done = train(run, blob_data, Options(device="cpu", max_seconds=0.0), initial=initial)
        steps.append(done["step"])
        assert done["complete"] == (done["step"] == 6)
        assert run.weights.is_file(), "a run that was cut short can be used all the same"
    assert steps == [1, 2, 3, 4, 5, 6]
    assert run.weights.read_bytes() == whole.weights.read_bytes()


def test_results_of_another_config_are_kept_aside(blobs, blob_data, tmp_path, capsys):
    first, initial = run_of(blobs.recipe(iterations=1), blob_data, tmp_path)
    train(first, blob_data, Options(device="cpu"), initial=initial)
    weights = first.weights.read_bytes()
    second, initial = run_of(blobs.recipe(iterations=2), blob_data, tmp_path)
    assert second.status() == "to do"
    train(second, blob_data, Options(device="cpu"), initial=initial)
    aside = tmp_path / "blobs" / f"fold0.was-{first.identity[:8]}"
    assert (aside / "weights.safetensors").read_bytes() == weights
    assert "held results of another config" in " ".join(capsys.readouterr().err.split())


def test_accumulated_batches_are_one_step(blobs, blob_data, tmp_path):
    run, initial = run_of(blobs.recipe(batch_size=2, accumulate=3, iterations=2), blob_data, tmp_path)
    trainer = Trainer(run, blob_data, Options(device="cpu"), initial)
    assert trainer.fit()
    assert trainer.progress.step == 2
    assert trainer.average.updates == 2


def test_worker_processes_change_nothing(blobs, blob_data, tmp_path):
    states = []
    for workers in (0, 2):
        run, initial = run_of(blobs.recipe(iterations=3), blob_data, tmp_path / str(workers))
        trainer = Trainer(run, blob_data, Options(device="cpu", workers=workers), initial)
        trainer.fit()
        states.append(trainer.network.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_loss_that_is_no_number_stops_the_run(blobs, blob_data, tmp_path):
    diverging = replace(blobs.recipe().optimiser, lr=1e30)
    run, initial = run_of(blobs.recipe(optimiser=diverging), blob_data, tmp_path)
    with pytest.raises(KitError, match=r"diverged in step \d+: the loss is not a number") as error:
        train(run, blob_data, Options(device="cpu"), initial=initial)
    assert "lower the learning rate" in str(error.value)
    assert read_status(run.folder).state == "failed"


def test_wrong_devices_are_told():
    with pytest.raises(KitError, match="unknown device 'tpu'"):
        make_fabric("tpu", "32-true")
    if not torch.cuda.is_available():
        with pytest.raises(KitError, match="no CUDA device is usable"):
            make_fabric("cuda", "32-true")


def test_slides_not_prepared_at_the_recipes_resolution_say_how_to(blobs, blob_data, tmp_path):
    recipe = blobs.recipe()
    run, initial = run_of(replace(recipe, data=replace(recipe.data, scale=0.25)), blob_data, tmp_path)
    with pytest.raises(KitError, match="not prepared at 1/4 of their resolution") as error:
        train(run, blob_data, Options(device="cpu"), initial=initial)
    assert "--scale 1/1 1/2 1/4" in str(error.value)


@pytest.mark.slow
def test_the_instance_network_goes_on_exactly_too(tmp_path):
    from train_local import recipes
    from train_local.data import prepare

    data = prepare.prepare("vasculature", SAMPLE / "vasculature", tmp_path / "work", fold_count=8)
    tiny = recipes.get("detectors-r50").tiny()
    recipe = replace(
        tiny,
        iterations=2,
        validation=Validation(every=2, unit="iteration"),
        batch_size=1,
        views=("identity",),
        inference=replace(tiny.inference, size=96),
        data=replace(tiny.data, crop=96),
    )
    weights = []
    for name, seconds in (("whole", [None]), ("parts", [0.0, None])):
        run, initial = run_of(recipe, data, tmp_path / name)
        for limit in seconds:
            done = train(run, data, Options(device="cpu", max_seconds=limit), initial=initial)
        assert done["complete"]
        assert done["metric_name"] == "AP@0.6"
        assert {"loss/loss_rpn_cls", "loss/s2.loss_mask"} <= set(read_json_lines(run.folder / "log.jsonl")[0])
        weights.append(run.weights.read_bytes())
    assert weights[0] == weights[1]
