"""The core of deformable attention: bilinear samples of several maps, weighed and summed.

On a GPU mmcv's operator does it. It has no CPU kernel, and mmcv's fallback samples channel by channel and
keeps every sample before it weighs them. A sum of weighed rows is what `embedding_bag` is made for: a sample
is four rows of the values, bilinear and attention weights multiply, and a bag collects what a query gathers
in a head.
"""

from __future__ import annotations

import torch
from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction
from torch import Tensor
from torch.nn import functional as F

from .grids import SamplingGrid


def weighted_samples(
    value: Tensor, grid: SamplingGrid, locations: Tensor, weights: Tensor, *, im2col_step: int = 64
) -> Tensor:
    """Deformable DETR (Zhu et al. 2021), equation 3, without its projections.

    Args:
        value: (B, sum of h * w, heads, width), float32 or float64.
        grid: sizes of the sampled maps.
        locations: (B, queries, heads, levels, points, 2) x, y; 0..1 spans a map's whole area, zeros outside.
        weights: (B, queries, heads, levels, points).
        im2col_step: most images the compiled operator takes at once; a divisor of the batch is used.

    Returns:
        (B, queries, heads * width).
    """
    if value.is_cuda:
        step = largest_divisor(len(value), im2col_step)
        out: Tensor = MultiScaleDeformableAttnFunction.apply(
            value, grid.shapes, grid.starts, locations, weights, step
        )
        return out
    return _bags(value, grid, locations, weights)


def largest_divisor(number: int, limit: int) -> int:
    """The largest divisor of `number` that is not above `limit`."""
    return next(divisor for divisor in range(min(number, limit), 0, -1) if number % divisor == 0)


def _bags(value: Tensor, grid: SamplingGrid, locations: Tensor, weights: Tensor) -> Tensor:
    batch, tokens, heads, width = value.shape
    height_L1, width_L1 = grid.shapes[:, :1], grid.shapes[:, 1:]
    x, y = (locations * grid.extents[:, None] - 0.5).unbind(dim=-1)
    left, top = x.floor(), y.floor()
    right_share, bottom_share = x - left, y - top
    left, top = left.long(), top.long()
    rows, shares = [], []
    for row, row_share in ((top, 1 - bottom_share), (top + 1, bottom_share)):
        row_inside = (row >= 0) & (row < height_L1)
        row_weight = row_share * weights
        for column, column_share in ((left, 1 - right_share), (left + 1, right_share)):
            inside = row_inside & (column >= 0) & (column < width_L1)
            rows.append(torch.where(inside, row * width_L1 + column + grid.starts[:, None], 0))
            shares.append(row_weight * column_share * inside)
    # Values lie as (image, token, head): a bag's rows are its head's, in its image.
    image_BM = torch.arange(batch, device=value.device)[:, None] * (tokens * heads)
    offset_BM = image_BM + torch.arange(heads, device=value.device)
    index = torch.stack(rows, dim=-1).flatten(3) * heads + offset_BM[:, None, :, None]
    share = torch.stack(shares, dim=-1).flatten(3)
    bags = F.embedding_bag(
        index.flatten(0, 2), value.reshape(-1, width), per_sample_weights=share.flatten(0, 2), mode="sum"
    )
    return bags.view(batch, -1, heads * width)
