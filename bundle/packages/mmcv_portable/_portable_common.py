"""What the portable operators share: their computing precision, and the refusal of what is not there."""

from __future__ import annotations

from typing import NoReturn

import torch
from torch import Tensor


def full_precision(*tensors: Tensor) -> list[Tensor]:
    """The tensors in one computing type, contiguous: the first one's, float32 if that is of half precision.

    Box coordinates and sampling positions do not fit in the 8 or 11 bits of a half; torchvision too computes
    these operators in float32 under autocast.
    """
    first = tensors[0].dtype
    dtype = torch.float32 if first in (torch.float16, torch.bfloat16) else first
    return [tensor.detach().to(dtype).contiguous() for tensor in tensors]


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
