"""The input and output of instance networks, per image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from torch import Tensor


class InstanceTarget(TypedDict):
    """The annotated instances of one training image.

    boxes: float32 (n, 4), x0 y0 x1 y1 in pixels; x1 and y1 are exclusive.
    masks: bool (n, H, W).
    """

    boxes: Tensor
    masks: Tensor


@dataclass(frozen=True)
class Detections:
    """Instances of one image, best score first, in pixels of the network's input.

    Attributes:
        boxes: float32 (n, 4), x0 y0 x1 y1.
        scores: float32 (n,), in [0, 1].
        masks: bool (n, H, W).
        labels: int64 (n,), indices of classes from 0; None where there is one class.
    """

    boxes: Tensor
    scores: Tensor
    masks: Tensor
    labels: Tensor | None = None

    def __len__(self) -> int:
        return int(self.scores.shape[0])
