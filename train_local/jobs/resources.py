"""What the published trainings took, for the plan and for the choice of GPUs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kit.errors import KitError
from train_local.jobs.job import Resources
from train_local.recipes import published

_STAGE = re.compile(r"-stage\d+$")


def resources_of(config: Mapping[str, Any], *, gpus: int = 1) -> Resources:
    """Return what a training takes; hours and memory are 0 where the published log says nothing.

    Args:
        config: the recipe in plain values. Of a tiny form nothing was published.
        gpus: that train it together.
    """
    name = _STAGE.sub("", config["name"])
    try:
        found = published.cost(name, config["stage"])
    except KitError:
        return Resources(gpus=gpus)
    memory = (found.gpu_memory_mb or 0.0) / 1024
    return Resources(gpus=gpus, memory_gb=memory, hours=found.gpu_hours or 0.0)
