"""What the engine does besides training: averages, patience, budgets, what it hands over, bad days."""

import json
from dataclasses import replace

import pytest
import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file

from kit.errors import KitError, NotFiniteError
from kit.local.sidecars import read_json_lines, read_sidecar, sidecar_path
from train_local.engine import checkpoint, loop
from train_local.engine.fabric import Autocast
from train_local.engine.initial_weights import find_initial_weights
from train_local.engine.loop import Trainer
from train_local.engine.train import train
from train_local.options import Options
from train_local.planned_runs import PlannedRun
from train_local.recipes.settings import Ema, ImageSet, Validation
from train_local.runs import make_run
from train_local.validation.evaluate import held_out

QUIET = Options(device="cpu", bars=False)


def run_of(recipe, data, root):
    return PlannedRun(recipe, 0).ready(data, root)


def trained(recipe, data, root, options=QUIET):
    run, initial = run_of(recipe, data, root)
    return run, train(run, data, options, initial=initial)


def every(steps, **more):
    return Validation(every=steps, unit="iteration", **more)


def same(one, other):
    states = [load_file(path) for path in (one, other)]
    return all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_best_and_last_weights_are_kept_and_the_recipe_says_which_go_on(blobs, blob_data, tmp_path):
    # A rate that is far too high at the end: the last weights are worse than earlier ones.
    wild = replace(blobs.recipe().optimiser, lr=0.3)
    base = blobs.recipe(iterations=8, optimiser=wild, ema=None, validation=every(1), half=True)
    best, done = trained(base, blob_data, tmp_path / "best")
    assert done["hand_over"] == "best"
    assert done["best_step"] < 8
    assert done["metric"] >= done["last_metric"]
    last, done_last = trained(replace(base, hand_over="last"), blob_data, tmp_path / "last")
    assert (done_last["hand_over"], done_last["best_step"]) == ("last", 8)
    assert done_last["metric"] == done_last["last_metric"] == done["last_metric"]
    for run, which in ((best, "best"), (last, "last")):
        for name in ("best", "last"):
            path = run.folder / f"{name}.safetensors"
            record = read_sidecar(path, kind="weights")
            assert record["step"] == (8 if name == "last" else done["best_step"])
            assert path.read_bytes() == run.weights.read_bytes() or name != which
    assert same(best.folder / "last.safetensors", last.weights)
    assert not same(best.weights, last.weights)
    # The next stage takes the weights that its recipe names.
    for which in ("best", "last"):
        later = replace(base, name="later", earlier_stage=base, earlier_checkpoint=which)
        found = find_initial_weights(later, 0, tmp_path / "best", None)
        assert found.path == best.folder / f"{which}.safetensors"


def test_the_better_of_raw_weights_and_average_is_taken(blobs, blob_data, tmp_path):
    # An average that hardly moves is worse than the weights themselves.
    recipe = blobs.recipe(iterations=12, ema=Ema(decay=0.999, keep="better"), validation=every(6))
    run, done = trained(recipe, blob_data, tmp_path)
    entries = [entry for entry in read_json_lines(run.folder / "log.jsonl") if "metric" in entry]
    assert [entry["step"] for entry in entries] == [6, 12]
    for entry in entries:
        assert entry["metric"] == max(entry["metric/raw"], entry["metric/average"])
    assert done["metric"] == max(entry["metric"] for entry in entries)
    assert done["weights_kind"] == read_sidecar(run.weights, kind="weights")["kind_of_weights"]


def test_a_run_ends_when_validations_stop_getting_better_and_says_so(blobs, blob_data, tmp_path, capsys):
    still = replace(blobs.recipe().optimiser, lr=1e-12, weight_decay=0.0)
    network = blobs.recipe().network
    recipe = blobs.recipe(
        network=network, optimiser=still, ema=Ema(decay=1.0), iterations=40, validation=every(2, patience=3)
    )
    run, done = trained(recipe, blob_data, tmp_path)
    # The average keeps the first weights: step 2 is the best, 4, 6, 8 and 10 are no better. As published, the
    # run ends when their number is larger than the patience.
    assert (done["step"], done["best_step"], done["stopped_early"]) == (10, 2, True)
    assert done["complete"]
    assert run.status() == "finished"
    assert "validations did not become better" in " ".join(capsys.readouterr().err.split())
    (run.folder / "done.json").unlink()
    _, again = trained(recipe, blob_data, tmp_path)
    assert (again["step"], again["metric"]) == (10, done["metric"]), "killed at the end, it stays ended"


def test_files_of_a_finished_run_that_were_deleted_are_made_again(blobs, blob_data, tmp_path, capsys):
    run, done = trained(blobs.recipe(iterations=2), blob_data, tmp_path)
    files = json.loads((run.oof / "oof.json").read_text())["files"]["hflip"]
    gone = [run.folder / "last.safetensors", run.weights, run.oof / next(iter(files.values()))]
    gone.append(sidecar_path(run.weights))
    before = {path: path.read_bytes() for path in gone}
    assert run.lost() == []
    for path in gone:
        path.unlink()
        assert run.lost() == [path]
        _, again = trained(blobs.recipe(iterations=2), blob_data, tmp_path)
        assert (run.status(), again["step"], again["metric"]) == ("finished", 2, done["metric"])
        assert f"{path.name} is gone: it is made again" in capsys.readouterr().err
    listed = json.loads((run.oof / "oof.json").read_text())["files"]
    (run.oof / "oof.json").write_text('{"cut off')
    assert run.lost() == [run.oof / "oof.json"], "a damaged list counts as lost"
    trained(blobs.recipe(iterations=2), blob_data, tmp_path)
    assert json.loads((run.oof / "oof.json").read_text())["files"] == listed
    assert {path: path.read_bytes() for path in gone} == before


def test_a_member_on_all_images_is_not_validated_and_says_so(blobs, blob_data, tmp_path, capsys):
    base = blobs.recipe(iterations=4)
    recipe = replace(base, data=replace(base.data, sets=(ImageSet(part="all"),)))
    run, done = trained(recipe, blob_data, tmp_path)
    assert (done["metric"], done["held_out_images"], done["hand_over"]) == (None, 0, "last")
    assert "no image is held out" in " ".join(capsys.readouterr().err.split()).replace(
        "none is", "no image is"
    )
    assert read_sidecar(run.weights, kind="weights")["metrics"] == {}
    assert json.loads((run.oof / "oof.json").read_text())["files"] == {"identity": {}, "hflip": {}}
    assert list(run.oof.iterdir()) == [run.oof / "oof.json"]
    assert same(run.weights, run.folder / "last.safetensors")
    assert trained(recipe, blob_data, tmp_path)[1] == done


def test_what_an_earlier_stage_trains_on_is_not_held_out(blobs, blob_data, tmp_path):
    base = blobs.recipe(iterations=4)

    def held(fold, folds, sets=()):
        first = replace(base, name="early", data=replace(base.data, sets=sets), folds=folds)
        late = replace(base, name="late", earlier_stage=first)
        return held_out(make_run(late, blob_data, fold, tmp_path, identity="x"), blob_data)

    assert held(1, (0, 1)) == list(blob_data.fold(1).valid)
    assert held(1, (0,)) == [], "the stage of fold 0 saw what fold 1 holds out"
    assert held(0, (0,), (ImageSet(part="all"),)) == []


def test_a_budget_gives_the_run_that_its_length_gives(blobs, blob_data, tmp_path, capsys):
    base = blobs.recipe(iterations=100_000, validation=every(5000))
    run, initial = run_of(base, blob_data, tmp_path / "budget")
    # It is killed after its first step, and goes on with the length that was fitted before.
    cut = Options(device="cpu", bars=False, budget=6.0, max_seconds=0.0)
    first = train(run, blob_data, cut, initial=initial)
    assert not first["complete"]
    done = train(run, blob_data, replace(cut, max_seconds=None), initial=initial)
    assert done["total_steps"] == first["total_steps"] == done["step"] < done["published_steps"] == 100_000
    assert "fitted to a budget" in " ".join(capsys.readouterr().err.split())
    whole, _ = trained(replace(base, iterations=done["total_steps"]), blob_data, tmp_path / "whole")
    assert same(run.folder / "last.safetensors", whole.folder / "last.safetensors")


@pytest.mark.parametrize("ema", [None, Ema(decay=0.9), Ema(decay=0.9, keep="better")])
def test_it_goes_on_exactly_with_accumulation_and_every_kind_of_average(blobs, blob_data, tmp_path, ema):
    recipe = blobs.recipe(iterations=5, batch_size=2, accumulate=2, gpus=2, ema=ema, validation=every(2))
    whole, done = trained(recipe, blob_data, tmp_path / "whole")
    for seconds in (0.0, 0.0, None):
        run, parts = trained(recipe, blob_data, tmp_path / "parts", replace(QUIET, max_seconds=seconds))
    assert parts["metric"] == done["metric"]
    for name in ("best", "last", "weights"):
        file = f"{name}.safetensors"
        assert (run.folder / file).read_bytes() == (whole.folder / file).read_bytes()


def test_a_loss_that_is_no_number_names_the_images_of_its_batch(blobs, blob_data, tmp_path):
    run, initial = run_of(blobs.recipe(batch_size=1, gpus=4, iterations=3), blob_data, tmp_path)
    trainer = Trainer(run, blob_data, QUIET, initial)
    losses, bad = trainer.setup.losses, trainer.setup.examples[(1, 2)][0]

    def broken(module, batch):
        terms = losses(module, batch)
        return (
            {name: value * float("nan") for name, value in terms.items()} if _same(batch[0], bad) else terms
        )

    object.__setattr__(trainer.setup, "losses", broken)
    with pytest.raises(KitError, match="in step 2: the loss is not a number: bce nan, dice nan") as error:
        trainer.fit()
    named = error.value.problem.split("images of the batch: ")[1]
    assert named == trainer.setup.examples.image_of((1, 2))
    assert named in blob_data.fold(0).train


@pytest.mark.parametrize("last", [False, True])
def test_gradients_that_are_no_numbers_name_their_own_step_and_are_never_stored(
    blobs, blob_data, tmp_path, last
):
    recipe = blobs.recipe(
        batch_size=1, gpus=2, iterations=2 if last else 4, validation=every(9), grad_clip=0.0
    )
    run, initial = run_of(recipe, blob_data, tmp_path)
    trainer = Trainer(run, blob_data, replace(QUIET, checkpoint_seconds=1e9 if last else 0.0), initial)
    losses = trainer.setup.losses

    def infinite_slope(module, batch):
        terms = losses(module, batch)
        if trainer.progress.step == 1:  # the square root of 0 is 0, and its slope there is infinite
            weight = next(trainer.network.parameters())
            terms = {name: value + (weight * 0).sum().sqrt() for name, value in terms.items()}
        return terms

    object.__setattr__(trainer.setup, "losses", infinite_slope)
    with pytest.raises(KitError, match=r"diverged in step 2: \S+ is no longer a number") as error:
        trainer.fit()
    named = error.value.problem.split("images of the batch: ")[1].split(", ")
    assert named == list(dict.fromkeys(trainer.setup.examples.image_of((1, item)) for item in range(2)))
    stored = checkpoint.load(run.checkpoints, identity=run.identity)
    assert (stored is None) == last
    assert last or stored["step"] == 1


def _same(x_NCHW, x_CHW):
    return torch.equal(x_NCHW[0], x_CHW)


def half_precision_on_cpu(device, precision, *, loss_scale, member):
    """What `make_fabric` returns for a GPU, on the CPU: autocast to float16 and a scaler."""
    scaler = torch.amp.GradScaler("cpu", init_scale=loss_scale)
    fabric = Fabric(accelerator="cpu", devices=1, plugins=[Autocast("16-mixed", "cpu", scaler=scaler)])
    fabric.launch()
    return fabric


def test_a_step_that_overflows_in_float16_changes_no_weight_and_moves_the_schedule_by_one(
    blobs, blob_data, tmp_path, monkeypatch
):
    monkeypatch.setattr(loop, "make_fabric", half_precision_on_cpu)
    recipe = blobs.recipe(iterations=16, precision="16-mixed", loss_scale=2.0**24, validation=every(16))
    run, initial = run_of(recipe, blob_data, tmp_path)
    trainer = Trainer(run, blob_data, QUIET, initial)
    before = {name: value.clone() for name, value in trainer.network.named_parameters()}
    batches, rates = trainer.batches(16), []
    trainer.network.train()
    for _ in range(16):
        overflows = trainer.progress.overflows
        trainer.stepper.take(batches, 16)
        rates.append(trainer.optimiser.param_groups[0]["lr"])
        if trainer.progress.overflows == trainer.progress.step == overflows + 1:
            assert all(torch.equal(before[name], value) for name, value in trainer.network.named_parameters())
    schedule, lr = recipe.schedule, recipe.optimiser.lr
    assert rates == pytest.approx([lr * schedule.factor(step, 16, lr=lr) for step in range(16)])
    assert 0 < trainer.progress.overflows < 16
    assert trainer.average.updates == 16 - trainer.progress.overflows
    assert trainer.fabric.strategy.precision.scaler.get_scale() < 2.0**24


def test_boxes_that_overflow_in_float16_leave_their_step_out(blobs, blob_data, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "make_fabric", half_precision_on_cpu)
    half = {"precision": "16-mixed", "loss_scale": 8.0}
    recipe = blobs.recipe(iterations=4, accumulate=2, validation=every(4), **half)
    run, initial = run_of(recipe, blob_data, tmp_path)
    trainer = Trainer(run, blob_data, QUIET, initial)
    losses, passes, weights = trainer.setup.losses, [], []

    def refusing(module, batch):
        passes.append(trainer.progress.step)
        if len(passes) == 3:  # what a detector's head says of an overflow
            weights.append({name: value.clone() for name, value in trainer.network.named_parameters()})
            raise NotFiniteError("the boxes of stage 1 of detectors-r50 are not numbers")
        if len(passes) == 5:
            weights.append(dict(trainer.network.named_parameters()))
            assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
        return losses(module, batch)

    object.__setattr__(trainer.setup, "losses", refusing)
    assert trainer.fit()
    assert passes == [0, 0, 1, 1, 2, 2, 3, 3]
    assert (trainer.progress.step, trainer.progress.overflows) == (4, 1)
    # Without a scaler nothing can leave the step out.
    trainer.fabric.strategy.precision.scaler = None
    passes[:] = [0, 0]
    with pytest.raises(KitError, match="diverged in step 5: the boxes of stage 1") as error:
        trainer.stepper.take(trainer.batches(5), 5)
    assert trainer.setup.examples.image_of((4, 0)) in str(error.value)


def test_a_gpu_that_is_lost_is_told_and_the_run_goes_on_from_its_checkpoint(
    blobs, blob_data, tmp_path, monkeypatch
):
    recipe = blobs.recipe(iterations=6, validation=every(2))
    whole, _ = trained(recipe, blob_data, tmp_path / "whole")
    backward, calls = torch.Tensor.backward, []

    def failing(self, *arguments, **named):
        calls.append(1)
        if len(calls) == 4:
            raise torch.AcceleratorError(
                "CUDA error: unspecified launch failure\nCUDA kernel errors might be"
            )
        return backward(self, *arguments, **named)

    monkeypatch.setattr(torch.Tensor, "backward", failing)
    run, initial = run_of(recipe, blob_data, tmp_path / "lost")
    with pytest.raises(KitError, match="the GPU failed: CUDA error: unspecified launch failure") as error:
        train(run, blob_data, QUIET, initial=initial)
    assert "it goes on from what was stored" in str(error.value)
    assert "nvidia-smi" in str(error.value)
    train(run, blob_data, QUIET, initial=initial)
    assert run.weights.read_bytes() == whole.weights.read_bytes()


def test_a_gpu_without_memory_is_told_what_takes_less(blobs, blob_data, tmp_path, monkeypatch):
    def full(self, *_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(torch.Tensor, "backward", full)
    run, initial = run_of(blobs.recipe(iterations=2), blob_data, tmp_path)
    with pytest.raises(KitError, match="the GPU's memory ran out: CUDA out of memory") as error:
        train(run, blob_data, QUIET, initial=initial)
    assert "--batch-size" in str(error.value)


def test_numbers_of_gpus_that_do_not_fit_are_told_before_anything_is_made(blobs, blob_data, tmp_path):
    run, initial = run_of(blobs.recipe(gpus=3), blob_data, tmp_path)
    with pytest.raises(KitError, match="2 processes cannot share the 3 forward passes") as error:
        train(run, blob_data, replace(QUIET, gpus=2), initial=initial)
    assert "use --gpus-per-run 1 or 3" in str(error.value)
    run, initial = run_of(blobs.recipe(gpus=2, sync_bn=True), blob_data, tmp_path)
    with pytest.raises(KitError, match="torch cannot do on CPUs"):
        train(run, blob_data, replace(QUIET, gpus=2), initial=initial)
    assert not run.folder.exists()
