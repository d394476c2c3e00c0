"""Losses by the names recipes use; what a loss is weighted with stands in the recipe."""

from __future__ import annotations

from collections.abc import Mapping

import segmentation_models_pytorch as smp
from torch import Tensor
from torch.nn import functional as F

from kit.errors import KitError

SEMANTIC = ("bce", "dice")
"""Names of the semantic losses: binary cross entropy, and 1 - Dice over the batch, both on logits."""


def semantic(weights: Mapping[str, float], logit_N1HW: Tensor, target_N1HW: Tensor) -> dict[str, Tensor]:
    """Weighted losses of a semantic network.

    Args:
        weights: name in `SEMANTIC` -> weight.
        logit_N1HW: the network's output.
        target_N1HW: covered part of each pixel, in [0, 1].

    Returns:
        Name -> scalar, to be summed.

    Raises:
        KitError: no loss has that name.
    """
    terms = {}
    logit_N1HW = logit_N1HW.float()  # sums over many pixels overflow in float16
    for name, weight in weights.items():
        if name == "bce":
            value = F.binary_cross_entropy_with_logits(logit_N1HW, target_N1HW)
        elif name == "dice":
            value = smp.losses.DiceLoss("binary")(logit_N1HW, target_N1HW)
        else:
            raise KitError(
                f"no loss is called {name!r}", where="losses", fix=f"choose from {', '.join(SEMANTIC)}"
            )
        terms[name] = weight * value
    return terms


def weighted(weights: Mapping[str, float], terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A detector's own losses, weighted.

    Args:
        weights: end of a loss's name, e.g. "loss_mask" for that of all stages -> weight; others keep theirs.
        terms: the detector's loss name, e.g. "s0.loss_mask", -> scalar.

    Raises:
        KitError: a weight that belongs to no loss.
    """
    unknown = [key for key in weights if not any(name.endswith(key) for name in terms)]
    if unknown:
        raise KitError(
            f"the detector has no loss that ends in {unknown[0]!r}",
            where="losses",
            fix=f"it has {', '.join(terms)}",
        )
    return {
        name: value * next((weight for key, weight in weights.items() if name.endswith(key)), 1.0)
        for name, value in terms.items()
    }
