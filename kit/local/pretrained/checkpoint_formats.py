"""The formats of published checkpoints: how to recognise each, rename its tensors, and which part it fills.

Every rule is a pattern of state-dict names. The names are those of mmdet 2, mmseg, timm, torchvision and the
authors' repositories.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from kit.local.pretrained import renaming
from kit.local.pretrained.renaming import Tensors

_NOTHING = r"(?!)"
"""Matches no name."""


@dataclass(frozen=True)
class Reset:
    """A rule for the first values of tensors that a checkpoint cannot give, e.g. a head with other classes.

    Attributes:
        pattern: regular expression that the end of the tensor's name in the network matches.
        draw: "normal" with `std`, "kaiming" (normal, fan out, ReLU), or the constants "zero" and "one".
        std: standard deviation of "normal".
    """

    pattern: str
    draw: Literal["normal", "kaiming", "zero", "one"]
    std: float = 0.0

    def __str__(self) -> str:
        return f"normal, std {self.std:g}" if self.draw == "normal" else self.draw

    def matches(self, name: str) -> bool:
        """Return whether this rule is for the tensor of this name."""
        return re.search(f"(?:{self.pattern})$", name) is not None


def _no_fit(name: str, value: Tensor, wanted: Tensor) -> Tensor | None:
    del name, value, wanted
    return None


@dataclass(frozen=True, kw_only=True)
class CheckpointFormat:
    """One format of published checkpoints.

    Attributes:
        name: the `kind` of registered checkpoints with this format.
        recognise: takes the names in a file and returns whether the file has this format.
        rename: gives the tensors the network's names; it may copy a tensor to several names.
        part: prefixes of the network's names that the checkpoint fills.
        apart: pattern of names below these prefixes that such a checkpoint never has.
        drops: pattern of names, after renaming, that no network here uses.
        resets: rules for tensors that are missing or have another shape.
        fit: takes a name, the checkpoint's tensor and the network's tensor. It returns the former in the
            shape of the latter, or None if it cannot.
        least: smallest share, from 0 to 1, that has to load. It limits two shares: the loaded part of the
            network's values (without those that are reset), and the used part of the checkpoint's values
            (without those that are dropped). Below it, the checkpoint belongs to another network.
    """

    name: str
    recognise: Callable[[Collection[str]], bool]
    rename: Callable[[Tensors, Mapping[str, Tensor]], Tensors] = renaming.as_it_is
    part: tuple[str, ...] = ("",)
    apart: str = _NOTHING
    drops: str = _NOTHING
    resets: tuple[Reset, ...] = field(default=())
    fit: Callable[[str, Tensor, Tensor], Tensor | None] = _no_fit
    least: float = 0.9

    def dropped(self, name: str) -> bool:
        """Return whether no network here uses a tensor of this name (the name after renaming)."""
        return re.match(f"{_USELESS}|{self.drops}", name) is not None

    def reset(self, name: str, given: Collection[str]) -> Reset | None:
        """Return the rule for a tensor that the checkpoint cannot give, None if there is no rule.

        Args:
            name: of the tensor in the network.
            given: names in the checkpoint, after renaming.
        """
        # A batch norm has weight, bias, running_mean, running_var and num_batches_tracked; old checkpoints do
        # not have the last. If "bn1.running_mean" is there, "bn1.num_batches_tracked" becomes 0. If not, the
        # complete batch norm is missing, and the report says so.
        stem, _, last = name.rpartition(".")
        if last == "num_batches_tracked":
            return Reset(last, "zero") if f"{stem}.running_mean" in given else None
        return next((rule for rule in self.resets if rule.matches(name)), None)

    def fills(self, name: str) -> bool:
        """Return whether the network's tensor of this name is in the part that this format fills."""
        return name.startswith(self.part) and re.match(self.apart, name) is None


_USELESS = (
    r".*(?:relative_position_index|relative_coords_table|attn_mask|num_batches_tracked|total_(?:ops|params))$"
)
"""Index buffers that the network computes itself, and counters that profilers leave behind."""

_DETECTOR_HEADS = (
    Reset(r"bbox_head\.(?:\d+\.)?fc_cls\.weight", "normal", 0.01),
    Reset(r"bbox_head\.(?:\d+\.)?fc_reg\.weight", "normal", 0.001),
    Reset(r"mask_head\.(?:\d+\.)?conv_logits\.weight", "kaiming"),
    Reset(r"(?:fc_cls|fc_reg|conv_logits)\.bias", "zero"),
)
"""First values that mmdet 2.28.2 gives to heads with a new number of classes."""

_SEGMENTOR_HEADS = (
    Reset(r"decode_head\.conv_seg\.weight", "normal", 0.01),
    Reset(r"decode_head\.conv_seg\.bias", "zero"),
    # Published heads have BatchNorm. Ours have GroupNorm, like the organ models that started from them.
    Reset(r"decode_head\..*\.gn\.weight", "one"),
    Reset(r"decode_head\..*\.gn\.bias", "zero"),
)


def _any_begins(*prefixes: str) -> Callable[[Collection[str]], bool]:
    return lambda names: any(name.startswith(prefixes) for name in names)


FORMATS = (
    CheckpointFormat(
        name="detector",
        recognise=_any_begins("roi_head."),
        drops=r"roi_head\.semantic_head\.",
        resets=_DETECTOR_HEADS,
    ),
    CheckpointFormat(
        name="detector-v1",
        recognise=_any_begins("bbox_head.", "rfp_modules."),
        rename=renaming.from_mmdet_1,
        drops=r"roi_head\.semantic_head\.",
        resets=_DETECTOR_HEADS,
    ),
    CheckpointFormat(
        name="segmentor",
        recognise=_any_begins("decode_head."),
        drops=r"auxiliary_head\.|decode_head\..*\.bn\.",
        resets=_SEGMENTOR_HEADS,
    ),
    CheckpointFormat(
        name="mit",
        recognise=_any_begins(
            "layers.0.0.projection.", "backbone.layers.0.0.projection.", "patch_embed1.proj."
        ),
        rename=renaming.mit,
        part=("backbone.",),
        drops=r"backbone\.head\.",
    ),
    CheckpointFormat(
        name="timm",
        recognise=_any_begins("s1.b1.conv1."),
        rename=renaming.encoder,
        part=("encoder.",),
        drops=r"encoder\.model\.head\.",
    ),
    CheckpointFormat(
        name="swin",
        recognise=_any_begins("layers.0.blocks.0."),
        rename=renaming.both_swins,
        part=("backbone.cb_modules.",),
        apart=r"backbone\.cb_modules\.\d\.norm\d\.",  # a detector has one norm per output, a classifier one
        drops=r"backbone\.cb_modules\.\d\.(?:head|norm)\.",
        fit=renaming.swin_table,
    ),
    CheckpointFormat(
        name="vit",
        recognise=_any_begins("blocks.0.", "Transformer/", "fused_encoder.", "visual_embed.", "video_embed."),
        rename=renaming.vit,
        part=("backbone.patch_embed.", "backbone.blocks."),
        drops=r"backbone\.(?:cls_token|mask_token|head\.|norm\.|fc_norm\.|lm_head\.|dist_token)",
        fit=renaming.beit_table,
        # The tables of relative positions are 0.3 % of a BEiT, and a BEiT without them does not work: a share
        # of 0.997 has to fail.
        least=0.999,
    ),
    CheckpointFormat(
        name="resnet",
        recognise=_any_begins("layer1.0.conv1."),
        rename=renaming.both_passes,
        part=("backbone.", "neck.rfp_modules."),
        # DetectoRS adds these to a ResNet: switchable, standardised convolutions and the pyramid's inputs.
        apart=r".*\.(?:weight_gamma|weight_beta|weight_diff|switch|(?:pre|post)_context|offset_[sl]|rfp_conv)\b",
        drops=r"(?:backbone|neck\.rfp_modules\.0)\.fc\.",
    ),
    CheckpointFormat(name="weights", recognise=bool),
)
"""`recognise` tries them in this order. The last takes every file and keeps its names."""


def recognise(names: Collection[str]) -> CheckpointFormat:
    """Return the format of a checkpoint whose tensors have these names."""
    return next(item for item in FORMATS if item.recognise(names))
