"""SegFormer's all-MLP decoder: every level to one width and one resolution, joined by a 1x1 convolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn import functional as F

from kit.models.openmmlab import quiet

Norm = Literal["batch", "group"]


class MlpHead(nn.Module):
    """mmseg's `SegformerHead` by its state-dict names, with a third of its arithmetic.

    The published head enlarges all levels to a quarter of the input, concatenates them and convolves 1x1.
    Both steps are linear and the convolution has no bias, so each level is convolved with its part of the
    weights before it is enlarged, and the results are added: the same function.

    Args:
        in_channels: of each level, finest first.
        channels: width of the decoder.
        classes: logits a pixel.
        norm: behind each convolution but the last.
        norm_groups: of "group".
        dropout: of whole channels, before the last convolution.
    """

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
        self.dropout = nn.Dropout2d(dropout)
        self.conv_seg = classifier(channels, classes)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Logits at the first level's resolution.

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
        """Sum of all levels at the first one's size.

        Args:
            parts: NCHW, finest first, at the decoder's width; the first is overwritten.
        """
        joined = parts[0]
        for part in parts[1:]:
            joined += F.interpolate(part, joined.shape[2:], mode="bilinear", align_corners=False)
        return joined


def classifier(channels: int, classes: int) -> nn.Conv2d:
    """A decode head's last layer, with small first weights as in mmseg.

    Args:
        channels: in front of it.
        classes: logits a pixel.
    """
    layer = nn.Conv2d(channels, classes, kernel_size=1)
    nn.init.normal_(layer.weight, std=0.01)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
