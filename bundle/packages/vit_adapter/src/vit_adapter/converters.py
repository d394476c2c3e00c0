"""Published ViT checkpoints under our backbones' names: pure functions from state dict to state dict."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from .resizing import drop_extra_bias_rows

StateDict = dict[str, Tensor]

_TABLE = "relative_position_bias_table"
_BLOCK = re.compile(r"blocks\.(\d+)\.")
_AUGREG_BLOCK = re.compile(r"Transformer/encoderblock_(\d+)/(.+)")
_AUGREG_NAMES = {
    "cls": "cls_token",
    "embedding/kernel": "patch_embed.proj.weight",
    "embedding/bias": "patch_embed.proj.bias",
    "Transformer/posembed_input/pos_embedding": "pos_embed",
    "Transformer/encoder_norm/scale": "norm.weight",
    "Transformer/encoder_norm/bias": "norm.bias",
    "head/kernel": "head.weight",
    "head/bias": "head.bias",
    "pre_logits/kernel": "pre_logits.fc.weight",
    "pre_logits/bias": "pre_logits.fc.bias",
}
_AUGREG_BLOCK_NAMES = {
    "LayerNorm_0/scale": "norm1.weight",
    "LayerNorm_0/bias": "norm1.bias",
    "LayerNorm_2/scale": "norm2.weight",
    "LayerNorm_2/bias": "norm2.bias",
    "MultiHeadDotProductAttention_1/out/kernel": "attn.proj.weight",
    "MultiHeadDotProductAttention_1/out/bias": "attn.proj.bias",
    "MlpBlock_3/Dense_0/kernel": "mlp.fc1.weight",
    "MlpBlock_3/Dense_0/bias": "mlp.fc1.bias",
    "MlpBlock_3/Dense_1/kernel": "mlp.fc2.weight",
    "MlpBlock_3/Dense_1/bias": "mlp.fc2.bias",
}
_UNI_PERCEIVER_NAMES = (
    ("fused_encoder.", ""),
    ("in_proj_", "in_proj."),
    ("video_embed.", "visual_embed."),
    ("visual_embed.embeddings_st_pos.", "visual_embed.patch_embed."),
    ("visual_embed.embeddings.", "visual_embed.patch_embed.proj."),
)


def convert_beit(state_dict: Mapping[str, Tensor]) -> StateDict:
    """BEiT and BEiT v2: every block its own relative position table, without class-token rows and indices.

    Args:
        state_dict: As published, or already converted.

    Returns:
        The same tensors, a shared table copied to every block, three extra rows dropped where they are.

    Raises:
        ValueError: If a table is of no square window.
    """
    converted = {
        name: value for name, value in state_dict.items() if not name.endswith("relative_position_index")
    }
    shared = converted.pop(f"rel_pos_bias.{_TABLE}", None)
    if shared is not None:
        for block in {match[1] for match in map(_BLOCK.match, state_dict) if match}:
            converted[f"blocks.{block}.attn.{_TABLE}"] = shared.clone()
    for name, value in converted.items():
        if name.endswith(_TABLE):
            converted[name] = drop_extra_bias_rows(value)
    return converted


def convert_vit(state_dict: Mapping[str, Tensor]) -> StateDict:
    """DeiT, MAE and AugReg as `.pth`: the names are ours; MAE's decoder and mask token are dropped.

    Args:
        state_dict: As published. The position embedding keeps its entries of class and distillation tokens.

    Returns:
        The encoder's tensors.
    """
    return {
        name: value for name, value in state_dict.items() if not name.startswith(("decoder_", "mask_token"))
    }


def convert_augreg(state_dict: Mapping[str, Tensor]) -> StateDict:
    """AugReg and the other ViT weights that Google publishes as `.npz`.

    JAX keeps dense kernels as input x output, attention kernels with a heads axis, and convolutions as HWIO.

    Args:
        state_dict: Arrays by their path, e.g. `Transformer/encoderblock_0/MlpBlock_3/Dense_0/kernel`.

    Returns:
        ViT names, queries, keys and values of a block joined; unknown names are kept.

    Raises:
        ValueError: If a block lacks its query, key or value.
    """
    converted: StateDict = {}
    for name, value in state_dict.items():
        match = _AUGREG_BLOCK.fullmatch(name)
        if not match:
            converted[_AUGREG_NAMES.get(name, name)] = _from_jax(name, value)
        elif match[2] in _AUGREG_BLOCK_NAMES:
            converted[f"blocks.{match[1]}.{_AUGREG_BLOCK_NAMES[match[2]]}"] = _from_jax(name, value)
    blocks = {match[1] for match in map(_AUGREG_BLOCK.fullmatch, state_dict) if match}
    for block in sorted(blocks, key=int):
        attention = f"Transformer/encoderblock_{block}/MultiHeadDotProductAttention_1"
        for kind, parameter in (("kernel", "weight"), ("bias", "bias")):
            names = [f"{attention}/{part}/{kind}" for part in ("query", "key", "value")]
            if missing := [name for name in names if name not in state_dict]:
                raise ValueError(f"the checkpoint lacks {missing}: is the file complete?")
            parts = [_from_jax(name, state_dict[name]) for name in names]
            converted[f"blocks.{block}.attn.qkv.{parameter}"] = torch.cat(parts)
    return converted


def _from_jax(name: str, value: Tensor) -> Tensor:
    if not name.endswith("/kernel"):
        # Biases of queries, keys and values are heads x width; tokens and positions stay as they are.
        return value.flatten() if name.endswith("/bias") else value
    if name == "embedding/kernel":
        return value.permute(3, 2, 0, 1).contiguous()
    if name.endswith("/out/kernel"):
        return value.flatten(0, 1).T.contiguous()
    return value.flatten(1).T.contiguous()


def convert_dinov2(state_dict: Mapping[str, Tensor]) -> StateDict:
    """DINOv2: layer scale under our names, the mask token dropped.

    Args:
        state_dict: As published; the 14-pixel patch kernel is resized where the backbone is known.

    Returns:
        The encoder's tensors.
    """
    renamed = {re.sub(r"\.ls([12])\.gamma$", r".gamma\1", name): value for name, value in state_dict.items()}
    return convert_vit(renamed)


def convert_uni_perceiver(state_dict: Mapping[str, Tensor]) -> StateDict:
    """Uni-Perceiver: the encoder and the image embedding, without text embedding and losses.

    Args:
        state_dict: As published, or already converted.

    Returns:
        The encoder's tensors under the names of `UniPerceiverAdapter`.
    """
    converted: StateDict = {}
    for original, value in state_dict.items():
        name = original
        for theirs, ours in _UNI_PERCEIVER_NAMES:
            name = name.replace(theirs, ours)
        if "loss_prepare" not in name and "token_embed" not in name:
            converted[name] = value
    return converted


_FAMILIES: dict[str, tuple[re.Pattern[str], Callable[[Mapping[str, Tensor]], StateDict]]] = {
    "AugReg": (re.compile(r"Transformer/encoderblock_\d+/"), convert_augreg),
    "Uni-Perceiver": (
        re.compile(r"(fused_encoder\.)?layers\.\d+\.self_attn\.in_proj"),
        convert_uni_perceiver,
    ),
    "BEiT": (re.compile(r"blocks\.\d+\.attn\.q_bias$"), convert_beit),
    "DINOv2": (re.compile(r"blocks\.\d+\.ls1\.gamma$"), convert_dinov2),
    "ViT": (re.compile(r"blocks\.\d+\.attn\.qkv\.weight$"), convert_vit),
}


def convert(state_dict: Mapping[str, Tensor]) -> tuple[str, StateDict]:
    """Tell by its names what was published, and convert it.

    Args:
        state_dict: A backbone's weights.

    Returns:
        The family ("BEiT", "ViT" for DeiT and MAE, "AugReg", "DINOv2", "Uni-Perceiver") and what its
        converter made of `state_dict`.

    Raises:
        ValueError: If no family has such names, or they are a whole detector's.
    """
    if any(name.startswith("backbone.") for name in state_dict):
        raise ValueError(
            "this is a checkpoint of a whole detector, not of a pre-trained backbone: build the detector "
            "without pretrained= and load it with mmcv's load_checkpoint (load_from= in a config)"
        )
    for family, (pattern, converter) in _FAMILIES.items():
        if any(map(pattern.match, state_dict)):
            return family, converter(state_dict)
    raise ValueError(
        f"these weights are of none of {', '.join(_FAMILIES)}: their names are {sorted(state_dict)[:4]} ..."
    )
