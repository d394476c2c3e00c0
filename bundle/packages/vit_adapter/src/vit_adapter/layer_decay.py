"""Layer-wise learning-rate decay: the deeper a transformer block, the closer to the full learning rate.

As BEiT is fine-tuned (Bao et al. 2021, appendix) and ViT-Adapter's detectors are trained: layer 0 are the
embeddings, layer i + 1 is block i, and everything after the blocks (adapter, necks, heads) is the last layer.
"""

from __future__ import annotations

import re
from typing import Any

from mmcv.runner import DefaultOptimizerConstructor
from mmcv.runner.optimizer import OPTIMIZER_BUILDERS
from torch import nn

_EMBEDDINGS = ("cls_token", "mask_token", "pos_embed", "patch_embed", "visual_embed")
_BLOCK = re.compile(r"(?:blocks|layers)\.(\d+)\.")
_EXEMPT_BY_FULL_NAME = ("pos_embed", "cls_token")
_EXEMPT_BY_LAST_NAME = (
    "cls_token",
    "mask_token",
    "pos_embed",
    "relative_position_bias_table",
    "level_embed",
)


def layer_decay_groups(
    module: nn.Module,
    *,
    lr: float,
    weight_decay: float,
    num_layers: int,
    decay: float,
    backbone: str = "backbone",
    exempt_embeddings: bool = False,
) -> list[dict[str, Any]]:
    """Sort a detector's trainable parameters into groups with their own learning rate and weight decay.

    A parameter of layer k gets `lr * decay ** (num_layers + 1 - k)`. Biases and one-dimensional parameters
    get no weight decay. Any torch optimiser takes the groups.

    Args:
        module: A detector, or a backbone alone.
        lr: Learning rate of the last layer.
        weight_decay: Of the matrices and kernels.
        num_layers: Transformer blocks of the backbone.
        decay: Ratio of the learning rates of neighbouring layers, in (0, 1].
        backbone: Dotted name of the backbone inside `module`; empty when `module` is the backbone.
        exempt_embeddings: Whether position embeddings, tokens, relative position tables and level embeddings
            are kept from weight decay too. The published training means to exempt the position embedding but
            compares its full dotted name, so that inside a detector it does decay; False does the same.

    Returns:
        Groups in the order of their first parameter, each with `params`, `param_names`, `group_name`,
        `lr_scale`, `lr` and `weight_decay`. Every parameter that requires a gradient is in exactly one.

    Raises:
        ValueError: If `decay` is out of range or the backbone does not have exactly `num_layers` blocks.
    """
    if not 0 < decay <= 1:
        raise ValueError(f"decay must be in (0, 1], not {decay}: the ratio of neighbouring layers' rates")
    prefix = f"{backbone}." if backbone else ""
    _check_blocks(module, prefix, num_layers)
    groups: dict[str, dict[str, Any]] = {}
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        layer = _layer(name, prefix, num_layers)
        decays = not (parameter.ndim == 1 or name.endswith(".bias") or _exempt(name, exempt_embeddings))
        group_name = f"layer_{layer}_{'decay' if decays else 'no_decay'}"
        if group_name not in groups:
            scale = decay ** (num_layers + 1 - layer)
            groups[group_name] = {
                "params": [],
                "param_names": [],
                "group_name": group_name,
                "lr_scale": scale,
                "lr": lr * scale,
                "weight_decay": weight_decay if decays else 0.0,
            }
        groups[group_name]["params"].append(parameter)
        groups[group_name]["param_names"].append(name)
    return list(groups.values())


def _check_blocks(module: nn.Module, prefix: str, num_layers: int) -> None:
    where = f"under {prefix!r}" if prefix else "in the module itself"
    # Frozen blocks count too: their number tells whether num_layers is right.
    names = [name[len(prefix) :] for name, _ in module.named_parameters() if name.startswith(prefix)]
    blocks = {int(match[1]) for match in map(_BLOCK.match, names) if match}
    if not blocks:
        raise ValueError(
            f"no transformer blocks (blocks.i, layers.i) {where}: name the backbone with backbone="
        )
    if len(blocks) != num_layers:
        raise ValueError(f"num_layers is {num_layers}, but there are {len(blocks)} blocks {where}")


def _layer(name: str, prefix: str, num_layers: int) -> int:
    if not name.startswith(prefix):
        return num_layers + 1
    name_in_backbone = name[len(prefix) :]
    if name_in_backbone.split(".", 1)[0] in _EMBEDDINGS:
        return 0
    block = _BLOCK.match(name_in_backbone)
    return int(block[1]) + 1 if block else num_layers + 1


def _exempt(name: str, exempt_embeddings: bool) -> bool:
    if exempt_embeddings:
        return name.rsplit(".", 1)[-1] in _EXEMPT_BY_LAST_NAME
    return name in _EXEMPT_BY_FULL_NAME


# Registered in mmcv's root registry: mmseg has a class of this name, but in a registry of its own, where its
# optimisers find it first and this one as `mmcv.LayerDecayOptimizerConstructor`.
@OPTIMIZER_BUILDERS.register_module()
class LayerDecayOptimizerConstructor(DefaultOptimizerConstructor):  # type: ignore[misc]  # mmcv has no types
    """The groups of `layer_decay_groups` for configurations of mmcv and mmdet.

        optimizer = dict(type="AdamW", lr=1e-4, weight_decay=0.05,
                         constructor="LayerDecayOptimizerConstructor",
                         paramwise_cfg=dict(num_layers=24, layer_decay_rate=0.9))

    `paramwise_cfg` may also hold `backbone` and `exempt_embeddings`.

    Raises:
        ValueError: If a word of `paramwise_cfg` is missing or unknown, or `optimizer` has no learning rate.
    """

    def _validate_cfg(self) -> None:
        super()._validate_cfg()
        required = {"num_layers", "layer_decay_rate"}
        missing = required - self.paramwise_cfg.keys()
        unknown = self.paramwise_cfg.keys() - required - {"backbone", "exempt_embeddings"}
        if missing or unknown:
            raise ValueError(
                f"paramwise_cfg lacks {sorted(missing)} and has unknown {sorted(unknown)}: "
                "it takes num_layers, layer_decay_rate and, if needed, backbone and exempt_embeddings"
            )
        if self.base_lr is None:
            raise ValueError("the optimizer needs lr: layer-wise rates are multiples of it")

    def add_params(self, params: list[dict[str, Any]], module: nn.Module, **_: Any) -> None:
        """Append the groups of `module` to `params` (called by mmcv).

        Args:
            params: Parameter groups, extended in place.
            module: The detector.
        """
        words = dict(self.paramwise_cfg)
        params.extend(
            layer_decay_groups(
                module,
                lr=self.base_lr,
                weight_decay=self.base_wd or 0.0,
                decay=words.pop("layer_decay_rate"),
                **words,
            )
        )
