"""Multi-scale deformable attention whose values may be narrower than its queries."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .grids import SamplingGrid
from .layers import head_width
from .sampling import weighted_samples


class DeformableAttention(nn.Module):
    """Each query samples a few learnt points of every map around its reference point and weighs them.

    Deformable DETR (Zhu et al. 2021), equation 3; ViT-Adapter (Chen et al. 2023) narrows the values to
    `ratio` of the channels. mmcv 1.7.2's own module has no such ratio and adds residual and dropout.

    Args:
        dim: channels C of queries, values and output.
        num_heads: divides C and ratio * C.
        num_levels: maps that are sampled.
        num_points: sampled points a head and map.
        ratio: width of the projected values over C.
        im2col_step: most images the compiled operator takes at once; a divisor of the batch is used.

    Raises:
        ValueError: channels the heads do not divide, or counts below one.
    """

    def __init__(
        self,
        dim: int,
        *,
        num_heads: int,
        num_levels: int,
        num_points: int = 4,
        ratio: float = 1.0,
        im2col_step: int = 64,
    ) -> None:
        super().__init__()
        if min(num_levels, num_points, im2col_step) < 1:
            raise ValueError(
                f"deformable attention needs at least one level, point and im2col step,"
                f" not {num_levels}, {num_points} and {im2col_step}"
            )
        head_width(dim, num_heads, "deformable attention")
        inner = int(dim * ratio)
        head_width(inner, num_heads, f"values of deformable attention (ratio {ratio} of {dim})")
        self.dim, self.num_heads, self.num_levels, self.num_points = dim, num_heads, num_levels, num_points
        self.im2col_step = im2col_step
        samples = num_heads * num_levels * num_points
        self.sampling_offsets = nn.Linear(dim, 2 * samples)
        self.attention_weights = nn.Linear(dim, samples)
        self.value_proj = nn.Linear(dim, inner)
        self.output_proj = nn.Linear(inner, dim)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Heads look in evenly spread directions, point p at distance p; all points weigh the same."""
        angle_M = torch.arange(self.num_heads, dtype=torch.float32) * (2.0 * math.pi / self.num_heads)
        direction_M2 = torch.stack((angle_M.cos(), angle_M.sin()), dim=1)
        direction_M2 = direction_M2 / direction_M2.abs().amax(dim=1, keepdim=True)
        distance_P = torch.arange(1, self.num_points + 1, dtype=torch.float32)
        offset_MLP2 = (direction_M2[:, None, None, :] * distance_P[:, None]).expand(
            -1, self.num_levels, -1, -1
        )
        nn.init.zeros_(self.sampling_offsets.weight)
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(offset_MLP2.flatten())
        nn.init.zeros_(self.attention_weights.weight)
        nn.init.zeros_(self.attention_weights.bias)
        for projection in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(projection.weight)
            nn.init.zeros_(projection.bias)

    def forward(self, query_BNC: Tensor, value_BNC: Tensor, grid: SamplingGrid) -> Tensor:
        """Attend.

        Args:
            query_BNC: (B, queries, C).
            value_BNC: (B, sum of h * w, C), maps one after another.
            grid: reference points of the queries, sizes of the maps.

        Returns:
            (B, queries, C).

        Raises:
            ValueError: shapes that do not fit each other or the grid.
        """
        self._check(query_BNC, value_BNC, grid)
        batch, queries, _ = query_BNC.shape
        samples = (batch, queries, self.num_heads, self.num_levels, self.num_points)
        offsets = self.sampling_offsets(query_BNC).view(*samples, 2)
        # Half-precision locations would be off by whole pixels of a large map; the published code also
        # computes all of this in float32 under autocast.
        locations = grid.points[:, :, None, :, None, :] + offsets / grid.extents[:, None, :]
        logits = self.attention_weights(query_BNC).view(batch, queries, self.num_heads, -1)
        weights = logits.softmax(dim=-1, dtype=locations.dtype).view(samples)
        value = torch.unflatten(self.value_proj(value_BNC), 2, (self.num_heads, -1))
        sampled = weighted_samples(
            value.to(locations.dtype), grid, locations, weights, im2col_step=self.im2col_step
        )
        out_BNC: Tensor = self.output_proj(sampled.to(value.dtype))
        return out_BNC

    def _check(self, query_BNC: Tensor, value_BNC: Tensor, grid: SamplingGrid) -> None:
        for name, tensor in (("query", query_BNC), ("value", value_BNC)):
            if tensor.ndim != 3 or tensor.shape[2] != self.dim:
                raise ValueError(
                    f"deformable attention takes a {name} of shape (batch, tokens, {self.dim}),"
                    f" not {tuple(tensor.shape)}"
                )
        if len(query_BNC) != len(value_BNC):
            raise ValueError(f"a batch of {len(query_BNC)} queries and one of {len(value_BNC)} values")
        if len(grid.sizes) != self.num_levels:
            raise ValueError(f"the grid samples {len(grid.sizes)} maps, this layer {self.num_levels}")
        if grid.points.shape[1] != query_BNC.shape[1]:
            raise ValueError(f"{grid.points.shape[1]} reference points for {query_BNC.shape[1]} queries")
        tokens = sum(h * w for h, w in grid.sizes)
        if tokens != value_BNC.shape[1]:
            raise ValueError(
                f"maps of {list(grid.sizes)} have {tokens} tokens, the value {value_BNC.shape[1]}"
            )
