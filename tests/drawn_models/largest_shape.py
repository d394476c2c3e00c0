"""Of which class most pixels are: a word for an image."""

import torch
from torch import nn

WORDS = ("disc", "square", "bar")


class LargestShape(nn.Module):
    kind = "values"

    def __init__(self):
        super().__init__()
        self.colours = nn.Parameter(torch.zeros(3, 3))

    def predict(self, image):
        x = torch.from_numpy(image).float().to(self.colours.device)
        near = (x[:, :, None] - self.colours).abs().amax(dim=3) < 60
        return {"largest": WORDS[int(near.sum(dim=(0, 1)).argmax())]}
