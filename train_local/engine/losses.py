"""Losses by the names that recipes use. The recipe gives each its weight."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from kit.errors import KitError
from kit.models import Logits

_IGNORED = 255
"""Class of pixels that the Lovasz loss leaves out."""


def _bce(logits: Logits, target_N1HW: Tensor) -> Tensor:
    """Binary cross entropy of one logit per pixel."""
    return F.binary_cross_entropy_with_logits(_main(logits, 1, "bce"), target_N1HW)


def _dice(logits: Logits, target_N1HW: Tensor) -> Tensor:
    """1 - Dice over the batch, of one logit per pixel; 0 for a batch without foreground.

    Dice is 2 sum(p t) / sum(p + t) for the probabilities p and the targets t. This is the formula of
    segmentation_models_pytorch 0.1.3, which trained the published networks. Since 0.5 that library takes
    (p + t - |p - t|) / 2 for p t. For hard targets this is the same, for soft ones it is not.
    """
    # p = t = 0.5 at every pixel: 2 * 0.25 / 1 = 0.5, so the loss is 0.5 and still pulls p to 1. The newer
    # formula gives 2 * 0.5 / 1 = 1, a loss of 0.
    probability_N1HW = F.logsigmoid(_main(logits, 1, "dice")).exp()
    overlap = (probability_N1HW * target_N1HW).sum()
    total = (probability_N1HW + target_N1HW).sum().clamp(min=1e-7)
    return (1 - 2 * overlap / total) * (target_N1HW.sum() > 0)


def _cross_entropy(logits: Logits, target_N1HW: Tensor) -> Tensor:
    """Cross entropy of a softmax over background and foreground.

    Pixels beyond the image (targets below 0) have no loss, but count in the mean: so did mmseg 0.28 by
    default, which trained the published networks.
    """
    counted_N1HW = (target_N1HW >= 0).float()
    target_N2HW = torch.cat([1 - target_N1HW, target_N1HW], dim=1) * counted_N1HW
    return F.cross_entropy(_main(logits, 2, "cross_entropy"), target_N2HW)


def _lovasz(logits: Logits, target_N1HW: Tensor) -> Tensor:
    """Lovasz-Softmax (Berman et al., CVPR 2018), a smooth stand-in for 1 - IoU.

    It is computed for each image alone, as the mean over the classes that occur in the image, and then
    averaged over the images: a small object counts as much as a large one in another image. A pixel that is
    covered by half or more is foreground. Pixels beyond the image (targets below 0) are left out.
    """
    from segmentation_models_pytorch.losses import LovaszLoss

    loss = LovaszLoss("multiclass", per_image=True, ignore_index=_IGNORED)
    target_NHW = target_N1HW[:, 0]
    classes_NHW = (target_NHW >= 0.5).long().masked_fill(target_NHW < 0, _IGNORED)
    value: Tensor = loss(_main(logits, 2, "lovasz"), classes_NHW)
    return value


def _auxiliary_bce(logits: Logits, target_N1HW: Tensor) -> Tensor:
    """Binary cross entropy of the auxiliary logits, summed.

    Auxiliary logits are smaller than the image by their stride. At stride 16 they are compared with every
    16th pixel of the target, which is what reducing it to the nearest pixel gives.
    """
    if not logits.auxiliary:
        raise KitError(
            "loss 'auxiliary_bce' needs auxiliary heads, and the network has none",
            where="losses",
            fix="leave it out, or choose a network with auxiliary heads such as segformer-b2-mixupsample",
        )
    # Float32 here too; `_main` says why.
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
            f"loss {name!r} takes {channels} logits per pixel, and the network gives {given}",
            where="losses",
            fix=f"use {' and '.join(others)}",
        )
    return logits.main.float()


TERMS: Mapping[str, Callable[[Logits, Tensor], Tensor]] = {
    "bce": _bce,
    "dice": _dice,
    "cross_entropy": _cross_entropy,
    "lovasz": _lovasz,
    "auxiliary_bce": _auxiliary_bce,
}
"""Each of `train_local.recipes.loss_names.SEMANTIC`."""


def semantic(weights: Mapping[str, float], logits: Logits, target_N1HW: Tensor) -> dict[str, Tensor]:
    """Return the weighted losses of a semantic network.

    Args:
        weights: name in `train_local.recipes.loss_names.SEMANTIC` -> weight.
        logits: of the network in training.
        target_N1HW: covered part of each pixel, in [0, 1].

    Returns:
        Name -> scalar, to be summed.

    Raises:
        KitError: a loss does not fit what the network gives.
    """
    return {name: weight * TERMS[name](logits, target_N1HW) for name, weight in weights.items()}


_NETWORK = re.compile(r"\d+(_w[\d.]+)?$")
"""End of the name of a composite backbone's loss: the number and the weight of one of its networks."""


def weighted(weights: Mapping[str, float], terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weight a detector's own losses.

    With the weight 2 for "loss_mask", "s0.loss_mask" and "s2.loss_mask" count double, and so do
    "s0.loss_mask0_w0.5" (assistant) and "s0.loss_mask1" (lead) of a composite backbone: the digit and the
    "_w0.5" are cut off before the ends of the names are compared. "s0.loss_cls" keeps the detector's weight.

    Args:
        weights: end of a loss's name -> weight.
        terms: the detector's loss name -> scalar.

    Raises:
        KitError: a weight belongs to no loss of this detector.
    """
    # "s0.loss_mask0_w0.5" -> "s0.loss_mask", "loss_rpn_cls" stays. The terms keep their full names in the
    # result, which become those of the log.
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
