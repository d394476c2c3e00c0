"""Device, precision, processes and random seeds of a training process."""

from __future__ import annotations

import os
import random
import resource
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from lightning_fabric.plugins.environments import LightningEnvironment
from lightning_fabric.strategies import DDPStrategy

from kit.errors import KitError
from train_local.engine.processes import Member


class Autocast(MixedPrecision):  # type: ignore[misc]  # the library has no type information
    """Autocast whose inputs stay as they are; Lightning would round all of them to 16 bits first.

    Boxes are inputs, too: bfloat16 has 8 significant bits and knows 1496 and 1504, but no box edge between
    them. Networks normalise in float32, and autocast alone chooses what is computed in 16 bits.
    """

    def convert_input(self, data: Any) -> Any:
        """Return the arguments of a network as they are."""
        return data


class _Environment(LightningEnvironment):  # type: ignore[misc]  # the library has no type information
    """Tells Fabric which of our processes this is; by default it asks environment variables."""

    def __init__(self, member: Member) -> None:
        super().__init__()
        self._member = member

    @property
    def creates_processes_externally(self) -> bool:
        return True

    def local_rank(self) -> int:
        return self._member.rank


def computes_on_gpu(device: str, processes: int = 1) -> bool:
    """Whether a `--device` means a GPU on this machine.

    Args:
        device: "auto", "cpu" or "cuda".
        processes: that want a GPU each.

    Raises:
        KitError: CUDA was asked for and is not there, or there are fewer GPUs than processes.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise KitError(f"unknown device {device!r}", where="--device", fix="use auto, cpu or cuda")
    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise KitError(
            "no CUDA device is usable", where="--device", fix="use --device cpu, or check the driver"
        )
    on_gpu = device == "cuda" or (device == "auto" and there)
    if on_gpu and torch.cuda.device_count() < processes:
        raise KitError(
            f"{processes} GPUs were asked for and {torch.cuda.device_count()} can be used",
            where="--gpus-per-run",
            fix="ask for fewer, or check CUDA_VISIBLE_DEVICES and `nvidia-smi`",
        )
    return on_gpu


def make_fabric(
    device: str, precision: str, *, loss_scale: float | None = None, member: Member | None = None
) -> Fabric:
    """Return a Fabric for the device of this process; on the CPU 16-bit precisions become float32.

    Args:
        device: "auto", "cpu" or "cuda".
        precision: as Fabric names it.
        loss_scale: first scale of "16-mixed"; None takes torch's.
        member: this process among those that train together.

    Raises:
        KitError: CUDA was asked for and is not there.
    """
    member = member or Member()
    on_gpu = computes_on_gpu(device, member.count)
    settings: dict[str, Any] = {"accelerator": "cuda" if on_gpu else "cpu", "devices": member.count}
    # The environment is always given: Lightning would look for Slurm's variables, and a job that Slurm gave
    # several tasks would be refused.
    plugins: list[Any] = [_Environment(member)]
    if on_gpu and precision == "16-mixed":
        # The scale itself changes as torch does it: halved after an overflow, doubled after 2000 good steps.
        first = 2.0**16 if loss_scale is None else loss_scale  # torch's own is 2^16
        scaler = torch.GradScaler("cuda", init_scale=first)
        plugins.append(Autocast("16-mixed", "cuda", scaler=scaler))
    elif on_gpu and precision == "bf16-mixed":
        plugins.append(Autocast("bf16-mixed", "cuda"))
    else:
        settings["precision"] = "32-true"
    if member.count > 1:
        # Networks have heads that some losses don't use. DDP has to look for parameters without a gradient,
        # or it waits for them. Gradients as views of its buckets are there once instead of twice.
        settings["strategy"] = DDPStrategy(find_unused_parameters=True, gradient_as_bucket_view=True)
    fabric = Fabric(plugins=plugins, **settings)
    fabric.launch()
    return fabric


def seed_all(seed: int) -> None:
    """Seed every global generator."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - mmdet's samplers draw from the global generator
    torch.manual_seed(seed)


def seed_pass(seed: int, step: int, number: int) -> None:
    """Seed every global generator for one forward pass.

    What a network draws in training (dropout, mmdet's samples of proposals) then depends on the pass alone:
    not on the number of processes, not on where the run was interrupted.

    Args:
        seed: of the run.
        step: of the optimiser.
        number: of the pass within the step, over all processes.
    """
    # (7, 3, 0) and (7, 0, 3) give numbers that share nothing.
    seed_all(int(np.random.SeedSequence([seed, step, number]).generate_state(1)[0]))


def peak_memory_mb(device: torch.device) -> float:
    """Return the most memory that this process held so far, MB: of the GPU, or of the process on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6  # Linux counts in KiB


def gpu_name(device: torch.device) -> str:
    """Return the GPU as the user counts them: of CUDA_VISIBLE_DEVICES=2,3 the device cuda:1 is "3"."""
    if device.type != "cuda":
        return ""
    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    index = device.index or 0
    return visible[index] if index < len(visible) else str(index)
