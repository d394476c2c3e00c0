"""Estimate the memory that the training of a network takes, without taking it.

The forward and the backward pass run on tensors that have a shape but no values (`kit.local.estimate`), so a
detector that needs 40 GB is measured in seconds on a laptop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F

from kit.local.estimate import PeakMemory
from kit.local.training import prepare
from kit.models import InstanceNetwork, Network, build
from kit.models.registry import sized

_OPTIMISER = {"sgd": 4, "adam": 8, "adamw": 8}
"""Bytes that an optimiser keeps for a parameter; AMSGrad keeps 4 more."""


@dataclass(frozen=True, kw_only=True)
class TrainingMemory:
    """Bytes that a training holds at its peak, on the device of the network.

    Attributes:
        weights: parameters and buffers.
        optimiser: momenta.
        average: a moving average of the weights.
        passes: activations and gradients of one forward and backward pass.
    """

    weights: int
    optimiser: int
    average: int
    passes: int

    @property
    def total(self) -> int:
        """All of it, with a tenth for what the allocator loses, and 0.6 GB for the libraries' own."""
        return round(1.1 * (self.weights + self.optimiser + self.average + self.passes) + 0.6e9)


def training_memory(
    config: Mapping[str, Any],
    batch: tuple[int, int, int],
    *,
    optimiser: str,
    amsgrad: bool = False,
    average: bool = False,
    half: bool = False,
) -> TrainingMemory:
    """Estimate the training of a registered network.

    Attention is the fused kind, which keeps no matrix of weights. The published trainings of 2022 and 2023
    had the other one and took up to three times as much.

    Args:
        config: of the network, as `kit.models.build` takes it.
        batch: images of one forward pass, their height and width in pixels.
        optimiser: "sgd", "adam" or "adamw".
        amsgrad: of Adam.
        average: a moving average of the weights is kept.
        half: passes compute in 16 bits ("16-mixed", "bf16-mixed").

    Raises:
        KitError: the network or an argument is unknown, or a library that it needs is not installed.
    """
    with torch.device("meta"):
        module = build(config)
    module = prepare(module, config).train()
    parameters = sum(item.numel() for item in module.parameters() if item.requires_grad)
    weights = sum(item.numel() * item.element_size() for item in (*module.parameters(), *module.buffers()))
    return TrainingMemory(
        weights=weights,
        optimiser=parameters * (_OPTIMISER[optimiser] + 4 * amsgrad),
        average=weights * average,
        passes=_passes(module, config, batch, half=half),
    )


def _passes(module: Network, config: Mapping[str, Any], batch: tuple[int, int, int], *, half: bool) -> int:
    number, height, width = batch
    # Non-fake inputs: the anchors of a detector are real tensors, made when the network is built.
    with FakeTensorMode(allow_non_fake_inputs=True):
        module.to_empty(device="cpu")
        # bfloat16 has the size of float16, and the CPU's autocast, which chooses the operations here, has it.
        with PeakMemory() as memory, torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            x_NCHW = torch.empty(number, 3, height, width)
            if isinstance(module, InstanceNetwork):
                loss = _cascade_loss(module, x_NCHW, sized(config)[1])
            else:
                logits = module(x_NCHW, logits=True)
                main = F.softplus(logits.main.float()).sum()
                loss = torch.stack([main, *(item.logit.float().sum() for item in logits.auxiliary.values())])
            total: Any = loss.sum()
            total.backward()
    return int(memory.peak)


def _cascade_loss(module: Any, x_NCHW: Tensor, size: Any) -> Tensor:
    """Something that needs the gradients of all parts of a cascade, on as many boxes as training samples."""
    network: Any = module.network
    padded, _ = module.prepared(x_NCHW)
    features = network.extract_feat(padded)
    # A composite backbone gives the pyramids of both of its networks, and both have losses.
    several = isinstance(features[0], list | tuple)
    pyramids = list(features) if several else [features]
    sampled = size.roi_samples * len(x_NCHW)
    positive = round(sampled * size.roi_positive)
    head, found = network.roi_head, []
    for pyramid in pyramids:
        found += list(network.rpn_head.forward(pyramid))
        # `forward` skips the hooks of the heads, which ask whether the values are finite. Here are no values.
        for stage, box_head in enumerate(head.bbox_head):
            found += list(box_head.forward(_cut(head.bbox_roi_extractor[stage], sampled)))
        for stage, mask_head in enumerate(head.mask_head):
            cut, before = _cut(head.mask_roi_extractor[stage], positive), None
            for earlier in head.mask_head[:stage]:
                before = earlier(cut, before, return_logits=False)
            found.append(mask_head(cut, before, return_feat=False))
    parts = [part for item in found for part in (item if isinstance(item, list | tuple) else [item])]
    return torch.stack([part.float().sum() for part in parts])


def _cut(extractor: Any, number: int) -> Tensor:
    """A tensor of the shape that RoIAlign returns for a number of boxes, as if it had a gradient."""
    return torch.empty(
        number, extractor.out_channels, *extractor.roi_layers[0].output_size, requires_grad=True
    )
