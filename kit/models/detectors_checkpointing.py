"""DetectoRS's backbones with activation checkpointing; imports mmdet, so it is imported when one is built.

mmdet's own switch calls `torch.utils.checkpoint` in a way that torch has announced to refuse.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from mmdet.models.backbones import detectors_resnet, detectors_resnext
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class _ComputedAgain(nn.Module):
    """A block that keeps only its input for the backward pass."""

    def forward(self, *inputs: Tensor) -> Any:
        return _light(super().forward, *inputs)

    def rfp_forward(self, *inputs: Tensor | None) -> Any:
        return _light(super().rfp_forward, *inputs)  # type: ignore[misc]  # of the block it is mixed into


def _light(forward: Any, *inputs: Tensor | None) -> Any:
    return checkpoint(forward, *inputs, use_reentrant=False) if torch.is_grad_enabled() else forward(*inputs)


class _ResNetBlock(_ComputedAgain, detectors_resnet.Bottleneck):  # type: ignore[misc]  # mmdet is untyped
    pass


class _ResNeXtBlock(_ComputedAgain, detectors_resnext.Bottleneck):  # type: ignore[misc]  # mmdet is untyped
    pass


class ResNet(detectors_resnet.DetectoRS_ResNet):  # type: ignore[misc]  # mmdet is untyped
    """DetectoRS_ResNet, its blocks computed again in the backward pass."""

    arch_settings: ClassVar = {
        depth: (_ResNetBlock, counts)
        for depth, (_, counts) in detectors_resnet.DetectoRS_ResNet.arch_settings.items()
    }


class ResNeXt(detectors_resnext.DetectoRS_ResNeXt):  # type: ignore[misc]  # mmdet is untyped
    """DetectoRS_ResNeXt, its blocks computed again in the backward pass."""

    arch_settings: ClassVar = {
        depth: (_ResNeXtBlock, counts)
        for depth, (_, counts) in detectors_resnext.DetectoRS_ResNeXt.arch_settings.items()
    }
