"""Load pre-trained weights into a backbone: read, convert, fit, and say what happened to every tensor."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from .checkpoint_file import read_state_dict, state_dict_of
from .converters import convert
from .resizing import resize_patch_kernel, resize_position_embedding, resize_relative_bias

_BODY = ("blocks.", "layers.", "patch_embed.", "pos_embed", "visual_embed.")
_LAYER_SCALES = (".gamma1", ".gamma2")
_NOT_FOR_DETECTION = (
    "cls_token",
    "dist_token",
    "fc_norm.",
    "head.",
    "head_dist.",
    "lm_head.",
    "mask_token",
    "norm.",
    "pre_logits.",
    "register_tokens",
)
_SHOWN = 4
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class LoadReport:
    """What became of a checkpoint's and a backbone's tensors, by their names in the backbone.

    Attributes:
        family: What was published: "BEiT", "ViT" (DeiT, MAE), "AugReg", "DINOv2", "Uni-Perceiver".
        loaded: Copied as they are.
        reshaped: Resized to the backbone: shape in the checkpoint and in the backbone.
        missing: In the backbone only; they keep their initial values, as all of the adapter does.
        unexpected: In the checkpoint only.
        dropped: In the checkpoint only, as is known: class token, classification head and the like.
    """

    family: str
    loaded: tuple[str, ...]
    reshaped: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    dropped: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{self.family} weights: {len(self.loaded)} loaded, {len(self.reshaped)} reshaped, "
            f"{len(self.missing)} missing, {len(self.unexpected)} unexpected, {len(self.dropped)} not needed"
        )


def load_pretrained(
    backbone: nn.Module,
    source: str | os.PathLike[str] | Mapping[str, Any],
    *,
    partial: bool = False,
) -> LoadReport:
    """Load published pre-trained weights into a backbone.

    Relative position tables, position embeddings and patch kernels are resized to the backbone's.

    Args:
        backbone: `BEiTAdapter`, `ViTAdapter` or `UniPerceiverAdapter`, with or without its adapter.
        source: Path of a `.pth`, `.npz` or `.safetensors` file, or what it holds.
        partial: Whether blocks and embeddings that the checkpoint lacks may keep their initial values.

    Returns:
        What happened to each tensor. Nothing was changed if an error is raised.

    Raises:
        ValueError: If the file cannot be read, its names are of no known family, a tensor's shape cannot be
            fitted to the backbone's, or, without `partial`, the transformer would stay incomplete. Layer
            scales may be missing: DeiT, MAE and AugReg have none.
    """
    state_dict = state_dict_of(source) if isinstance(source, Mapping) else read_state_dict(source)
    family, converted = convert(state_dict)
    wanted = backbone.state_dict()
    fitted = {name: _fit(name, value, wanted[name]) for name, value in converted.items() if name in wanted}
    missing = tuple(name for name in wanted if name not in fitted)
    incomplete = [name for name in missing if name.startswith(_BODY) and not name.endswith(_LAYER_SCALES)]
    if not fitted or (incomplete and not partial):
        raise ValueError(
            f"these {family} weights are of another network: {len(incomplete)} of the transformer's tensors "
            f"are not among them, e.g. {incomplete[:_SHOWN]}. Compare depth and class of the backbone"
        )
    backbone.load_state_dict(fitted, strict=False)
    left = [name for name in converted if name not in fitted]
    dropped = tuple(name for name in left if name.startswith(_NOT_FOR_DETECTION))
    resized = {name for name in fitted if converted[name].shape != wanted[name].shape}
    report = LoadReport(
        family=family,
        loaded=tuple(name for name in fitted if name not in resized),
        reshaped={
            name: (tuple(converted[name].shape), tuple(wanted[name].shape)) for name in sorted(resized)
        },
        missing=missing,
        unexpected=tuple(name for name in left if name not in dropped),
        dropped=dropped,
    )
    _LOG.info("%s", report)
    return report


def _fit(name: str, value: Tensor, wanted: Tensor) -> Tensor:
    if value.shape == wanted.shape:
        return value
    if value.ndim == wanted.ndim and value.ndim > 1:
        if name.endswith("relative_position_bias_table") and value.shape[1:] == wanted.shape[1:]:
            return resize_relative_bias(value, wanted.shape[0])
        if name == "pos_embed" and value.shape[-1] == wanted.shape[-1]:
            return resize_position_embedding(value[0], wanted.shape[1])[None]
        if name.endswith("spatial_pos_embed.weight") and value.shape[1:] == wanted.shape[1:]:
            return resize_position_embedding(value, wanted.shape[0])
        if name.endswith("patch_embed.proj.weight") and value.shape[:2] == wanted.shape[:2]:
            return resize_patch_kernel(value, wanted.shape[-1])
    raise ValueError(
        f"{name} is {tuple(value.shape)} in the checkpoint and {tuple(wanted.shape)} in the backbone: "
        "choose the checkpoint of this size of network"
    )
