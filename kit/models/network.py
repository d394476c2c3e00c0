"""The base classes of all networks; they normalise colours and pad sizes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kit.errors import KitError
from kit.models.detections import Detections
from kit.models.network_spec import NetworkSpec


class Network(nn.Module):
    """A network of a library behind the kit's interface.

    Attributes:
        spec: the network's declaration.
        mean: (3, 1, 1), `normalise` subtracts it.
        std: (3, 1, 1), `normalise` divides by it.
        network: the library's module; weight files have its state-dict names without a prefix.
        size_divisor: of this build; smaller than the declared one if the encoder has fewer stages.
        least_side: smaller inputs are padded to this side.
    """

    least_side: int = 0
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
        """Subtract the declared mean, divide by the declared deviation, in float32; nothing else does this.

        Args:
            x_NCHW: RGB, uint8 or floating point 0..255.

        Raises:
            KitError: the shape is not (N, 3, H, W).
        """
        if x_NCHW.ndim != 4 or x_NCHW.shape[1] != 3:
            raise KitError(
                f"{self.spec.name} takes RGB images (N, 3, H, W), got {tuple(x_NCHW.shape)}",
                fix="remove the alpha channel and put the channel axis second",
            )
        # ImageNet: a red of 182.07 becomes (182.07 - 123.675) / 58.395 = 1.
        return (x_NCHW.to(self.mean.dtype) - self.mean) / self.std

    def padding(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Return the padding at the right and bottom, in the order of `torch.nn.functional.pad`.

        Args:
            height: of the input in pixels.
            width: of the input in pixels.
        """
        # 100 x 70 with divisor 32 becomes 128 x 96: (0, 26, 0, 28).
        divisor = self.size_divisor
        rows = max(-(-height // divisor) * divisor, self.least_side) - height
        columns = max(-(-width // divisor) * divisor, self.least_side) - width
        return (0, columns, 0, rows)


class Auxiliary(NamedTuple):
    """Logits of an auxiliary head at a deeper layer; they have a loss of their own.

    Attributes:
        logit: (N, 1, h, w), foreground; (y, x) belongs to pixel (y * stride, x * stride) of the input.
        stride: pixels of the input between two neighbouring logits.
    """

    logit: Tensor
    stride: int


class Logits(NamedTuple):
    """The input of a semantic network's losses; a named tuple, because Lightning Fabric passes these on.

    Attributes:
        main: (N, K, H, W); K = 1: foreground; K = 2: background and foreground.
        auxiliary: by name; empty for a network without auxiliary heads.
    """

    main: Tensor
    auxiliary: Mapping[str, Auxiliary]


class SemanticNetwork(Network):
    """A network that returns one value per pixel; `spec.output` says what the value means."""

    def raw(self, padded_NCHW: Tensor, *, auxiliary: bool) -> Logits:
        """Return the logits of a normalised batch, at its resolution or coarser; families may override this.

        Args:
            padded_NCHW: height and width are multiples of `size_divisor` and at least `least_side`.
            auxiliary: whether the auxiliary heads are wanted.
        """
        del auxiliary  # this family has none
        return Logits(self.network(padded_NCHW), {})

    def forward(self, x_NCHW: Tensor, *, logits: bool = False) -> Tensor | Logits:
        """Predict, or return what losses need; one method, because wrappers like Lightning Fabric call it.

        Args:
            x_NCHW: RGB, uint8 or floating point 0..255, any height and width.
            logits: return `Logits` at the input's size instead of a prediction.

        Returns:
            (N, 1, H, W): logit, sigmoid or softmax probability of the foreground, as `spec.output` says.
        """
        height, width = x_NCHW.shape[-2:]
        # Pad after normalisation, so that fewer pixels are normalised.
        padded = F.pad(self.normalise(x_NCHW), self.padding(height, width), mode="replicate")
        coarse = self.raw(padded, auxiliary=logits)
        if logits:
            cropped = {
                name: Auxiliary(logit_N1HW[..., : -(-height // stride), : -(-width // stride)], stride)
                for name, (logit_N1HW, stride) in coarse.auxiliary.items()
            }
            return Logits(_enlarged(coarse.main, padded)[..., :height, :width], cropped)
        value = coarse.main
        if self.spec.output != "logit":
            value = value.float()  # float16 has too few bits for probabilities near one
        # Softmax over two logits is the sigmoid of their difference: (1, 3) gives sigmoid(2) = 0.88. Bilinear
        # enlargement is linear, so the difference may be taken before it, at the small size.
        if value.shape[1] == 2:
            value = value[:, 1:] - value[:, :1] if self.spec.output == "softmax" else value[:, 1:]
        value = _enlarged(value, padded)[..., :height, :width]
        return value if self.spec.output == "logit" else value.sigmoid()


def _enlarged(value_NKHW: Tensor, like_NCHW: Tensor) -> Tensor:
    size = like_NCHW.shape[-2:]
    if value_NKHW.shape[-2:] == size:
        return value_NKHW
    return F.interpolate(value_NKHW, size, mode="bilinear", align_corners=False)


class InstanceNetwork(Network):
    """A network that returns boxes, scores and masks; `kit.local.training.prepare` adds its losses."""

    @abstractmethod
    def detect(self, x_NCHW: Tensor) -> list[Detections]:
        """Return the instances of each image.

        Args:
            x_NCHW: RGB, uint8 or floating point 0..255.
        """

    def forward(self, x_NCHW: Tensor) -> Any:
        """Return `detect`; wrappers like Lightning Fabric call this."""
        return self.detect(x_NCHW)
