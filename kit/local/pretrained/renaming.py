"""Rename the tensors of published checkpoints to the names of our networks.

Each function takes the checkpoint's tensors and the network's state dict (shapes are enough) and returns the
tensors by the network's names. It may give one tensor several names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

Tensors = dict[str, Tensor]


def as_it_is(tensors: Tensors, wanted: Mapping[str, Tensor]) -> Tensors:
    """Return the tensors unchanged, because the names are ours already."""
    del wanted
    return tensors


def below_backbone(tensors: Tensors, wanted: Mapping[str, Tensor]) -> Tensors:
    """Put "backbone." in front of the names of a backbone that was published alone."""
    del wanted
    return {f"backbone.{name.removeprefix('backbone.')}": value for name, value in tensors.items()}


def from_mmdet_1(tensors: Tensors, wanted: Mapping[str, Tensor]) -> Tensors:
    """Move the names of mmdet 1 to where mmdet 2 has them.

    "bbox_head.0.fc_cls.weight" becomes "roi_head.bbox_head.0.fc_cls.weight". The second pass of the recursive
    pyramid, "rfp_modules.0.conv1.weight", becomes "neck.rfp_modules.0.conv1.weight".
    """
    del wanted
    moved = {"bbox_head": "roi_head", "mask_head": "roi_head", "semantic_head": "roi_head"}
    moved |= {"rfp_modules": "neck", "rfp_aspp": "neck", "rfp_weight": "neck"}
    return {
        f"{moved[first]}.{name}" if (first := name.partition(".")[0]) in moved else name: value
        for name, value in tensors.items()
    }


def mit(tensors: Tensors, wanted: Mapping[str, Tensor]) -> Tensors:
    """Rename a MiT that has mmseg's names or the authors' own, as mit_b2.pth of NVlabs has."""
    if "patch_embed1.proj.weight" in tensors:
        tensors = _from_nvlabs(tensors)
    return below_backbone(tensors, wanted)


_NVLABS = (
    (r"^patch_embed(\d)\.proj\.", "layers.{}.0.projection."),
    (r"^patch_embed(\d)\.norm\.", "layers.{}.0.norm."),
    (r"^block(\d)\.", "layers.{}.1."),
    (r"^norm(\d)\.", "layers.{}.2."),
)
_NVLABS_BLOCK = (
    (".attn.proj.", ".attn.attn.out_proj."),
    (".mlp.fc1.", ".ffn.layers.0."),
    (".mlp.dwconv.dwconv.", ".ffn.layers.1."),
    (".mlp.fc2.", ".ffn.layers.4."),
)


def _from_nvlabs(tensors: Tensors) -> Tensors:
    """Translate the authors' names: stages count from 1, queries stand apart, 1x1 convolutions are linear."""
    # block1.0.attn.q.weight (64, 64)           layers.0.1.0.attn.attn.in_proj_weight (192, 64): q above kv
    # block1.0.attn.kv.weight (128, 64)
    # block1.0.mlp.fc1.weight (256, 64)         layers.0.1.0.ffn.layers.0.weight (256, 64, 1, 1)
    # patch_embed2.proj.weight (128, 64, 3, 3)  layers.1.0.projection.weight, as it is
    renamed = {}
    for name, value in tensors.items():
        if re.search(r"\.attn\.kv\.", name):
            continue  # joined to the queries below
        new = name
        for pattern, place in _NVLABS:
            if found := re.match(pattern, name):
                new = place.format(int(found[1]) - 1) + name[found.end() :]
        for old, ours in _NVLABS_BLOCK:
            new = new.replace(old, ours)
        if re.search(r"\.attn\.q\.", name):
            other = tensors.get(name.replace(".attn.q.", ".attn.kv."))
            value = value if other is None else torch.cat([value, other])  # noqa: PLW2901 the tensor of this name
            new = re.sub(r"\.attn\.q\.(weight|bias)$", r".attn.attn.in_proj_\1", new)
        if new.endswith(("ffn.layers.0.weight", "ffn.layers.4.weight")) and value.ndim == 2:
            value = value[:, :, None, None]  # noqa: PLW2901 as above
        renamed[new] = value
    return renamed


def both_passes(tensors: Tensors, wanted: Mapping[str, Tensor]) -> Tensors:
    """Copy a ResNet into the backbone and, if there is a recursive pyramid, into its second pass."""
    # "conv1.weight" -> "backbone.conv1.weight" and "neck.rfp_modules.0.conv1.weight"
    places = [
        place
        for place in ("backbone.", "neck.rfp_modules.0.")
        if any(name.startswith(place) for name in wanted)
    ]
    return {f"{place}{name}": value for place in places for name, value in tensors.items()}


def encoder(tensors: Tensors, wanted: Mapping[str, Tensor]) -> Tensors:
    """Rename a timm model to the encoder that segmentation_models_pytorch makes of it."""
    # "s1.b1.conv1.conv.weight" -> "encoder.model.s1.b1.conv1.conv.weight"
    del wanted
    return {f"encoder.model.{name}": value for name, value in tensors.items()}


def both_swins(tensors: Tensors, wanted: Mapping[str, Tensor]) -> Tensors:
    """Copy a Swin transformer into both backbones; only the first has a patch embedding."""
    # "layers.0..." -> "backbone.cb_modules.0.layers.0..." and "backbone.cb_modules.1.layers.0..."
    # "patch_embed.proj.weight" -> "backbone.cb_modules.0.patch_embed.proj.weight" only
    return {
        place: value
        for name, value in tensors.items()
        for place in (f"backbone.cb_modules.0.{name}", f"backbone.cb_modules.1.{name}")
        if place in wanted or place.startswith("backbone.cb_modules.0.")
    }


def vit(tensors: Tensors, wanted: Mapping[str, Tensor]) -> Tensors:
    """Rename BEiT and other ViTs by the rules of our own package vit_adapter."""
    from vit_adapter.converters import convert

    _, converted = convert(tensors)
    return below_backbone(dict(converted), wanted)


def beit_table(name: str, value: Tensor, wanted: Tensor) -> Tensor | None:
    """Resize BEiT's table of relative positions to another window; None for every other tensor."""
    from vit_adapter.resizing import resize_relative_bias

    if not name.endswith("relative_position_bias_table") or value.shape[1:] != wanted.shape[1:]:
        return None
    try:
        # A tensor without values is resized as zeros, which shows whether the sizes fit.
        return resize_relative_bias(torch.zeros(value.shape) if value.is_meta else value, wanted.shape[0])
    except ValueError:
        return None  # no table of a square window


def swin_table(name: str, value: Tensor, wanted: Tensor) -> Tensor | None:
    """Resize Swin's table of relative positions to another window; None for every other tensor."""
    from cbnetv2.pretrained import resize

    return resize(name, value, wanted.shape)
