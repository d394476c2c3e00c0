"""MiT-b2 with two other decoders: the mix-upsample decoder of a HuBMAP + HPA 2022 solution, and DAFormer's.

`segformer-b2-mixupsample` is the network that this solution trained and called DAFormer. Its decoder is
SegFormer's all-MLP decoder with 320 channels, which learns to mix bilinear and nearest upsampling.
`segformer-b2-daformer` has the real DAFormer decoder (Hoyer et al., CVPR 2022) with separable atrous
convolutions. Both return one logit and are trained with binary cross entropy.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kit.models.entry import Entry
from kit.models.mit import MitNetwork, MitSize, Segmenter, declare, widths
from kit.models.mlp_head import MlpHead, classifier
from kit.models.network_spec import NetworkSpec
from kit.models.openmmlab import quiet

_AUXILIARY_STAGE = 2
"""Only the auxiliary logits of this stage enter the published loss; the other heads are never trained."""

_DILATIONS = (1, 6, 12, 18)

_EPS = 1e-5
"""Of the layer norms behind patch embeddings and reductions: both solutions took MiT from NVlabs."""


class MixUpsampleHead(MlpHead):
    """The all-MLP decoder with batch norm and learned upsampling.

    Each coarser level has a weight m, 0.5 at first, and is enlarged to m * bilinear + (1 - m) * nearest. The
    finest level keeps its size and needs no weight.
    """

    def __init__(self, in_channels: Sequence[int], *, channels: int, dropout: float) -> None:
        super().__init__(
            in_channels, channels=channels, classes=1, norm="batch", norm_groups=1, dropout=dropout
        )
        self.dropout = nn.Dropout(dropout)  # of single values, where mmseg's heads drop whole channels
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                layer.reset_parameters()  # torch's first weights, as published, not mmseg's
        self.mixing = nn.Parameter(torch.full((len(in_channels) - 1,), 0.5))

    def join(self, parts: Sequence[Tensor]) -> Tensor:
        """Return the sum of all levels, each enlarged by its own mixture."""
        # Nearest twice by 2 equals nearest by 4, so the nearest parts a, b, c go up in one chain,
        # a + 2 (b + 2 c). Bilinear interpolation has no such rule.
        finest, *coarser = parts
        # m * bilinear(x) + (1 - m) * nearest(x) = bilinear(m x) + nearest(x - m x)
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
    """DAFormer's context-aware decoder, with the names of its published checkpoints.

    A linear layer without norm or activation embeds each level. All levels are enlarged to a quarter of the
    input and concatenated. A separable atrous pyramid (dilations 1, 6, 12, 18, no image pooling) and a 3x3
    bottleneck follow.

    Args:
        in_channels: of each level, finest first.
        channels: of each embedding, each branch of the pyramid and the output.
        dropout: share of channels that are dropped before the last convolution.
    """

    def __init__(self, in_channels: Sequence[int], *, channels: int, dropout: float) -> None:
        super().__init__()
        self.embed_layers = nn.ModuleDict(
            {str(index): _Embedding(width, channels) for index, width in enumerate(in_channels)}
        )
        self.fuse_layer = _AtrousPyramid(channels * len(in_channels), channels)
        self.dropout = nn.Dropout2d(dropout)
        self.conv_seg = classifier(channels, 1)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Return logits at the first level's resolution."""
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


def _build_mixupsample(spec: NetworkSpec, size: MitSize) -> MitNetwork:
    """Build the network with four auxiliary heads, as published; one of them is trained."""
    encoder, levels = size.encoder(eps=_EPS), widths(size.embed_dims)
    head = MixUpsampleHead(levels, channels=size.channels, dropout=size.dropout)
    auxiliary_heads = nn.ModuleList(nn.Conv2d(width, 1, kernel_size=1) for width in levels)
    network = Segmenter(encoder, head, auxiliary_heads)
    return MitNetwork(spec, network, auxiliary_stages=(_AUXILIARY_STAGE,))


def _build_daformer(spec: NetworkSpec, size: MitSize) -> MitNetwork:
    encoder = size.encoder(eps=_EPS)
    head = DaformerHead(widths(size.embed_dims), channels=size.channels, dropout=size.dropout)
    return MitNetwork(spec, Segmenter(encoder, head, nn.ModuleList()))


_TINY = {"embed_dims": 16, "depths": [1, 1, 1, 1], "channels": 32}

ENTRIES = (
    Entry(
        spec=declare(
            "segformer-b2-mixupsample",
            "logit",
            system="body-b2",
            size_divisor=32,  # its decoder enlarges by exactly 2, 4 and 8
            unused_parameters=tuple(
                f"auxiliary_heads.{stage}." for stage in range(4) if stage != _AUXILIARY_STAGE
            ),
        ),
        size=MitSize(channels=320),
        build=_build_mixupsample,
        tiny=_TINY,
    ),
    Entry(
        spec=declare("segformer-b2-daformer", "logit", system="body-b2"),
        size=MitSize(channels=256),
        build=_build_daformer,
        tiny=_TINY,
    ),
)
