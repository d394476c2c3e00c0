"""SegFormer's all-MLP decoder: all levels at one width and resolution, joined by a 1x1 convolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn import functional as F

from kit.models.openmmlab import quiet

Norm = Literal["batch", "group"]


class MlpHead(nn.Module):
    """mmseg's `SegformerHead` with the same state-dict names and a third of the arithmetic.

    Args:
        in_channels: of each level, finest first.
        channels: width of the decoder.
        classes: logits per pixel.
        norm: after each convolution but the last.
        norm_groups: number of groups of norm "group".
        dropout: share of channels that are dropped before the last convolution.
    """

    # published:  W [up(a), up(b)], convolved at the fine size
    # here:       Wa a + up(Wb b), the same, because both steps are linear and W has no bias

    def __init__(
        self,
        in_channels: Sequence[int],
        *,
        channels: int,
        classes: int,
        norm: Norm,
        norm_groups: int,
        dropout: float,
    ) -> None:
        super().__init__()
        settings = {"type": "BN"} if norm == "batch" else {"type": "GN", "num_groups": norm_groups}
        with quiet():
            from mmcv.cnn import ConvModule

        self.convs = nn.ModuleList(
            ConvModule(width, channels, kernel_size=1, norm_cfg=settings) for width in in_channels
        )
        self.fusion_conv: Any = ConvModule(
            channels * len(in_channels), channels, kernel_size=1, norm_cfg=settings
        )
        self.dropout: nn.Module = nn.Dropout2d(dropout)
        self.conv_seg = classifier(channels, classes)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Return logits at the first level's resolution.

        Args:
            levels: NCHW, finest first.
        """
        weights = self.fusion_conv.conv.weight.chunk(len(levels), dim=1)
        parts = [
            F.conv2d(conv(level), weight)
            for conv, level, weight in zip(self.convs, levels, weights, strict=True)
        ]
        joined = self.fusion_conv.activate(self.fusion_conv.norm(self.join(parts)))
        logits: Tensor = self.conv_seg(self.dropout(joined))
        return logits

    def join(self, parts: Sequence[Tensor]) -> Tensor:
        """Return the sum of all levels at the first one's size.

        Args:
            parts: NCHW, finest first, at the decoder's width. The first is overwritten.
        """
        joined = parts[0]
        for part in parts[1:]:
            joined += F.interpolate(part, joined.shape[2:], mode="bilinear", align_corners=False)
        return joined


def classifier(channels: int, classes: int) -> nn.Conv2d:
    """Return a decode head's last layer, with small first weights as in mmseg.

    Args:
        channels: of its input.
        classes: logits per pixel.
    """
    layer = nn.Conv2d(channels, classes, kernel_size=1)
    nn.init.normal_(layer.weight, std=0.01)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
