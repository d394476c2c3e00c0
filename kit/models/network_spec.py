"""What a network says about itself, so that nobody has to guess thresholds, colours or normalisation."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Output = Literal["logit", "sigmoid", "softmax", "detections"]

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)
"""Red, green, blue of the images most encoders were pretrained on, on the 0..255 scale."""


@dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """Declaration of one registered network.

    Attributes:
        name: in the registry.
        system: the published solution it comes from: competition and rank ("kidney-2nd"), or network where no
            rank is known ("body-b2").
        kind: of what it predicts.
        output: what the numbers of the output mean; "detections" have scores in [0, 1].
        colour: channel order of the input, 0..255.
        mean: subtracted from each channel, on the 0..255 scale.
        std: each channel is divided by it, on the 0..255 scale.
        size_divisor: inputs are padded to a multiple of it, inside the network.
        requires: distributions it needs at run time besides torch and torchvision.
        unused_parameters: prefixes of state-dict names that never get a gradient by construction.
    """

    name: str
    system: str
    kind: Literal["semantic", "instance"]
    output: Output
    colour: Literal["RGB"] = "RGB"
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    size_divisor: int
    requires: tuple[str, ...]
    unused_parameters: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON value."""
        return {key: list(item) if isinstance(item, tuple) else item for key, item in asdict(self).items()}
