"""A classifier of torchvision, without any import of the kit; see docs/own-model.md."""

import torch
from torch import nn
from torchvision.models import shufflenet_v2_x0_5


class CrowdClassifier(nn.Module):
    kind = "values"
    size = 160
    views = ["identity", "hflip", "vflip"]

    def __init__(self):
        super().__init__()
        self.network = shufflenet_v2_x0_5(weights=None, num_classes=1)

    def forward(self, x):
        """Logits (N,) of a batch (N, 3, H, W) of RGB images, 0..255."""
        return self.network(x / 127.5 - 1)[:, 0]

    def predict(self, image):
        """The probability that an image, uint8 (H, W, 3), is crowded."""
        device = next(self.parameters()).device
        x = torch.from_numpy(image).permute(2, 0, 1)[None].float().to(device)
        return {"crowded": torch.sigmoid(self(x)).item()}
