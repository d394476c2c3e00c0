"""SegFormer's two logits and the mix-upsample network's auxiliary ones, through the loop that trains all."""

from dataclasses import replace

import pytest
import torch

from kit.errors import KitError
from kit.local.sidecars import read_json_lines, read_sidecar
from kit.models import Logits, build, load_weights, tiny
from kit.models.network import Auxiliary
from train_local.engine import losses
from train_local.engine.fabric import make_fabric
from train_local.engine.train import train
from train_local.options import Options
from train_local.planned_runs import PlannedRun
from train_local.recipes.settings import NetworkConfig, Optimiser, ParameterGroup, Validation

ADAMW = Optimiser(
    name="adamw", lr=3e-3, weight_decay=1e-2, groups=(ParameterGroup(match="1-D", decay_mult=0.0),)
)
LOSSES = {
    "segformer-b0": {"cross_entropy": 1.0, "lovasz": 3.0},
    # Published without Dice; with it a hundred steps are enough to lift few dark pixels over one half.
    "segformer-b2-mixupsample": {"bce": 1.0, "dice": 1.0, "auxiliary_bce": 0.2},
    "segformer-b2-daformer": {"bce": 1.0, "dice": 1.0},
}


def run_of(recipe, data, root):
    return PlannedRun(recipe, 0).ready(data, root)


@pytest.mark.parametrize("network", LOSSES)
def test_it_learns_discs_and_leaves_weights_that_load(network, blobs, blob_data, tmp_path):
    recipe = blobs.recipe(
        network=NetworkConfig(name=network).tiny(),
        # Two tokens a side in the last stage; crops of 48 pixels would have one and a half.
        data=replace(blobs.recipe().data, crop=64),
        losses=LOSSES[network],
        optimiser=ADAMW,
        iterations=120,
        validation=Validation(every=30, unit="iteration"),
    )
    run, initial = run_of(recipe, blob_data, tmp_path)
    done = train(run, blob_data, Options(device="cpu"), initial=initial)
    assert done["metric"] > 0.8, "discs of another colour: most of them are found"
    entries = [entry for entry in read_json_lines(run.folder / "log.jsonl") if "lr" in entry]
    assert entries[-1]["loss"] < 0.5 * entries[0]["loss"]
    for entry in entries:
        parts = [entry[f"loss/{name}"] for name in LOSSES[network]]
        assert entry["loss"] == pytest.approx(sum(parts))
    assert read_sidecar(run.weights, kind="weights")["requires"] == ["mmcv-full", "mmsegmentation"]
    load_weights(build(tiny(network)), run.weights)


@pytest.mark.parametrize("network", LOSSES)
def test_steps_on_one_batch_lower_every_loss(network):
    torch.manual_seed(0)
    module = build({**tiny(network), "dropout": 0.0, "drop_path": 0.0}).train()
    optimiser = torch.optim.AdamW(module.parameters(), lr=3e-3)
    target = torch.zeros(2, 1, 64, 64)
    target[:, :, 16:48, 8:40] = 1
    x_NCHW = (200 - 90 * target).expand(-1, 3, -1, -1) + 20 * torch.randn(2, 3, 64, 64)
    values = []
    for _ in range(30):
        terms = losses.semantic(LOSSES[network], module(x_NCHW, logits=True), target)
        torch.stack(list(terms.values())).sum().backward()
        optimiser.step()
        optimiser.zero_grad()
        values.append({name: float(value.detach()) for name, value in terms.items()})
    assert all(values[-1][name] < 0.9 * values[0][name] for name in LOSSES[network])


def test_logits_pass_through_fabric():
    fabric = make_fabric("cpu", "32-true")
    module = fabric.setup_module(build(tiny("segformer-b2-mixupsample")))
    logits = module(torch.zeros(1, 3, 64, 64, dtype=torch.uint8), logits=True)
    assert isinstance(logits, Logits)
    assert isinstance(logits.auxiliary["stage2"], Auxiliary)
    assert logits.main.requires_grad
    assert logits.auxiliary["stage2"].stride == 16


def test_losses_of_another_kind_of_network_stop_before_the_first_step(blobs, blob_data, tmp_path):
    run, initial = run_of(blobs.recipe(losses={"cross_entropy": 1.0}), blob_data, tmp_path)
    with pytest.raises(KitError, match="'cross_entropy' takes 2 logits per pixel, and the network gives 1"):
        train(run, blob_data, Options(device="cpu"), initial=initial)
