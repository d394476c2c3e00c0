"""The two kinds of prediction: one mask for a whole image, or instances with scores.

This module needs only numpy.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class SemanticMask:
    """One foreground mask as run lengths over column-major (top to bottom, then left to right) pixels.

    Attributes:
        height: image rows.
        width: image columns.
        runs: int64 (N, 2): zero-based start and length; sorted, positive, non-overlapping, not touching.
    """

    # . . x     pixels are numbered   0 2 4     runs are [[1, 1], [4, 2]]: 1 pixel from number 1 on,
    # x . x                           1 3 5     2 pixels from number 4 on
    height: int
    width: int
    runs: NDArray[np.int64]


@dataclass(frozen=True)
class Instances:
    """The instances of one image, best score first.

    Attributes:
        height: image rows.
        width: image columns.
        scores: float64 (N,), in [0, 1]; ones for truth.
        masks: N COCO compressed run-length strings (`counts` bytes over column-major pixels).
        ignored: masks in the same form, of truth only: detections inside are neither right nor wrong.
    """

    height: int
    width: int
    scores: NDArray[np.float64]
    masks: list[bytes]
    ignored: list[bytes] = field(default_factory=list)


Prediction = SemanticMask | Instances
