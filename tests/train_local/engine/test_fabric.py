import torch
from lightning_fabric import Fabric

from train_local.engine.fabric import Autocast, make_fabric


class Echo(torch.nn.Module):
    """Returns what it was given, and a product in the precision that autocast chooses."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 4)

    def forward(self, targets):
        return targets, self.layer(targets["boxes"]).dtype


def test_boxes_reach_a_network_as_they_are_where_it_computes_in_16_bits():
    fabric = Fabric(accelerator="cpu", devices=1, plugins=[Autocast("bf16-mixed", "cpu")])
    fabric.launch()
    boxes = torch.tensor([[1497.0, 3.0, 1499.5, 2047.0]])
    found, dtype = fabric.setup(Echo())({"boxes": boxes})
    assert torch.equal(found["boxes"], boxes)
    assert dtype == torch.bfloat16


def test_a_slurm_job_of_several_tasks_does_not_disturb_a_run_in_one_process(monkeypatch):
    for name, value in (("NTASKS", "2"), ("JOB_NAME", "train"), ("PROCID", "1"), ("LOCALID", "1")):
        monkeypatch.setenv(f"SLURM_{name}", value)
    fabric = make_fabric("cpu", "32-true")
    assert (fabric.global_rank, fabric.world_size, fabric.device.type) == (0, 1, "cpu")
