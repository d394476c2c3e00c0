"""Names of the losses that a recipe may weight; `train_local.engine.losses` computes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from kit.errors import KitError

SEMANTIC = ("bce", "dice", "cross_entropy", "lovasz", "auxiliary_bce")
"""Names of the semantic losses."""

INSTANCE = ("loss_rpn_cls", "loss_rpn_bbox", "loss_cls", "loss_bbox", "loss_mask")
"""Ends of the names of a cascade's losses in mmdet: "loss_cls" is that of s0., s1. and s2.loss_cls."""


def check(weights: Mapping[str, float], kind: Literal["semantic", "instance"]) -> None:
    """Check the names of a recipe's losses.

    Args:
        weights: of the recipe.
        kind: of its network.

    Raises:
        KitError: no loss has such a name, or a semantic recipe has no loss.
    """
    known = SEMANTIC if kind == "semantic" else INSTANCE
    for name in weights:
        if name not in known:
            raise KitError(
                f"no {kind} loss is called {name!r}", where="losses", fix=f"choose from {', '.join(known)}"
            )
    if kind == "semantic" and not weights:
        raise KitError(
            "a semantic recipe needs a loss", where="losses", fix=f"choose from {', '.join(known)}"
        )
