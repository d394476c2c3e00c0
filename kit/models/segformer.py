"""SegFormer b0 to b5 as in the 1st place of HuBMAP + HPA 2022: GroupNorm in the head, two classes.

What the numbers mean: trained with softmax cross entropy and Lovasz over background and cell, but predicted
as published with the *sigmoid of the cell's logit alone*. That is no calibrated probability, and the
published thresholds (0.2 to 0.6 by organ) belong to it. `score="softmax"` gives the trained probability
instead; a network built so declares it, and thresholds have to be found anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

from torch import nn

from kit.errors import KitError
from kit.models.entry import Entry
from kit.models.mit import MitNetwork, MixTransformer, Segmenter, declare, widths
from kit.models.mlp_head import MlpHead, Norm
from kit.models.spec import NetworkSpec

SIZES = {
    "b0": (32, (2, 2, 2, 2)),
    "b1": (64, (2, 2, 2, 2)),
    "b2": (64, (3, 4, 6, 3)),
    "b3": (64, (3, 4, 18, 3)),
    "b4": (64, (3, 8, 27, 3)),
    "b5": (64, (3, 6, 40, 3)),
}
"""Published `embed_dims` and `depths` of the encoders."""


def build(
    spec: NetworkSpec,
    /,
    *,
    embed_dims: int,
    depths: Sequence[int],
    channels: int = 256,
    norm: Norm = "group",
    norm_groups: int = 32,
    dropout: float = 0.1,
    drop_path: float = 0.1,
    checkpointing: bool = False,
    score: Literal["sigmoid", "softmax"] = "sigmoid",
) -> MitNetwork:
    """The network with random weights.

    Args:
        spec: its declaration.
        embed_dims: width of the encoder's first stage.
        depths: blocks of the encoder's four stages.
        channels: width of the decoder; checkpoints trained on Cityscapes or ADE20K have 256.
        norm: of the decoder; those checkpoints have "batch".
        norm_groups: of norm "group".
        dropout: of the decoder's channels.
        drop_path: probability that the encoder's last block is left out in training.
        checkpointing: spend time in training to save memory.
        score: what is predicted: the sigmoid of the foreground's logit, or the softmax over both.

    Raises:
        KitError: sizes that cannot be.
    """
    if score not in {"sigmoid", "softmax"}:
        raise KitError(
            f"{spec.name} has no score {score!r}",
            where="score",
            fix='use "sigmoid", as published, or "softmax"',
        )
    encoder = MixTransformer(embed_dims, depths, drop_path=drop_path, checkpointing=checkpointing)
    decoder = MlpHead(
        widths(embed_dims), channels=channels, classes=2, norm=norm, norm_groups=norm_groups, dropout=dropout
    )
    network = Segmenter(encoder, decoder, nn.ModuleList())
    return MitNetwork(replace(spec, output=score), network)


def _entry(size: str) -> Entry:
    spec = declare(f"segformer-{size}", "sigmoid")
    embed_dims, depths = SIZES[size]
    return Entry(
        spec=spec,
        build=partial(build, spec, embed_dims=embed_dims, depths=depths),
        tiny={"embed_dims": 16, "depths": [1, 1, 1, 1], "channels": 32, "norm_groups": 8},
    )


ENTRIES = tuple(_entry(size) for size in SIZES)
