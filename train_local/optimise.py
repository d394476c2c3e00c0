"""Optimisers and their parameter groups, as recipes name them."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from train_local.recipes.settings import Optimiser


def make_optimiser(module: nn.Module, settings: Optimiser) -> Optimizer:
    """Return the optimiser of a recipe over all parameters that train.

    Args:
        module: the network; its frozen parameters are left out.
        settings: of the recipe.
    """
    # Biases and the scales of norms have one dimension, weights of layers have two or four. Decay pulls
    # values towards 0, which helps a layer's weights and makes no sense for a norm's scale of about 1.
    spared = any(group.match == "1-D" and group.decay_mult == 0 for group in settings.groups)
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    decayed = [parameter for parameter in trained if parameter.ndim > 1 or not spared]
    undecayed = [parameter for parameter in trained if parameter.ndim <= 1 and spared]
    groups: list[dict[str, Any]] = [{"params": decayed, "weight_decay": settings.weight_decay}]
    if undecayed:
        groups.append({"params": undecayed, "weight_decay": 0.0})
    if settings.name == "sgd":
        return SGD(groups, lr=settings.lr, momentum=settings.momentum)
    return AdamW(groups, lr=settings.lr, betas=settings.betas, amsgrad=settings.amsgrad)


def set_learning_rate(optimiser: Optimizer, rate: float) -> None:
    """Give every group the same learning rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate
