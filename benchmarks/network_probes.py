"""Inputs, targets and a loss for a network of any family; benchmarks and tests of the models use them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from kit.models import InstanceTarget

AnyModule = TypeVar("AnyModule", bound=nn.Module)


def images(count: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Return images of random colours, uint8 (count, 3, height, width).

    Args:
        count: number of images.
        height: rows of each image.
        width: columns of each image.
        seed: the same seed gives the same images.
    """
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=generator)


def squares(height: int, width: int, corners: Sequence[tuple[int, int]], side: int = 30) -> InstanceTarget:
    """Return the target of one image whose instances are squares.

    The border of the image cuts a square that reaches beyond it.

    Args:
        height: rows of the image.
        width: columns of the image.
        corners: upper left corner (y, x) of each square, in pixels.
        side: of each square, in pixels.

    Returns:
        Boxes and masks, in the order of the corners.
    """
    # Example: an image of 50 x 60 (rows x columns), corner (40, 10), side 30. Of the square, the rows 40 to
    # 49 lie inside the image, and all 30 columns: the box is (10, 40, 40, 50), the mask has 10 * 30 = 300
    # pixels.
    boxes, masks = [], []
    for y, x in corners:
        mask_HW = torch.zeros(height, width, dtype=torch.bool)
        mask_HW[y : y + side, x : x + side] = True
        boxes.append([x, y, min(x + side, width), min(y + side, height)])
        masks.append(mask_HW)
    return InstanceTarget(boxes=torch.tensor(boxes, dtype=torch.float32), masks=torch.stack(masks))


def loss(module: Any, x_NCHW: Tensor) -> Tensor:
    """Return a scalar to which every trained part of a network contributes.

    Args:
        module: a network of `kit.local.training.prepare` in training mode.
        x_NCHW: one or two images, uint8 (N, 3, H, W).
    """
    if module.spec.kind == "semantic":
        logits = module(x_NCHW, logits=True)
        outputs = [logits.main, *(auxiliary.logit for auxiliary in logits.auxiliary.values())]
        return torch.stack([torch.nn.functional.softplus(output).mean() for output in outputs]).sum()
    # The two images have two instances and one: code that works only with equal numbers in a batch fails
    # here.
    height, width = x_NCHW.shape[-2:]
    targets = [squares(height, width, [(5, 8), (40, 50)]), squares(height, width, [(20, 30)])]
    return torch.stack(list(module.losses(x_NCHW, targets[: len(x_NCHW)]).values())).sum()


def channels_last(module: AnyModule) -> AnyModule:
    """Lay out the weights of torch's own convolutions channels-last (NHWC), in place, and return the module.

    Subclasses keep their layout: mmcv's weight-standardised convolutions take views of contiguous weights.
    """
    for layer in module.modules():
        if type(layer) in {nn.Conv2d, nn.ConvTranspose2d}:
            # The stubs of torch declare `memory_format` only beside a tensor or a dtype.
            layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return module
