"""Device, precision and random seeds of a training process."""

from __future__ import annotations

import os
import random
import resource

import numpy as np
import torch
from lightning_fabric import Fabric

from kit.errors import KitError


def make_fabric(device: str, precision: str) -> Fabric:
    """Return a Fabric for one device; on the CPU 16-bit precisions become float32.

    Raises:
        KitError: CUDA was asked for and is not there.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise KitError(f"unknown device {device!r}", where="--device", fix="use auto, cpu or cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise KitError(
            "no CUDA device is usable", where="--device", fix="use --device cpu, or check the driver"
        )
    on_gpu = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    return Fabric(
        accelerator="cuda" if on_gpu else "cpu", devices=1, precision=precision if on_gpu else "32-true"
    )


def seed_all(seed: int) -> None:
    """Seed every global generator."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - mmdet's samplers draw from the global generator
    torch.manual_seed(seed)


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
