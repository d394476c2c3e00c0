"""Whether compiled operators give the portable ones' numbers on this machine.

A compiled module can import and still be wrong: built for another torch, another processor or another CUDA.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_RELATIVE, _ABSOLUTE = 1e-3, 1e-4
"""float32 sums of a few hundred terms in another order."""

_CHANNELS, _SIDE = 4, 7
_SPAN = (_CHANNELS, _CHANNELS, 3, 3)


@dataclass(frozen=True)
class _Case:
    """One call: tensors by position, the rest by name, and the positions that receive results."""

    operator: str
    tensors: list[Tensor]
    options: dict[str, Any]
    written: tuple[int, ...] = ()


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=2)


def proven(
    compiled: Any, portable: Any, device: torch.device, *, tell: Callable[[str], None] = _warn
) -> dict[str, Callable[..., Any]]:
    """The compiled operators that work on a device and agree with the portable ones.

    One that is not compiled for the device is left out without a word; one that gives other numbers is told.

    Args:
        compiled: module with mmcv's operators.
        portable: module with ours.
        device: where to try.
        tell: takes what is told.
    """
    good: dict[str, Callable[..., Any]] = {}
    for case in _cases(device):
        operator = getattr(compiled, case.operator, None)
        if operator is None:
            continue
        try:
            found = _results(operator, case)
        # torch raises a RuntimeError, mmcv's registry too for an absent kernel; pybind11 a TypeError for
        # arguments that it does not take.
        except (RuntimeError, TypeError):
            continue
        wanted = _results(getattr(portable, case.operator), case)
        if all(map(_close, found, wanted)):
            good[case.operator] = operator
        else:
            tell(
                f"the compiled mmcv operator {case.operator} gives wrong numbers on {device.type} and is not "
                "used: build the native wheel again for this machine"
            )
    return good


def _results(operator: Callable[..., Any], case: _Case) -> list[Tensor]:
    tensors = [tensor.clone() for tensor in case.tensors]
    returned = operator(*tensors, **case.options)
    return [tensors[place] for place in case.written] + ([returned] if isinstance(returned, Tensor) else [])


def _close(found: Tensor, wanted: Tensor) -> bool:
    return found.shape == wanted.shape and torch.allclose(found, wanted, _RELATIVE, _ABSOLUTE)


def _cases(device: torch.device) -> Iterator[_Case]:
    # A generator of its own: a check must not change the random numbers of whoever calls an operator first.
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator).to(device)

    for cases in (_boxes, _deform_conv, _modulated_deform_conv, _attention, _focal_loss):
        yield from cases(random)


def _boxes(random: Callable[..., Tensor]) -> Iterator[_Case]:
    corner, scores = random(40, 2) * 60, random(40)
    boxes = torch.cat([corner, corner + 5 + random(40, 2) * 40], dim=1)
    yield _Case("nms", [boxes, scores], {"iou_threshold": 0.4, "offset": 0})
    # The Gaussian method with no least score keeps all: every row of the table is written.
    soft = {"iou_threshold": 0.3, "sigma": 0.5, "min_score": 0.0, "method": 2, "offset": 0}
    yield _Case("softnms", [boxes.cpu(), scores.cpu(), torch.zeros(40, 5)], soft, (2,))
    maps, unused = random(2, _CHANNELS, 16, 16), random(0)
    rois = torch.cat([(torch.arange(40, device=boxes.device) % 2).float()[:, None], boxes], dim=1)
    pooled = random(40, _CHANNELS, _SIDE, _SIDE)
    align = {
        "aligned_height": _SIDE,
        "aligned_width": _SIDE,
        "spatial_scale": 0.25,
        "sampling_ratio": 0,
        "pool_mode": 1,
        "aligned": True,
    }
    yield _Case("roi_align_forward", [maps, rois, torch.zeros_like(pooled), unused, unused], align, (2,))
    yield _Case("roi_align_backward", [pooled, rois, unused, unused, torch.zeros_like(maps)], align, (4,))


def _deform_conv(random: Callable[..., Tensor]) -> Iterator[_Case]:
    maps, weight, unused = random(2, _CHANNELS, _SIDE, _SIDE), random(*_SPAN), random(0)
    offset, grad = random(2, 18, _SIDE, _SIDE) * 4 - 2, random(2, _CHANNELS, _SIDE, _SIDE)
    zero = torch.zeros_like
    # Keywords as the compiled function spells them.
    sizes = {"kW": 3, "kH": 3, "dW": 1, "dH": 1, "padW": 1, "padH": 1, "dilationW": 1, "dilationH": 1}
    options = {**sizes, "group": 1, "deformable_group": 1, "im2col_step": 2}
    yield _Case("deform_conv_forward", [maps, weight, offset, zero(grad), unused, unused], options, (3,))
    inputs = [maps, offset, grad, zero(maps), zero(offset), weight, unused]
    yield _Case("deform_conv_backward_input", inputs, options, (3, 4))
    parameters = [maps, offset, grad, zero(weight), unused, unused]
    yield _Case("deform_conv_backward_parameters", parameters, {**options, "scale": 1}, (3,))


def _modulated_deform_conv(random: Callable[..., Tensor]) -> Iterator[_Case]:
    maps, weight, bias, unused = random(2, _CHANNELS, _SIDE, _SIDE), random(*_SPAN), random(4), random(0)
    offset, mask = random(2, 18, _SIDE, _SIDE) * 4 - 2, random(2, 9, _SIDE, _SIDE)
    grad, zero = random(2, _CHANNELS, _SIDE, _SIDE), torch.zeros_like
    pairs = {"kernel": 3, "stride": 1, "pad": 1, "dilation": 1}
    options = {f"{name}_{axis}": value for name, value in pairs.items() for axis in "hw"}
    options |= {"group": 1, "deformable_group": 1, "with_bias": True}
    forward = [maps, weight, bias, unused, offset, mask, zero(grad), unused]
    yield _Case("modulated_deform_conv_forward", forward, options, (6,))
    gradients = [zero(tensor) for tensor in (maps, weight, bias, offset, mask)]
    backward = [maps, weight, bias, unused, offset, mask, unused, *gradients, grad]
    yield _Case("modulated_deform_conv_backward", backward, options, (7, 8, 9, 10, 11))


def _attention(random: Callable[..., Tensor]) -> Iterator[_Case]:
    heads, width, queries, points = 2, 8, 5, 4
    value = random(2, 20 + 6, heads, width)
    shapes = torch.tensor([[4, 5], [2, 3]], device=value.device)
    starts = torch.tensor([0, 20], device=value.device)
    places, weights = random(2, queries, heads, 2, points, 2), random(2, queries, heads, 2, points)
    grad, zero = random(2, queries, heads * width), torch.zeros_like
    forward, step = [value, shapes, starts, places, weights], {"im2col_step": 2}
    yield _Case("ms_deform_attn_forward", forward, step)
    backward = [*forward, grad, zero(value), zero(places), zero(weights)]
    yield _Case("ms_deform_attn_backward", backward, step, (6, 7, 8))


def _focal_loss(random: Callable[..., Tensor]) -> Iterator[_Case]:
    logits, weight = random(6, 3) * 4 - 2, random(3)
    target = torch.arange(6, device=logits.device) % 4  # class 3 of 3 is the background
    for name in ("sigmoid_focal_loss_forward", "sigmoid_focal_loss_backward"):
        tensors = [logits, target, weight, torch.zeros_like(logits)]
        yield _Case(name, tensors, {"gamma": 2.0, "alpha": 0.25}, (3,))
