"""What training does to a network that was built. None of it reaches predict.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kit.local.training.checkpointing import checkpoint_blocks
from kit.local.training.target_masks import TargetMasks
from kit.models.cascade import HybridTaskCascade
from kit.models.network import Network


def prepare(module: Network, config: Mapping[str, Any]) -> Network:
    """Make a network ready for training; its weights, names and results stay the same.

    A cascade gets targets that stay on the GPU. A DetectoRS whose config says "checkpointing" keeps less for
    the backward pass; the other families do that themselves.

    Args:
        module: from `kit.models.build`; it is changed.
        config: the one it was built from.

    Returns:
        `module`.
    """
    if isinstance(module, HybridTaskCascade):
        module.target_masks = TargetMasks
        if config.get("checkpointing", False):
            checkpoint_blocks(module.network)
    return module
