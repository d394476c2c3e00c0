"""Activation checkpointing of DetectoRS's backbones.

mmdet's own switch calls `torch.utils.checkpoint` in a way that torch has announced to refuse. Here each block
gets a method that calls it in the new way. The block keeps its class, its parameters and its names.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from kit.models.openmmlab import quiet


def checkpoint_blocks(network: nn.Module) -> None:
    """Let every residual block keep only its input, and compute the rest again in the backward pass.

    Args:
        network: mmdet's detector; it is changed. One without blocks of DetectoRS stays as it is.
    """
    with quiet():
        from mmdet.models.backbones.detectors_resnet import Bottleneck

    for block in network.modules():
        if isinstance(block, Bottleneck):  # DetectoRS's ResNeXt blocks are of this class, too
            for name in ("forward", "rfp_forward"):
                setattr(block, name, partial(_light, getattr(block, name)))


def _light(forward: Any, *inputs: Tensor | None) -> Any:
    return checkpoint(forward, *inputs, use_reentrant=False) if torch.is_grad_enabled() else forward(*inputs)
