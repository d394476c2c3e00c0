"""MiT-b2 under two other decoders: the mix-upsample decoder of a HuBMAP + HPA 2022 solution, and DAFormer's.

`segformer-b2-mixupsample` is the network that solution trained and called a DAFormer decoder: SegFormer's
all-MLP decoder at 320 channels whose upsampling learns to mix bilinear and nearest. `segformer-b2-daformer`
has the decoder of that name (Hoyer et al., CVPR 2022): context by separable atrous convolutions.
Both give one logit and are trained with binary cross entropy.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kit.models.entry import Entry
from kit.models.mit import (
    MitNetwork,
    MixTransformer,
    Segmenter,
    declare,
    require_probability,
    require_size,
    widths,
)
from kit.models.mlp_head import MlpHead, classifier
from kit.models.openmmlab import quiet
from kit.models.spec import NetworkSpec

_AUXILIARY_STAGE = 2
"""The only one whose auxiliary logits enter the published loss; the other heads are never trained."""

_DILATIONS = (1, 6, 12, 18)


class MixUpsampleHead(MlpHead):
    """The all-MLP decoder with batch norm and learned upsampling.

    Each coarser level has a number m, at first a half, and is enlarged to m * bilinear + (1 - m) * nearest.
    The finest level keeps its size: there both are the identity, and a number could learn nothing.
    """

    def __init__(self, in_channels: Sequence[int], *, channels: int, dropout: float) -> None:
        super().__init__(
            in_channels, channels=channels, classes=1, norm="batch", norm_groups=1, dropout=dropout
        )
        self.mixing = nn.Parameter(torch.full((len(in_channels) - 1,), 0.5))

    def join(self, parts: Sequence[Tensor]) -> Tensor:
        """Sum of all levels, each enlarged by its own mixture.

        Enlarging to the nearest twice by two is enlarging by four, so that one chain from the coarsest level
        up does for all of them; bilinear interpolation has no such rule.
        """
        finest, *coarser = parts
        smooth = [share * part for share, part in zip(self.mixing, coarser, strict=True)]
        rest = [part - share for share, part in zip(smooth, coarser, strict=True)]
        blocks = rest.pop()
        while rest:
            part = rest.pop()
            blocks = part + F.interpolate(blocks, part.shape[2:], mode="nearest")
        joined = super().join([finest, *smooth])
        joined += F.interpolate(blocks, joined.shape[2:], mode="nearest")
        return joined


class DaformerHead(nn.Module):
    """DAFormer's context-aware decoder, under the names of its published checkpoints.

    Each level is embedded by a linear layer without norm or activation, enlarged to a quarter of the input
    and concatenated; then a separable atrous pyramid (dilations 1, 6, 12, 18, no image pooling) and a 3x3
    bottleneck.

    Args:
        in_channels: of each level, finest first.
        channels: of each embedding, each branch of the pyramid and its output.
        dropout: of whole channels, before the last convolution.
    """

    def __init__(self, in_channels: Sequence[int], *, channels: int, dropout: float) -> None:
        super().__init__()
        require_size("channels", channels)
        require_probability("dropout", dropout)
        self.embed_layers = nn.ModuleDict(
            {str(index): _Embedding(width, channels) for index, width in enumerate(in_channels)}
        )
        self.fuse_layer = _AtrousPyramid(channels * len(in_channels), channels)
        self.dropout = nn.Dropout2d(dropout)
        self.conv_seg = classifier(channels, 1)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Logits at the first level's resolution."""
        size = levels[0].shape[2:]
        embedded = [embed(level) for embed, level in zip(self.embed_layers.values(), levels, strict=True)]
        enlarged = [F.interpolate(x, size, mode="bilinear", align_corners=False) for x in embedded[1:]]
        logits: Tensor = self.conv_seg(
            self.dropout(self.fuse_layer(torch.cat([embedded[0], *enlarged], dim=1)))
        )
        return logits


class _Embedding(nn.Module):
    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.proj = nn.Linear(in_channels, channels)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        # A linear layer over channels is a 1x1 convolution; the parameters keep their published shape.
        return F.conv2d(x_NCHW, self.proj.weight[:, :, None, None], self.proj.bias)


class _AtrousPyramid(nn.Module):
    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        with quiet():
            from mmcv.cnn import ConvModule
            from mmseg.models.decode_heads.sep_aspp_head import DepthwiseSeparableASPPModule

        norm, activation = {"type": "BN"}, {"type": "ReLU"}
        self.aspp_modules = DepthwiseSeparableASPPModule(
            dilations=_DILATIONS,
            in_channels=in_channels,
            channels=channels,
            conv_cfg=None,
            norm_cfg=norm,
            act_cfg=activation,
        )
        self.bottleneck = ConvModule(len(_DILATIONS) * channels, channels, 3, padding=1, norm_cfg=norm)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        joined: Tensor = self.bottleneck(torch.cat(self.aspp_modules(x_NCHW), dim=1))
        return joined


def build(
    spec: NetworkSpec,
    decoder: type[MixUpsampleHead | DaformerHead],
    /,
    *,
    channels: int,
    embed_dims: int = 64,
    depths: Sequence[int] = (3, 4, 6, 3),
    dropout: float = 0.1,
    drop_path: float = 0.1,
    checkpointing: bool = False,
) -> MitNetwork:
    """The network with random weights; the mix-upsample decoder comes with four auxiliary heads.

    Args:
        spec: its declaration.
        decoder: its kind.
        channels: width of the decoder.
        embed_dims: width of the encoder's first stage.
        depths: blocks of the encoder's four stages.
        dropout: of the decoder's channels.
        drop_path: probability that the encoder's last block is left out in training.
        checkpointing: spend time in training to save memory.

    Raises:
        KitError: sizes that cannot be.
    """
    encoder = MixTransformer(embed_dims, depths, drop_path=drop_path, checkpointing=checkpointing)
    head = decoder(widths(embed_dims), channels=channels, dropout=dropout)
    if decoder is not MixUpsampleHead:
        return MitNetwork(spec, Segmenter(encoder, head, nn.ModuleList()))
    auxiliary_heads = nn.ModuleList(nn.Conv2d(width, 1, kernel_size=1) for width in widths(embed_dims))
    return MitNetwork(spec, Segmenter(encoder, head, auxiliary_heads), auxiliary_stages=(_AUXILIARY_STAGE,))


_TINY = {"embed_dims": 16, "depths": [1, 1, 1, 1], "channels": 32}
_MIXUPSAMPLE = declare(
    "segformer-b2-mixupsample",
    "logit",
    system="body-b2",
    unused_parameters=tuple(f"auxiliary_heads.{stage}." for stage in range(4) if stage != _AUXILIARY_STAGE),
)
_DAFORMER = declare("segformer-b2-daformer", "logit", system="body-b2")

ENTRIES = (
    Entry(spec=_MIXUPSAMPLE, build=partial(build, _MIXUPSAMPLE, MixUpsampleHead, channels=320), tiny=_TINY),
    Entry(spec=_DAFORMER, build=partial(build, _DAFORMER, DaformerHead, channels=256), tiny=_TINY),
)
