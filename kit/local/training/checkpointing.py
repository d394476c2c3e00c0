"""Activation checkpointing of DetectoRS's backbones.

mmdet's own switch calls `torch.utils.checkpoint` in an old way that torch will refuse. Here each block gets a
method that calls it in the new way. The block keeps its class, its parameters and its names.

    block without checkpointing   keeps input, output of conv1, bn1, relu, conv2, ... for the backward pass
    block with checkpointing      keeps its input; the backward pass computes the others again
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from kit.models.openmmlab import quiet


def checkpoint_blocks(network: nn.Module) -> None:
    """Make every residual block keep its input only, and compute the rest again in the backward pass.

    Args:
        network: mmdet's detector; it is changed in place. Without DetectoRS's blocks it stays the same.
    """
    with quiet():
        from mmdet.models.backbones.detectors_resnet import Bottleneck

    for block in network.modules():
        if isinstance(block, Bottleneck):  # DetectoRS's ResNeXt blocks are of this class, too
            # `forward` is the first pass of the recursive pyramid, `rfp_forward` the second.
            for name in ("forward", "rfp_forward"):
                setattr(block, name, partial(_light, getattr(block, name)))


def _light(forward: Any, *inputs: Tensor | None) -> Any:
    return checkpoint(forward, *inputs, use_reentrant=False) if torch.is_grad_enabled() else forward(*inputs)
