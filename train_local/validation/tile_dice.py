"""Dice of the tiles around held-out objects: what the kidney's 2nd place chose its weights by.

The kit chooses by the competition's metric on whole held-out slides. This number stands beside it in the log.
It is higher than that of whole slides, since tissue without any object is not in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from kit.models import Network
from train_local.data.prepared import Prepared
from train_local.data.slide_crops import SlideCrops
from train_local.recipes.base import Recipe

_BATCH = 16


class TileDice:
    """Scores a network on the centre crops of all object tiles of some slides.

    Args:
        prepared: the data.
        recipe: says tile, scale and crop.
        ids: the held-out slides.
    """

    def __init__(self, prepared: Prepared, recipe: Recipe, ids: Sequence[str]) -> None:
        data = replace(recipe.data, crop_centre=1.0)
        self._crops = SlideCrops(prepared, ids, data, augment=_unchanged, seed=0, per_step=_BATCH)

    def __call__(self, module: Network, device: torch.device) -> float | None:
        """Return the mean of the batches' Dice at 0.5; None if the slides have no object.

        Each batch of 16 is scored as one picture, as published. A last one of fewer tiles counts less.

        Args:
            module: in eval mode on `device`, one logit per pixel.
            device: where it is.
        """
        count = self._crops.objects
        total = 0.0
        for first in range(0, count, _BATCH):
            tiles = [self._crops.object_tile(number) for number in range(first, min(first + _BATCH, count))]
            x_NCHW = torch.stack([x_CHW for x_CHW, _ in tiles]).to(device)
            true_N1HW = torch.stack([mask_1HW for _, mask_1HW in tiles]).to(device) > 0.5
            with torch.inference_mode():
                found_N1HW = module(x_NCHW, logits=True).main > 0  # a logit of 0 is a probability of 0.5
            both = int((found_N1HW & true_N1HW).sum())
            either = int(found_N1HW.sum() + true_N1HW.sum())
            total += (2 * both / either if either else 1.0) * len(tiles)
        return total / count if count else None


def tile_dice(prepared: Prepared, recipe: Recipe, ids: Sequence[str]) -> TileDice | None:
    """Return the score for a recipe that trains one logit on the tiles of objects; None for others."""
    data = recipe.data
    wanted = "bce" in recipe.losses and data.sampling == "tiles" and data.tile is not None
    return TileDice(prepared, recipe, ids) if wanted and ids else None


def _unchanged(
    image_HWC: NDArray[np.uint8],
    mask_HW: NDArray[np.uint8],
    random: np.random.Generator,
    *,
    organ: str | None,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    del random, organ
    return image_HWC, mask_HW
