"""Focal loss of independent sigmoids."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ._portable_common import full_precision


def sigmoid_focal_loss_forward(
    x: Tensor, target: Tensor, weight: Tensor, output: Tensor, *, gamma: float, alpha: float
) -> None:
    """Focal loss (Lin et al. 2017) of independent sigmoids.

    Args:
        x: (n, classes) logits.
        target: int64 (n,) class of each row; any number outside 0..classes-1 means background.
        weight: (classes,) factor of a row by its class, background rows 1; empty for none.
        output: (n, classes), written: -alpha (1-p)^gamma log p at the target's class and
            -(1-alpha) p^gamma log(1-p) elsewhere; logarithms are taken of the logit, so nothing overflows.
        gamma: focusing exponent.
        alpha: weight of the positive class.
    """
    (logits,) = full_precision(x)
    p, log_p, log_q, positive = _focal_terms(logits, target)
    loss = torch.where(positive, -alpha * (1 - p) ** gamma * log_p, -(1 - alpha) * p**gamma * log_q)
    output.copy_(loss * _row_weight(weight, target, logits))


def sigmoid_focal_loss_backward(
    x: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, *, gamma: float, alpha: float
) -> None:
    """Derivative of each element of `sigmoid_focal_loss_forward` by its logit, written into `grad_input`."""
    (logits,) = full_precision(x)
    p, log_p, log_q, positive = _focal_terms(logits, target)
    grad = torch.where(
        positive,
        -alpha * (1 - p) ** gamma * (1 - p - gamma * p * log_p),
        -(1 - alpha) * p**gamma * (gamma * (1 - p) * log_q - p),
    )
    grad_input.copy_(grad * _row_weight(weight, target, logits))


def _focal_terms(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """p, log p, log(1 - p), and whether an element is its row's target."""
    classes = torch.arange(logits.shape[1], device=logits.device)
    return logits.sigmoid(), F.logsigmoid(logits), F.logsigmoid(-logits), target.unsqueeze(1) == classes


def _row_weight(weight: Tensor, target: Tensor, logits: Tensor) -> Tensor:
    """(n, 1) factors, or a scalar 1."""
    if weight.numel() == 0:
        return logits.new_ones(())
    known = (target >= 0) & (target < len(weight))
    factors = weight.to(logits.dtype)[target.clamp(0, len(weight) - 1)]
    return torch.where(known, factors, torch.ones_like(factors)).unsqueeze(1)
