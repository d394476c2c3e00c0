"""A network's declaration of its input and output."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Output = Literal["logit", "sigmoid", "softmax", "detections", "values"]

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)
"""Mean and deviation of red, green and blue in ImageNet, 0..255; most encoders were pretrained with them."""


@dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """Declaration of one registered network.

    Attributes:
        name: in the registry.
        system: the published solution it comes from: competition and rank ("kidney-2nd"), or the network if
            no rank is known ("body-b2").
        kind: whether it predicts a map, instances, or values of the whole image.
        output: meaning of the output's numbers; "detections" have scores in [0, 1].
        colour: channel order of the input, 0..255.
        mean: subtracted from each channel, 0..255.
        std: divides each channel, 0..255.
        size_divisor: the network pads its input to a multiple of it.
        requires: distributions that it needs besides torch and torchvision.
        unused_parameters: prefixes of the parameters that never get a gradient.
        classes: number of classes that it tells apart.
    """

    name: str
    system: str
    kind: Literal["semantic", "instance", "values"]
    output: Output
    colour: Literal["RGB", "BGR"] = "RGB"
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    size_divisor: int
    requires: tuple[str, ...]
    unused_parameters: tuple[str, ...] = ()
    classes: int = 1

    def as_dict(self) -> dict[str, Any]:
        """Return a plain JSON value."""
        return {key: list(item) if isinstance(item, tuple) else item for key, item in asdict(self).items()}
