"""Where deformable attention looks from: pixel centres of token maps, computed once an input size."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from .layers import Size


@dataclass(frozen=True)
class SamplingGrid:
    """Reference points of the queries and the sizes of the maps they sample.

    Attributes:
        points: (1, queries, 1, 2) x, y; 0..1 spans the image.
        sizes: (h, w) of every sampled map.
        shapes: the same, int64 (levels, 2), on the device.
        starts: int64 (levels,), where a map begins among the values.
        extents: (levels, 2) w, h, of the points' type.
    """

    points: Tensor
    sizes: tuple[Size, ...]
    shapes: Tensor
    starts: Tensor
    extents: Tensor

    @classmethod
    def between(cls, queries: list[Size], sampled: list[Size], like: Tensor) -> SamplingGrid:
        """From the centres of the `queries` maps to the `sampled` maps, on the device of `like`."""
        device, dtype = like.device, torch.promote_types(like.dtype, torch.float32)
        lengths = [h * w for h, w in sampled]
        shapes = torch.tensor(sampled, dtype=torch.int64, device=device)
        return cls(
            points=torch.cat([_centres(size, device, dtype) for size in queries]).view(1, -1, 1, 2),
            sizes=tuple(sampled),
            shapes=shapes,
            starts=torch.tensor([0, *accumulate(lengths[:-1])], dtype=torch.int64, device=device),
            extents=shapes.flip(1).to(dtype),
        )


class GridCache:
    """The two grids of an adapter, kept for the last input size.

    Training changes the size from step to step and then pays the few small kernels again; a slide in tiles or
    a test set of one size pays once.
    """

    def __init__(self) -> None:
        self._kept: (
            tuple[tuple[Size, torch.device, torch.dtype], tuple[SamplingGrid, SamplingGrid]] | None
        ) = None

    def at(self, size: Size, like: Tensor) -> tuple[SamplingGrid, SamplingGrid]:
        """Grids for the injectors (tokens look at three maps) and the extractors (three maps look at tokens).

        Args:
            size: (H, W) of the stride-16 token map, both even.
            like: a tensor of the device and type in use.
        """
        key = (size, like.device, like.dtype)
        if self._kept is None or self._kept[0] != key:
            # Outside inference mode: a tensor made inside it could not be used by a later training step.
            with torch.inference_mode(mode=False):
                pyramid = pyramid_sizes(size)
                self._kept = (
                    key,
                    (
                        SamplingGrid.between([size], pyramid, like),
                        SamplingGrid.between(pyramid, [size], like),
                    ),
                )
        return self._kept[1]


def pyramid_sizes(size: Size) -> list[Size]:
    """Sizes of the stride 8, 16 and 32 maps over a stride-16 map of `size`."""
    height, width = size
    return [(2 * height, 2 * width), (height, width), (height // 2, width // 2)]


def _centres(size: Size, device: torch.device, dtype: torch.dtype) -> Tensor:
    """(h * w, 2) x, y of the pixel centres, row by row, in 0..1."""
    height, width = size
    y_H = (torch.arange(height, device=device, dtype=dtype) + 0.5) / height
    x_W = (torch.arange(width, device=device, dtype=dtype) + 0.5) / width
    return torch.stack((x_W.expand(height, width), y_H[:, None].expand(height, width)), dim=-1).flatten(0, 1)
