"""How much detections doubt themselves, a number in [0, 1): it grows with the number of unsure objects.

Where members disagree, the score of a fused detection is low. Detections of all images are judged together,
so an image matters by the number of its objects, not by their share as in a mean over images.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def doubt_of_scores(scores: NDArray[np.float64]) -> float:
    """Return the doubt of an image's detections: u / (1 + u) with u, the number of objects that are unsure.

    A score s counts as the probability that its object is there. Its expected Brier loss s * (1 - s) is
    largest for 0.5; u is the sum over all detections. Of the scores 0.9, 0.5 and 0.1 it is 0.43:

    >>> round(doubt_of_scores(np.array([0.9, 0.5, 0.1])), 2)
    0.3

    Args:
        scores: (n,) in [0, 1].
    """
    unsure = float(np.sum(scores * (1 - scores)))
    return unsure / (1 + unsure)
