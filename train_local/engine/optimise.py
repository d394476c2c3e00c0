"""Optimisers and their parameter groups, as recipes name them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from kit.errors import KitError
from train_local.recipes.settings import Optimiser, ParameterGroup

_BLOCK = re.compile(r"(.*?)(?:layers\.(\d+)\.)?blocks\.(\d+)\.")
"""A block of a transformer: "backbone.blocks.11." of a ViT, "backbone.layers.2.blocks.17." of a Swin."""
_BEFORE_BLOCKS = ("patch_embed", "pos_embed", "cls_token", "absolute_pos_embed", "mask_token", "rel_pos_bias")
"""What stands in front of the first block."""


def make_optimiser(module: nn.Module, settings: Optimiser) -> Optimizer:
    """Return the optimiser of a recipe over all parameters that train.

    Args:
        module: the network; its frozen parameters are left out.
        settings: of the recipe.

    Raises:
        KitError: a group of the recipe takes no parameter.
    """
    trained = {name: value for name, value in module.named_parameters() if value.requires_grad}
    depth = _layer_factors(trained, settings.layer_decay) if settings.layer_decay is not None else {}
    # Parameters with the same two factors share a group: 400 tensors, of which the norms are not decayed and
    # the head learns ten times as fast, make three or four groups.
    grouped: dict[tuple[float, float], list[Tensor]] = {}
    rules = {name: _rule(settings.groups, name, parameter) for name, parameter in trained.items()}
    _require_used(settings.groups, rules)
    for name, parameter in trained.items():
        rule = rules[name]
        rate, decay = (rule.lr_mult, rule.decay_mult) if rule is not None else (1.0, 1.0)
        grouped.setdefault((rate * depth.get(name, 1.0), decay), []).append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": parameters, "weight_decay": settings.weight_decay * decay, "lr_mult": rate}
        for (rate, decay), parameters in grouped.items()
    ]
    for group in groups:
        group["lr"] = settings.lr * group["lr_mult"]
    if settings.name == "sgd":
        return SGD(groups, lr=settings.lr, momentum=settings.momentum)
    adam = Adam if settings.name == "adam" else AdamW
    return adam(groups, lr=settings.lr, betas=settings.betas, amsgrad=settings.amsgrad)


def set_learning_rate(optimiser: Optimizer, rate: float) -> None:
    """Give every group its learning rate.

    Args:
        optimiser: of `make_optimiser`.
        rate: of the groups without a factor of their own.
    """
    for group in optimiser.param_groups:
        group["lr"] = rate * group["lr_mult"]


def _rule(groups: Sequence[ParameterGroup], name: str, parameter: Tensor) -> ParameterGroup | None:
    """The first group that matches a parameter; None if none does."""
    return next((group for group in groups if _matches(group, name, parameter)), None)


def _require_used(groups: Sequence[ParameterGroup], rules: Mapping[str, ParameterGroup | None]) -> None:
    """Refuse a group without a parameter: its learning rate or decay would be for nothing, and nobody told.

    Args:
        groups: of the recipe.
        rules: name of a parameter -> the group that takes it.
    """
    used = [rule for rule in rules.values() if rule is not None]
    for group in groups:
        if group in used:
            continue
        before = {rule.match for name, rule in rules.items() if rule is not None and group.match in name}
        why = f"; what it matches is taken by {', '.join(sorted(before))} before" if before else ""
        parts = sorted({part for name in rules for part in name.split(".") if not part.isdigit()})
        raise KitError(
            f"the parameter group {group.match!r} takes none of the {len(rules)} parameters that train{why}",
            where="recipe: optimiser.groups",
            fix=f"correct it or take it out. Names of parameters are made of: {', '.join(parts)}",
        )


def _matches(group: ParameterGroup, name: str, parameter: Tensor) -> bool:
    # Biases and the scales of norms have one dimension, weights of layers have two or four. Decay pulls
    # values towards 0, which helps a layer's weights and makes no sense for a norm's scale of about 1.
    if group.match == "1-D":
        return parameter.ndim <= 1 or name.endswith(".bias")
    return group.match in name


def _layer_factors(names: Iterable[str], decay: float) -> dict[str, float]:
    """Name of a parameter -> factor of its learning rate, as BEiT sets it.

    With a decay of 0.9 and 12 blocks: 1 for what follows the blocks (norms, neck, heads), 0.9 for the last
    block, 0.9^12 for the first one, 0.9^13 for the embedding of patches and positions. A Swin counts its
    blocks through all stages; each network of a composite backbone counts its own.
    """
    names = list(names)
    places: dict[str, tuple[str, tuple[int, int]]] = {}
    for name in names:
        if found := _BLOCK.match(name):
            places[name] = (found[1], (int(found[2] or 0), int(found[3])))
    # "backbone." -> its blocks in order: [(0, 0), (0, 1), (1, 0), ...]
    order = {
        prefix: sorted({block for other, block in places.values() if other == prefix})
        for prefix, _ in places.values()
    }
    factors = {}
    for name in names:
        if name in places:
            prefix, block = places[name]
            factors[name] = decay ** (len(order[prefix]) - order[prefix].index(block))
        elif any(part in name for part in _BEFORE_BLOCKS):
            blocks = next((order[prefix] for prefix in order if name.startswith(prefix)), [])
            factors[name] = decay ** (len(blocks) + 1)
    return factors
