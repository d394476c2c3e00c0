"""Deformable convolution, plain (version 1) and modulated (version 2)."""

from __future__ import annotations

from operator import itemgetter

import torch
import torchvision  # noqa: F401  importing it registers torch.ops.torchvision
from torch import Tensor

from ._portable_common import full_precision
from ._portable_sampling import Geometry
from ._portable_sampling import backward as sampled_backward
from ._portable_sampling import forward as sampled_forward

_plain = itemgetter("dH", "dW", "padH", "padW", "dilationH", "dilationW", "group", "deformable_group")
_modulated = itemgetter(
    "stride_h", "stride_w", "pad_h", "pad_w", "dilation_h", "dilation_w", "group", "deformable_group"
)
"""mmcv's keyword names of either version, in the order of torchvision's arguments."""


def deform_conv_forward(
    x: Tensor,
    weight: Tensor,
    offset: Tensor,
    output: Tensor,
    _columns: Tensor,
    _ones: Tensor,
    **geometry: int,
) -> None:
    """Deformable convolution without modulation (Dai et al. 2017).

    Args:
        x: (n, c_in, h, w).
        weight: (c_out, c_in / group, kH, kW).
        offset: (n, deformable_group * kH * kW * 2, h_out, w_out), y before x.
        output: (n, c_out, h_out, w_out), written.
        geometry: kW, kH, dW, dH (stride), padW, padH, dilationW, dilationH, group, deformable_group; mmcv's
            im2col_step bounds its buffer and has no bearing on the result.
    """
    features, kernel, shift = full_precision(x, weight, offset)
    if _on_cpu(features):
        output.copy_(sampled_forward(features, kernel, shift, _geometry(geometry)))
        return
    no_mask, no_bias = _unmodulated(features, kernel)
    output.copy_(
        torch.ops.torchvision.deform_conv2d(
            features, kernel, shift, no_mask, no_bias, *_plain(geometry), False
        )
    )


def deform_conv_backward_input(
    x: Tensor,
    offset: Tensor,
    grad_output: Tensor,
    grad_input: Tensor,
    grad_offset: Tensor,
    weight: Tensor,
    columns: Tensor,
    **geometry: int,
) -> None:
    """Gradients of `deform_conv_forward`, written into `grad_input` and `grad_offset`.

    torchvision's kernel yields the weight's gradient in the same pass. It is left with `columns`, the scratch
    tensor mmcv hands to both backward calls, for `deform_conv_backward_parameters` to take: half the work.
    """
    of_input, of_weight, of_offset = _unmodulated_backward(x, offset, grad_output, weight, geometry)
    grad_input.copy_(of_input)
    grad_offset.copy_(of_offset)
    vars(columns)["weight_gradient"] = (grad_output, of_weight)


def deform_conv_backward_parameters(
    x: Tensor,
    offset: Tensor,
    grad_output: Tensor,
    grad_weight: Tensor,
    columns: Tensor,
    _ones: Tensor,
    *,
    scale: float,
    **geometry: int,
) -> None:
    """Gradient of `deform_conv_forward` for its weight; `scale` times it is added to `grad_weight`."""
    source, of_weight = vars(columns).pop("weight_gradient", (None, None))
    if source is not grad_output:
        # The weight alone is differentiated, or an earlier pass over the same graph left its own behind.
        weight = torch.zeros_like(grad_weight)
        _, of_weight, _ = _unmodulated_backward(x, offset, grad_output, weight, geometry)
    grad_weight.add_(of_weight.to(grad_weight.dtype), alpha=scale)


def _on_cpu(features: Tensor) -> bool:
    """Whether to sample and multiply; `grid_sample` takes no empty tensors."""
    return features.device.type == "cpu" and features.numel() > 0


def _geometry(named: dict[str, int]) -> Geometry:
    down, right, pad_down, pad_right, dilate_down, dilate_right, groups, deformable = _plain(named)
    return Geometry((down, right), (pad_down, pad_right), (dilate_down, dilate_right), groups, deformable)


def _unmodulated(features: Tensor, kernel: Tensor) -> tuple[Tensor, Tensor]:
    """The mask and bias torchvision wants even where they play no part."""
    return features.new_zeros(len(features), 1), features.new_zeros(len(kernel))


def _unmodulated_backward(
    x: Tensor, offset: Tensor, grad_output: Tensor, weight: Tensor, geometry: dict[str, int]
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients for input, weight and offset."""
    features, kernel, shift, grad = full_precision(x, weight, offset, grad_output)
    if _on_cpu(features):
        of_input, of_weight, of_offset = sampled_backward(features, kernel, shift, grad, _geometry(geometry))
        return of_input, of_weight, of_offset
    no_mask, no_bias = _unmodulated(features, kernel)
    gradients = torch.ops.torchvision._deform_conv2d_backward(  # noqa: SLF001  autograd's own way to it
        grad, features, kernel, shift, no_mask, no_bias, *_plain(geometry), False
    )
    return gradients[0], gradients[1], gradients[2]


def modulated_deform_conv_forward(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    _ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    output: Tensor,
    _columns: Tensor,
    *,
    with_bias: bool,
    **geometry: int,
) -> None:
    """Modulated deformable convolution (Zhu et al. 2019).

    Args:
        x: (n, c_in, h, w).
        weight: (c_out, c_in / group, kernel_h, kernel_w).
        bias: (c_out,), or anything when not `with_bias`.
        offset: (n, deformable_group * kernel_h * kernel_w * 2, h_out, w_out), y before x.
        mask: (n, deformable_group * kernel_h * kernel_w, h_out, w_out).
        output: (n, c_out, h_out, w_out), written.
        with_bias: add `bias`.
        geometry: kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, group,
            deformable_group.
    """
    features, kernel, shift, modulation, constant = full_precision(x, weight, offset, mask, bias)
    if not with_bias:
        constant = features.new_zeros(len(kernel))
    output.copy_(
        torch.ops.torchvision.deform_conv2d(
            features, kernel, shift, modulation, constant, *_modulated(geometry), True
        )
    )


def modulated_deform_conv_backward(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    _ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    _columns: Tensor,
    grad_input: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    grad_offset: Tensor,
    grad_mask: Tensor,
    grad_output: Tensor,
    *,
    with_bias: bool,
    **geometry: int,
) -> None:
    """Gradients of `modulated_deform_conv_forward`, written into the `grad_*` beside `grad_output`."""
    features, kernel, shift, modulation, constant, grad = full_precision(
        x, weight, offset, mask, bias, grad_output
    )
    if not with_bias:
        constant = features.new_zeros(len(kernel))
    gradients = torch.ops.torchvision._deform_conv2d_backward(  # noqa: SLF001  autograd's own way to it
        grad, features, kernel, shift, modulation, constant, *_modulated(geometry), True
    )
    for target, gradient in zip(
        (grad_input, grad_weight, grad_offset, grad_mask), gradients[:4], strict=True
    ):
        target.copy_(gradient)
    if with_bias:
        grad_bias.copy_(gradients[4])
