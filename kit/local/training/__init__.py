"""Changes that training makes to a network from `kit.models.build`; predict.py needs none of them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from kit.local.training.cascade import TrainableCascade
from kit.local.training.checkpointing import checkpoint_blocks
from kit.models.cascade import HybridTaskCascade
from kit.models.network import Network
from kit.models.registry import sized


def prepare(module: Network, config: Mapping[str, Any]) -> Network:
    """Prepare a network for training; its weights, names and results stay the same.

    Args:
        module: from `kit.models.build`; it is changed in place.
        config: the config that it was built from. With "sync_bn", batch norms share their statistics over the
            processes of a distributed run.

    Returns:
        `module`, or for a cascade a `TrainableCascade` that shares its layers.
    """
    if config.get("sync_bn", False):
        module.network = _shared_batch_norms(module.network, module.spec.requires)
    # The other families do checkpointing themselves, so DetectoRS alone needs help here. `checkpoint_blocks`
    # looks for DetectoRS's blocks and leaves the other cascades as they are.
    if isinstance(module, HybridTaskCascade):
        module = TrainableCascade(module, sized(config)[1])
        if config.get("checkpointing", False):
            checkpoint_blocks(module.network)
    return module


def _shared_batch_norms(network: nn.Module, packages: Sequence[str]) -> nn.Module:
    convert: Any = nn.SyncBatchNorm.convert_sync_batchnorm
    if "timm" in packages:
        # timm's batch norms contain the activation, which torch's own conversion loses.
        convert = importlib.import_module("timm.layers").convert_sync_batchnorm
    converted: nn.Module = convert(network)
    return converted
