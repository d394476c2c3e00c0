"""Device, precision and random seeds of a training process."""

from __future__ import annotations

import random

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
