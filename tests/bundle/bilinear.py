"""The slow reference of every sampling operator: one bilinear sample, differentiable by autograd."""

import math

import torch


def sample_zeros(map_CHW, y, x):
    """(C,) at (y, x), numbers or tensors, of a map that is zero outside; pixel centres at whole numbers."""
    _, height, width = map_CHW.shape
    y0, x0 = (math.floor(torch.as_tensor(position).item()) for position in (y, x))
    total = map_CHW.new_zeros(map_CHW.shape[0])
    for row in (y0, y0 + 1):
        for column in (x0, x0 + 1):
            if 0 <= row < height and 0 <= column < width:
                total = total + map_CHW[:, row, column] * (1 - abs(y - row)) * (1 - abs(x - column))
    return total


def sample_clamped(map_CHW, y, x):
    """(C,) at (y, x): zero more than one pixel outside, else the nearest position inside."""
    _, height, width = map_CHW.shape
    if y < -1 or y > height or x < -1 or x > width:
        return map_CHW.new_zeros(map_CHW.shape[0])
    return sample_zeros(map_CHW, min(max(y, 0), height - 1), min(max(x, 0), width - 1))
