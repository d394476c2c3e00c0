"""The kinds of published checkpoints: how each is recognised, renamed, and what of a network it fills.

Everything is said by name patterns of the state dicts; the names are those of mmdet 2, mmseg, timm,
torchvision and the authors' repositories.
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
    """How a tensor begins that a checkpoint cannot give, e.g. a head of another number of classes.

    Attributes:
        pattern: of its name in the network, matched at the end.
        draw: "normal" with `std`, "kaiming" (normal, fan out, ReLU), or the constants "zero" and "one".
        std: of "normal".
    """

    pattern: str
    draw: Literal["normal", "kaiming", "zero", "one"]
    std: float = 0.0

    def __str__(self) -> str:
        return f"normal, std {self.std:g}" if self.draw == "normal" else self.draw

    def matches(self, name: str) -> bool:
        """Whether it is for the tensor of this name."""
        return re.search(f"(?:{self.pattern})$", name) is not None


def _no_fit(name: str, value: Tensor, wanted: Tensor) -> Tensor | None:
    del name, value, wanted
    return None


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of checkpoint.

    Attributes:
        name: as the registry of starting points says it.
        recognise: from the names in the file.
        rename: to the network's names; may copy a tensor to several of them.
        part: prefixes of the network's names that it fills.
        apart: pattern of names among them that such a checkpoint never has.
        drops: pattern of names, after renaming, that a network here has no use for.
        resets: for tensors whose shape differs or that are missing.
        fit: makes a tensor of another shape fit, or returns None.
        least: share below which the checkpoint is taken for another network's: of the part's values, without
            those that are reset, and of the checkpoint's, without those that are dropped.
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
        """Whether a tensor of this name, after renaming, is known to be of no use."""
        return re.match(f"{_USELESS}|{self.drops}", name) is not None

    def reset(self, name: str, given: Collection[str]) -> Reset | None:
        """How the network's tensor of this name begins if the checkpoint cannot give it.

        Args:
            name: of the tensor.
            given: names in the checkpoint: a counter of batches begins anew if its statistics are there.
        """
        stem, _, last = name.rpartition(".")
        if last == "num_batches_tracked":
            return Reset(last, "zero") if f"{stem}.running_mean" in given else None
        return next((rule for rule in self.resets if rule.matches(name)), None)

    def fills(self, name: str) -> bool:
        """Whether the network's tensor of this name is in the part it fills."""
        return name.startswith(self.part) and re.match(self.apart, name) is None


_USELESS = (
    r".*(?:relative_position_index|relative_coords_table|attn_mask|num_batches_tracked|total_(?:ops|params))$"
)
"""Index buffers that are computed anew, and what profilers leave behind."""

_DETECTOR_HEADS = (
    Reset(r"bbox_head\.(?:\d+\.)?fc_cls\.weight", "normal", 0.01),
    Reset(r"bbox_head\.(?:\d+\.)?fc_reg\.weight", "normal", 0.001),
    Reset(r"mask_head\.(?:\d+\.)?conv_logits\.weight", "kaiming"),
    Reset(r"(?:fc_cls|fc_reg|conv_logits)\.bias", "zero"),
)
"""What mmdet 2.28.2 draws for heads of a new number of classes."""

_SEGMENTOR_HEADS = (
    Reset(r"decode_head\.conv_seg\.weight", "normal", 0.01),
    Reset(r"decode_head\.conv_seg\.bias", "zero"),
    # Published heads have BatchNorm; ours have GroupNorm, as the organ models that started from them.
    Reset(r"decode_head\..*\.gn\.weight", "one"),
    Reset(r"decode_head\..*\.gn\.bias", "zero"),
)


def _any_begins(*prefixes: str) -> Callable[[Collection[str]], bool]:
    return lambda names: any(name.startswith(prefixes) for name in names)


KINDS = (
    Kind(
        name="detector",
        recognise=_any_begins("roi_head."),
        drops=r"roi_head\.semantic_head\.",
        resets=_DETECTOR_HEADS,
    ),
    Kind(
        name="detector-v1",
        recognise=_any_begins("bbox_head.", "rfp_modules."),
        rename=renaming.from_mmdet_1,
        drops=r"roi_head\.semantic_head\.",
        resets=_DETECTOR_HEADS,
    ),
    Kind(
        name="segmentor",
        recognise=_any_begins("decode_head."),
        drops=r"auxiliary_head\.|decode_head\..*\.bn\.",
        resets=_SEGMENTOR_HEADS,
    ),
    Kind(
        name="mit",
        recognise=_any_begins(
            "layers.0.0.projection.", "backbone.layers.0.0.projection.", "patch_embed1.proj."
        ),
        rename=renaming.mit,
        part=("backbone.",),
        drops=r"backbone\.head\.",
    ),
    Kind(
        name="timm",
        recognise=_any_begins("s1.b1.conv1."),
        rename=renaming.encoder,
        part=("encoder.",),
        drops=r"encoder\.model\.head\.",
    ),
    Kind(
        name="swin",
        recognise=_any_begins("layers.0.blocks.0."),
        rename=renaming.both_swins,
        part=("backbone.cb_modules.",),
        apart=r"backbone\.cb_modules\.\d\.norm\d\.",  # one per output; a classifier has only one
        drops=r"backbone\.cb_modules\.\d\.(?:head|norm)\.",
        fit=renaming.swin_table,
    ),
    Kind(
        name="vit",
        recognise=_any_begins("blocks.0.", "Transformer/", "fused_encoder.", "visual_embed.", "video_embed."),
        rename=renaming.vit,
        part=("backbone.patch_embed.", "backbone.blocks."),
        drops=r"backbone\.(?:cls_token|mask_token|head\.|norm\.|fc_norm\.|lm_head\.|dist_token)",
        fit=renaming.beit_table,
        least=0.999,  # without its tables of relative positions a BEiT is no BEiT, and they are 0.3 % of it
    ),
    Kind(
        name="resnet",
        recognise=_any_begins("layer1.0.conv1."),
        rename=renaming.both_passes,
        part=("backbone.", "neck.rfp_modules."),
        # What DetectoRS adds: switchable, standardised convolutions, and where the pyramid comes in.
        apart=r".*\.(?:weight_gamma|weight_beta|weight_diff|switch|(?:pre|post)_context|offset_[sl]|rfp_conv)\b",
        drops=r"(?:backbone|neck\.rfp_modules\.0)\.fc\.",
    ),
    Kind(name="weights", recognise=bool),
)
"""All kinds, in the order in which they are tried; the last one takes names as they are."""


def recognise(names: Collection[str]) -> Kind:
    """Return the kind of a file with these names."""
    return next(kind for kind in KINDS if kind.recognise(names))
