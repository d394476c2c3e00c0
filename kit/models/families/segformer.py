"""SegFormer b0 to b5 of the 1st place of HuBMAP + HPA 2022: GroupNorm in the head, two classes.

Training uses softmax cross entropy and Lovasz over background and cell. Prediction uses the sigmoid of the
cell's logit alone, as published. This is not a calibrated probability, and the published thresholds (0.2 to
0.6 by organ) belong to it. `score="softmax"` gives the trained probability and needs new thresholds.
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
"""`embed_dims` and `depths` of the published encoders."""


@dataclass(frozen=True, kw_only=True)
class SegformerSize(MitSize):
    """The settings that the published and the tiny form may choose.

    Attributes:
        channels: of the decoder; checkpoints trained on Cityscapes or ADE20K have 256.
        norm: of the decoder; those checkpoints have "batch".
        norm_groups: number of groups of norm "group".
        score: the prediction: the sigmoid of the foreground's logit, or the softmax over both logits.
    """

    # Logits (background 2, cell 1): sigmoid(1) = 0.73, softmax = sigmoid(1 - 2) = 0.27.

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
