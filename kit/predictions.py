"""What is predicted for one image: masks of the whole image, instances with scores, or values.

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
class ClassMasks:
    """One mask for each class of a competition that has several.

    Attributes:
        height: image rows.
        width: image columns.
        masks: class -> its runs, as in `SemanticMask`; all classes of the definition, in its order. Masks of
            different classes may overlap.
    """

    height: int
    width: int
    masks: dict[str, NDArray[np.int64]]


@dataclass(frozen=True)
class Instances:
    """The instances of one image, best score first.

    Attributes:
        height: image rows.
        width: image columns.
        scores: float64 (N,), in [0, 1]; ones for truth.
        masks: N COCO compressed run-length strings (`counts` bytes over column-major pixels).
        ignored: masks in the same form, of truth only: detections inside are neither right nor wrong.
        labels: int64 (N,), indices into the definition's classes; zeros if none are given.
    """

    height: int
    width: int
    scores: NDArray[np.float64]
    masks: list[bytes]
    ignored: list[bytes] = field(default_factory=list)
    labels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def __post_init__(self) -> None:
        if not len(self.labels):
            object.__setattr__(self, "labels", np.zeros(len(self.masks), np.int64))


@dataclass(frozen=True)
class Values:
    """Numbers or words about one image, for competitions without masks.

    Attributes:
        values: target -> its number or word; all `targets` of the definition, in its order.
    """

    values: dict[str, float | str]


Masked = SemanticMask | ClassMasks | Instances
"""A prediction with the size of its image."""
Prediction = Masked | Values
