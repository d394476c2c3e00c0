"""Draws early stopping: images that gain nothing by dear passes, doubts that tell most of them, and limits.

A part of the images is calm: all passes agree on them, and further ones change nothing. Their doubts are
small, and overlap with those of the others. The limits come from held-out images with another part of calm
ones, as those of `train_local.ensemble.early_stopping` do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.budget.draws import Random, chance
from benchmarks.budget.truth import Floats
from kit.ensemble import EarlyStop, Ensemble

_HELD_OUT = 40
"""Held-out images, from whose doubts a limit is made."""
_MOST_CALM = 0.5
"""The gain of the calm images goes to the others, which gain twice as much at most."""
_CALM, _OTHER = 0.03, 0.2
"""Median doubts."""
_PER_RUNG = 0.1
"""How much the doubts of one image differ from rung to rung, as a logarithm."""


@dataclass(frozen=True)
class Stopping:
    """Which images stop where.

    Attributes:
        gains: (I,), factor on what an image gains by further passes; their mean is 1.
        doubts: (R, I), of the row of each rung and image.
        stops: rung -> its limit, as the ensemble has it.
    """

    gains: Floats
    doubts: Floats
    stops: Mapping[int, EarlyStop]

    def limited(self, ensemble: Ensemble) -> Ensemble:
        """Return an ensemble with these limits."""
        rungs = [replace(rung, stop=self.stops.get(number)) for number, rung in enumerate(ensemble.rungs)]
        return replace(ensemble, rungs=rungs)


def never(rungs: int, images: int) -> Stopping:
    """Return what a world without early stopping has."""
    return Stopping(np.ones(images), np.ones((rungs, images)), {})


def draw(random: Random, ensemble: Ensemble, images: int) -> Stopping:
    """Draw which images stop where.

    Args:
        random: source of the draws.
        ensemble: its main path gets limits, but not its last rung.
        images: of the hidden test set.
    """
    rungs, path = len(ensemble.rungs), ensemble.main_path
    calm, spread = random.uniform(0.1, _MOST_CALM), random.uniform(0.2, 0.8)
    here = float(np.clip(calm + 0.15 * random.standard_normal(), 0.0, _MOST_CALM))
    calm_I = random.permutation(images) < round(here * images)
    doubts = _doubts(random, calm_I, rungs, spread)
    held_out = _doubts(random, np.arange(_HELD_OUT) < calm * _HELD_OUT, rungs, spread)
    stops: dict[int, EarlyStop] = {}
    going = np.ones(_HELD_OUT, bool)
    for number in path[:-1]:
        # Most limits are at the first rung; a later one is for images that went on there.
        count = round(random.uniform(0.2, 0.9) * calm * going.sum())
        if not count or not chance(random, 0.3 if stops or number else 0.8):
            continue
        ranked = np.sort(held_out[number, going])
        below = float(ranked[count - 1] + ranked[min(count, len(ranked) - 1)]) / 2
        stops[number] = EarlyStop(below=below, share=count / len(ranked), cv=ensemble.rungs[-1].cv or 0.0)
        going &= held_out[number] >= below
    gains = np.where(calm_I, 0.0, images / max(1, images - int(calm_I.sum())))
    return Stopping(gains, doubts, stops)


def _doubts(random: Random, calm_I: NDArray[np.bool_], rungs: int, spread: float) -> Floats:
    """Return the doubts of the rows of all rungs."""
    images = len(calm_I)
    level_I = np.where(calm_I, _CALM, _OTHER) * np.exp(spread * random.standard_normal(images))
    doubts = level_I * np.exp(_PER_RUNG * random.standard_normal((rungs, images)))
    return np.asarray(np.clip(doubts, 1e-6, 1.0))
