"""What all networks share: one place where colours are normalised and sizes padded."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kit.errors import KitError
from kit.models.detections import Detections, InstanceTarget
from kit.models.network_spec import NetworkSpec


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


class Auxiliary(NamedTuple):
    """Logits that a deeper layer was made to give, for a loss of their own.

    Attributes:
        logit: (N, 1, h, w), foreground; (y, x) belongs to pixel (y * stride, x * stride) of the input.
        stride: pixels of the input from one to the next.
    """

    logit: Tensor
    stride: int


class Logits(NamedTuple):
    """What a semantic network's losses see. A named tuple, which Lightning Fabric hands through.

    Attributes:
        main: (N, K, H, W); K = 1: foreground; K = 2: background and foreground.
        auxiliary: by name; empty for a network without auxiliary heads.
    """

    main: Tensor
    auxiliary: Mapping[str, Auxiliary]


class SemanticNetwork(Network):
    """A network that gives one value per pixel, with the meaning that its spec declares."""

    def raw(self, padded_NCHW: Tensor, *, auxiliary: bool) -> Logits:
        """Logits of a normalised batch at its resolution or coarser; families with more to tell override it.

        Args:
            padded_NCHW: height and width are multiples of `size_divisor`.
            auxiliary: whether the auxiliary heads are wanted.
        """
        del auxiliary  # this family has none
        return Logits(self.network(padded_NCHW), {})

    def forward(self, x_NCHW: Tensor, *, logits: bool = False) -> Tensor | Logits:
        """Predict, or what losses need: one call for both, as wrappers like Lightning Fabric want it.

        Args:
            x_NCHW: RGB, uint8 or floating point 0..255, any height and width.
            logits: return `Logits` at the input's size instead.

        Returns:
            N, 1, H, W: logit, sigmoid or softmax probability of the foreground, as `spec.output` says. Two
            logits a pixel become one before they are brought to the input's size: bilinear interpolation is
            linear, so the order does not matter, and softmax over two is the sigmoid of their difference.
        """
        height, width = x_NCHW.shape[-2:]
        # The border is continued after normalisation, so that it costs no second pass over a larger image.
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
            value = value.float()  # half precision has too few bits for probabilities near one
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
    """Boxes, scores and masks; training losses come from the network itself."""

    @abstractmethod
    def losses(self, x_NCHW: Tensor, targets: Sequence[InstanceTarget]) -> dict[str, Tensor]:
        """Named scalar losses of a batch, to be summed.

        Args:
            x_NCHW: RGB, uint8 or floating point 0..255.
            targets: one per image.
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
