"""What all networks share: one place where colours are normalised and sizes padded."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kit.errors import KitError
from kit.models.detections import Detections, InstanceTarget
from kit.models.spec import NetworkSpec


class Network(nn.Module):
    """A library's network behind one door.

    Attributes:
        spec: what it declares.
        mean: (3, 1, 1), what `normalise` subtracts.
        std: (3, 1, 1), what it divides by.
        network: the library's module; weight files carry its state-dict names, without a prefix.
        size_divisor: of this build; smaller than the declared one when the encoder is shallower.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, spec: NetworkSpec, network: nn.Module, *, size_divisor: int | None = None) -> None:
        super().__init__()
        self.spec = spec
        self.network = network
        self.size_divisor = size_divisor or spec.size_divisor
        self.register_buffer("mean", torch.tensor(spec.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(spec.std).view(3, 1, 1), persistent=False)

    def normalise(self, x_NCHW: Tensor) -> Tensor:
        """Subtract the declared mean, divide by the declared deviation, in float32. The only place that does.

        Args:
            x_NCHW: RGB, uint8 or floating point 0..255.

        Raises:
            KitError: not four axes of which the second has three channels.
        """
        if x_NCHW.ndim != 4 or x_NCHW.shape[1] != 3:
            raise KitError(
                f"{self.spec.name} takes RGB images (N, 3, H, W), got {tuple(x_NCHW.shape)}",
                fix="drop alpha and put the channel axis second",
            )
        return (x_NCHW.to(self.mean.dtype) - self.mean) / self.std

    def padding(self, height: int, width: int, least: int = 0) -> tuple[int, int, int, int]:
        """Columns and rows to add at the right and bottom, in the order `torch.nn.functional.pad` takes them.

        Args:
            height: of the input.
            width: of the input.
            least: smallest side that the network can work with.
        """
        divisor = self.size_divisor
        rows = max(-(-height // divisor) * divisor, least) - height
        columns = max(-(-width // divisor) * divisor, least) - width
        return (0, columns, 0, rows)


class SemanticNetwork(Network):
    """One value a pixel in the declared semantics."""

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Predict.

        Args:
            x_NCHW: RGB, uint8 or floating point 0..255, any height and width.

        Returns:
            N, 1, H, W: logit, sigmoid or softmax probability of the foreground, as `spec.output` says.
        """
        height, width = x_NCHW.shape[-2:]
        # The border is continued after normalisation, so that it costs no second pass over a larger image.
        padded = F.pad(self.normalise(x_NCHW), self.padding(height, width), mode="replicate")
        output: Tensor = self.network(padded)
        return output[..., :height, :width]


class InstanceNetwork(Network):
    """Boxes, scores and masks; training losses come from the network itself."""

    @abstractmethod
    def losses(self, x_NCHW: Tensor, targets: Sequence[InstanceTarget]) -> dict[str, Tensor]:
        """Named scalar losses of a batch, to be summed.

        Args:
            x_NCHW: RGB, uint8 or floating point 0..255.
            targets: one an image.
        """

    @abstractmethod
    def detect(self, x_NCHW: Tensor) -> list[Detections]:
        """Find instances; one entry an image.

        Args:
            x_NCHW: RGB, uint8 or floating point 0..255.
        """

    def forward(self, x_NCHW: Tensor, targets: Sequence[InstanceTarget] | None = None) -> Any:
        """`losses` with targets, `detect` without: what wrappers like Lightning Fabric call."""
        return self.detect(x_NCHW) if targets is None else self.losses(x_NCHW, targets)
