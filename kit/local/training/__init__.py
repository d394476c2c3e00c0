"""Changes that training makes to a network from `kit.models.build`; predict.py needs none of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kit.local.training.checkpointing import checkpoint_blocks
from kit.local.training.target_masks import TargetMasks
from kit.models.cascade import HybridTaskCascade
from kit.models.network import Network


def prepare(module: Network, config: Mapping[str, Any]) -> Network:
    """Prepare a network for training; its weights, names and results stay the same.

    Args:
        module: from `kit.models.build`; it is changed in place.
        config: the config that it was built from.

    Returns:
        `module`.
    """
    # The other families do checkpointing themselves, so DetectoRS alone needs help here. `checkpoint_blocks`
    # looks for DetectoRS's blocks and leaves the other cascades as they are.
    if isinstance(module, HybridTaskCascade):
        module.target_masks = TargetMasks
        if config.get("checkpointing", False):
            checkpoint_blocks(module.network)
    return module
