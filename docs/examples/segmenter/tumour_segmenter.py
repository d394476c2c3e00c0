"""A small U-Net on an encoder of timm, without any import of the kit; see docs/own-model.md."""

import timm
import torch
from torch import nn
from torch.nn import functional as F


class TumourSegmenter(nn.Module):
    kind = "semantic"
    output = "logit"
    requires = ["timm"]
    mean = (123.675, 116.28, 103.53)
    std = (58.395, 57.12, 57.375)
    size_divisor = 16
    window = 256
    context = 32
    scale = 0.5
    batch = 8
    views = ["identity", "hflip"]

    def __init__(self, encoder="resnet10t", width=24):
        super().__init__()
        self.encoder = timm.create_model(encoder, features_only=True, out_indices=(1, 2, 3), pretrained=False)
        self.lateral = nn.ModuleList(
            nn.Conv2d(channels, width, 1) for channels in self.encoder.feature_info.channels()
        )
        self.head = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, 1, 1),
        )

    def forward(self, x):
        """Logits (N, 1, H, W) of a normalised batch (N, 3, H, W); sides are multiples of `size_divisor`."""
        maps = [layer(map_) for layer, map_ in zip(self.lateral, self.encoder(x), strict=True)]
        merged = maps[-1]
        for finer in reversed(maps[:-1]):
            merged = finer + F.interpolate(merged, finer.shape[-2:], mode="bilinear", align_corners=False)
        return F.interpolate(self.head(merged), x.shape[-2:], mode="bilinear", align_corners=False)


def dice_loss(logit, truth):
    """1 - Dice of a batch, with probabilities."""
    probability = torch.sigmoid(logit)
    return 1 - 2 * (probability * truth).sum() / (probability.sum() + truth.sum() + 1)
