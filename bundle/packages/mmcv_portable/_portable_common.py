"""What the portable operators share: precision, bilinear sampling, the refusal of what is not there."""

from __future__ import annotations

from typing import NoReturn

import torch
from torch import Tensor
from torch.nn import functional as F

_BILINEAR, _ZEROS = 0, 0
"""ATen's codes of grid_sampler_2d's interpolation and padding modes."""


def full_precision(*tensors: Tensor) -> list[Tensor]:
    """The tensors in one computing type, contiguous: the first one's, float32 if that is of half precision.

    Box coordinates and sampling positions do not fit in the 8 or 11 bits of a half; torchvision too computes
    these operators in float32 under autocast.
    """
    first = tensors[0].dtype
    dtype = torch.float32 if first in (torch.float16, torch.bfloat16) else first
    return [tensor.detach().to(dtype).contiguous() for tensor in tensors]


def sample(maps: Tensor, grid: Tensor) -> Tensor:
    """Bilinear samples (n, c, rows, columns) of (n, c, h, w) at a (n, rows, columns, 2) grid of x, y.

    -1..1 spans a map from edge to edge; outside it is zero.
    """
    return F.grid_sample(maps, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def sample_backward(grad: Tensor, maps: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of `sample` for its maps and its grid."""
    of_maps, of_grid = torch.ops.aten.grid_sampler_2d_backward(
        grad, maps, grid, _BILINEAR, _ZEROS, False, [True, True]
    )
    return of_maps, of_grid


def refuse(operator: str) -> NoReturn:
    """Tell that an operator exists in the native build only.

    Raises:
        NotImplementedError: always.
    """
    raise NotImplementedError(
        f"mmcv operator {operator} is not part of this portable mmcv-full 1.7.2, which has nms, softnms, "
        "roi_align (average), deform_conv, modulated_deform_conv, ms_deform_attn and sigmoid_focal_loss. "
        "To use it, install a native build of mmcv-full 1.7.2, compiled for this torch, CUDA and Python."
    )
