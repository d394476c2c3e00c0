"""What the published trainings took, for the plan and for the choice of GPUs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from train_local.jobs.job import Resources


def resources_of(_config: Mapping[str, Any]) -> Resources:
    """Return what a training takes; hours and memory are 0 where the published log says nothing."""
    return Resources(gpus=1)
