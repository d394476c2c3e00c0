"""How much a mask doubts itself: the part of its Dice that it expects to lose, a number in [0, 1].

Where members disagree, their mean probability is far from 0 and 1: so the doubt of a fused mask grows with
the disagreement of its members, and of one member alone it is what this member is unsure of. Nothing but the
mean is needed, and it may be a running mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass
class MaskDoubt:
    """Doubt of a mask whose probabilities come some rows at a time: 1 - the Dice that is expected.

    The expected Dice is the soft Dice confidence of Borges, Pacheco and Silva (arXiv 2402.10665): with the
    probability p of each pixel, and the mask M that they were cut to,

        2 * (sum of p inside M) / ((sum of all p) + (number of pixels in M))

    Four pixels of the probabilities 0.9, 0.8, 0.4 and 0.1, of which the first two are the mask: a Dice of
    2 * 1.7 / (2.2 + 2) = 0.81 is expected.

    >>> doubt = MaskDoubt()
    >>> doubt.add(np.array([[0.9, 0.8]]), np.array([[True, True]]))
    >>> doubt.add(np.array([[0.4, 0.1]]), np.array([[False, False]]))
    >>> round(doubt.value, 2)
    0.19
    """

    inside: float = 0.0
    every: float = 0.0
    pixels: int = 0

    def add(self, prob_HW: NDArray[np.generic], mask_HW: NDArray[np.bool_], unit: float = 1.0) -> None:
        """Add some rows.

        Args:
            prob_HW: probabilities, in any number format.
            mask_HW: which of the pixels belong to the mask.
            unit: the probability that the number 1 stands for: 1/255 for levels of 8 bits.
        """
        # Integers are added up exactly, floats in 64 bits: a slide has a thousand million pixels.
        wide = np.float64 if prob_HW.dtype.kind == "f" else np.uint64
        self.every += float(prob_HW.sum(dtype=wide)) * unit
        self.inside += float(prob_HW[mask_HW].sum(dtype=wide)) * unit
        self.pixels += int(np.count_nonzero(mask_HW))

    @property
    def value(self) -> float:
        """The doubt; 0 if nothing is probable anywhere."""
        return expected_loss(self.inside, self.every, self.pixels)


def expected_loss(inside: float, every: float, count: float) -> float:
    """Return 1 - the expected Dice, cut to [0, 1]; 0 if nothing is there and nothing is probable.

    Args:
        inside: sum of the probabilities of what was chosen.
        every: sum of all probabilities.
        count: number of what was chosen.
    """
    total = every + count
    return min(max(1 - 2 * inside / total, 0.0), 1.0) if total > 0 else 0.0
