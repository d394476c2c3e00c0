"""The convolutional stem beside the transformer: local detail at strides 4, 8, 16 and 32."""

from __future__ import annotations

import math
from typing import Any

from mmcv.cnn import build_norm_layer
from torch import Tensor, nn


class SpatialPrior(nn.Module):
    """Spatial prior module (Chen et al. 2023, section 3.3).

    Args:
        in_chans: image channels.
        inplanes: channels of the stem; 2, 4 and 4 times as many behind it.
        embed_dim: channels of every map that comes out.
        norm_cfg: batch norm of mmcv's registry.
    """

    def __init__(self, in_chans: int, inplanes: int, embed_dim: int, norm_cfg: dict[str, Any]) -> None:
        super().__init__()

        def convolution(channels_in: int, channels: int, stride: int) -> list[nn.Module]:
            convolved = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
            return [convolved, build_norm_layer(norm_cfg, channels)[1], nn.ReLU(inplace=True)]

        self.stem = nn.Sequential(
            *convolution(in_chans, inplanes, 2),
            *convolution(inplanes, inplanes, 1),
            *convolution(inplanes, inplanes, 1),
            nn.MaxPool2d(3, 2, padding=1),
        )
        self.conv2 = nn.Sequential(*convolution(inplanes, 2 * inplanes, 2))
        self.conv3 = nn.Sequential(*convolution(2 * inplanes, 4 * inplanes, 2))
        self.conv4 = nn.Sequential(*convolution(4 * inplanes, 4 * inplanes, 2))
        self.fc1 = nn.Conv2d(inplanes, embed_dim, 1)
        self.fc2 = nn.Conv2d(2 * inplanes, embed_dim, 1)
        self.fc3 = nn.Conv2d(4 * inplanes, embed_dim, 1)
        self.fc4 = nn.Conv2d(4 * inplanes, embed_dim, 1)

    def forward(self, image_NCHW: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(B, in_chans, h, w) -> maps (B, C, h / s, w / s) for the strides s of 4, 8, 16 and 32."""
        c1 = self.stem(image_NCHW)
        c2 = self.conv2(c1)
        c3 = self.conv3(c2)
        return self.fc1(c1), self.fc2(c2), self.fc3(c3), self.fc4(self.conv4(c3))


def init_convolution(layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
    """Normal with the variance of He et al. over outgoing connections; bias 0."""
    fan_out = math.prod(layer.kernel_size) * layer.out_channels // layer.groups
    nn.init.normal_(layer.weight, std=math.sqrt(2.0 / fan_out))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
