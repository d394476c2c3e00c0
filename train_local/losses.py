"""Losses by the names recipes use; what a loss is weighted with stands in the recipe."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import segmentation_models_pytorch as smp
import torch
from torch import Tensor
from torch.nn import functional as F

from kit.errors import KitError
from kit.models import Logits


def _bce(logits: Logits, target_N1HW: Tensor) -> Tensor:
    """Binary cross entropy of one logit a pixel."""
    return F.binary_cross_entropy_with_logits(_main(logits, 1, "bce"), target_N1HW)


def _dice(logits: Logits, target_N1HW: Tensor) -> Tensor:
    """1 - Dice over the batch, of one logit a pixel."""
    value: Tensor = smp.losses.DiceLoss("binary")(_main(logits, 1, "dice"), target_N1HW)
    return value


def _cross_entropy(logits: Logits, target_N1HW: Tensor) -> Tensor:
    """Cross entropy of a softmax over background and foreground."""
    target_N2HW = torch.cat([1 - target_N1HW, target_N1HW], dim=1)
    return F.cross_entropy(_main(logits, 2, "cross_entropy"), target_N2HW)


def _lovasz(logits: Logits, target_N1HW: Tensor) -> Tensor:
    """Lovasz-Softmax of each image, averaged (Berman et al., CVPR 2018): a surrogate of 1 - IoU.

    Of each image it is the mean over the classes that occur in it. A pixel belongs to the foreground when it
    is covered by half or more.
    """
    loss = smp.losses.LovaszLoss("multiclass", per_image=True)
    value: Tensor = loss(_main(logits, 2, "lovasz"), (target_N1HW[:, 0] >= 0.5).long())
    return value


def _auxiliary_bce(logits: Logits, target_N1HW: Tensor) -> Tensor:
    """Binary cross entropy of the auxiliary logits, summed; the target is reduced to their nearest pixels."""
    if not logits.auxiliary:
        raise KitError(
            "loss 'auxiliary_bce' needs auxiliary heads, and the network has none",
            where="losses",
            fix="leave it out, or choose a network with auxiliary heads such as segformer-b2-mixupsample",
        )
    terms = [
        F.binary_cross_entropy_with_logits(logit_N1HW.float(), target_N1HW[..., ::stride, ::stride])
        for logit_N1HW, stride in logits.auxiliary.values()
    ]
    return torch.stack(terms).sum()


def _main(logits: Logits, channels: int, name: str) -> Tensor:
    """The main logits, in float32: sums over many pixels overflow in float16."""
    given = logits.main.shape[1]
    if given != channels:
        others = ("bce", "dice") if given == 1 else ("cross_entropy", "lovasz")
        raise KitError(
            f"loss {name!r} is of {channels} logits a pixel, and the network gives {given}",
            where="losses",
            fix=f"use {' and '.join(others)}",
        )
    return logits.main.float()


_TERMS: Mapping[str, Callable[[Logits, Tensor], Tensor]] = {
    "bce": _bce,
    "dice": _dice,
    "cross_entropy": _cross_entropy,
    "lovasz": _lovasz,
    "auxiliary_bce": _auxiliary_bce,
}

SEMANTIC = tuple(_TERMS)
"""Names of the semantic losses."""


def semantic(weights: Mapping[str, float], logits: Logits, target_N1HW: Tensor) -> dict[str, Tensor]:
    """Weighted losses of a semantic network.

    Args:
        weights: name in `SEMANTIC` -> weight.
        logits: of the network in training.
        target_N1HW: covered part of each pixel, in [0, 1].

    Returns:
        Name -> scalar, to be summed.

    Raises:
        KitError: no loss has that name, or it does not fit what the network gives.
    """
    for name in weights:
        if name not in _TERMS:
            raise KitError(
                f"no loss is called {name!r}", where="losses", fix=f"choose from {', '.join(SEMANTIC)}"
            )
    return {name: weight * _TERMS[name](logits, target_N1HW) for name, weight in weights.items()}


_NETWORK = re.compile(r"\d+(_w[\d.]+)?$")
"""Which of a composite backbone's networks a loss is of, and the weight it has for that."""


def weighted(weights: Mapping[str, float], terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A detector's own losses, weighted.

    Args:
        weights: end of a loss's name, e.g. "loss_mask" for that of all stages -> weight; others keep theirs.
        terms: the detector's loss name, e.g. "s0.loss_mask", -> scalar. A composite backbone's ends in what
            tells assistant and lead apart: the weight for "loss_mask" is also that of "s0.loss_mask0_w0.5".

    Raises:
        KitError: a weight that belongs to no loss.
    """
    plain = {name: _NETWORK.sub("", name) for name in terms}
    unknown = [key for key in weights if not any(name.endswith(key) for name in plain.values())]
    if unknown:
        raise KitError(
            f"the detector has no loss that ends in {unknown[0]!r}",
            where="losses",
            fix=f"it has {', '.join(dict.fromkeys(plain.values()))}",
        )
    return {
        name: value * next((weight for key, weight in weights.items() if plain[name].endswith(key)), 1.0)
        for name, value in terms.items()
    }
