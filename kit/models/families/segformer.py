"""SegFormer b0 to b5 as in the 1st place of HuBMAP + HPA 2022: GroupNorm in the head, two classes.

What the numbers mean: trained with softmax cross entropy and Lovasz over background and cell, but predicted
as published with the *sigmoid of the cell's logit alone*. That is no calibrated probability, and the
published thresholds (0.2 to 0.6 by organ) belong to it. `score="softmax"` gives the trained probability
instead; a network built so declares it, and thresholds have to be found anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from torch import nn

from kit.errors import KitError
from kit.models.entry import Entry
from kit.models.mit import Count, MitNetwork, MitSize, Segmenter, declare, widths
from kit.models.mlp_head import MlpHead, Norm
from kit.models.network_spec import NetworkSpec

SIZES = {
    "b0": (32, (2, 2, 2, 2)),
    "b1": (64, (2, 2, 2, 2)),
    "b2": (64, (3, 4, 6, 3)),
    "b3": (64, (3, 4, 18, 3)),
    "b4": (64, (3, 8, 27, 3)),
    "b5": (64, (3, 6, 40, 3)),
}
"""Published `embed_dims` and `depths` of the encoders."""


@dataclass(frozen=True, kw_only=True)
class SegformerSize(MitSize):
    """What may differ between the published and the tiny form.

    Attributes:
        channels: checkpoints trained on Cityscapes or ADE20K have 256.
        norm: of the decoder; those checkpoints have "batch".
        norm_groups: of norm "group".
        score: what is predicted: the sigmoid of the foreground's logit, or the softmax over both.
    """

    norm: Norm = "group"
    norm_groups: Count = 32
    score: Literal["sigmoid", "softmax"] = "sigmoid"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.norm == "group" and self.channels % self.norm_groups:
            raise KitError(
                f"{self.channels} channels cannot be split into {self.norm_groups} groups",
                fix='choose norm_groups that divide channels, or norm "batch"',
            )


def _build(spec: NetworkSpec, size: SegformerSize) -> MitNetwork:
    encoder = size.encoder()
    decoder = MlpHead(
        widths(size.embed_dims),
        channels=size.channels,
        classes=2,
        norm=size.norm,
        norm_groups=size.norm_groups,
        dropout=size.dropout,
    )
    network = Segmenter(encoder, decoder, nn.ModuleList())
    return MitNetwork(replace(spec, output=size.score), network)


_TINY = {"embed_dims": 16, "depths": [1, 1, 1, 1], "channels": 32, "norm_groups": 8}

ENTRIES = tuple(
    Entry(
        spec=declare(f"segformer-{size}", "sigmoid"),
        size=SegformerSize(embed_dims=embed_dims, depths=depths),
        build=_build,
        tiny=_TINY,
    )
    for size, (embed_dims, depths) in SIZES.items()
)
