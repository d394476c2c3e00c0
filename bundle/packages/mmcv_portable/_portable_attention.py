"""Multi-scale deformable attention."""

from __future__ import annotations

from torch import Tensor

from ._portable_common import full_precision, sample, sample_backward


def ms_deform_attn_forward(
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    *,
    im2col_step: int,  # noqa: ARG001  bounds the native kernel's buffer, no bearing on the result
) -> Tensor:
    """Multi-scale deformable attention (Zhu et al. 2021, equation 3 without its projections).

    Args:
        value: (n, sum of h * w, heads, channels), levels one after another.
        value_spatial_shapes: int64 (levels, 2) h, w.
        value_level_start_index: int64 (levels,) row of `value` at which a level begins.
        sampling_locations: (n, queries, heads, levels, points, 2) x, y; 0..1 spans a level's whole area.
        attention_weights: (n, queries, heads, levels, points).
        im2col_step: ignored.

    Returns:
        (n, queries, heads * channels).
    """
    full_value, locations, weights = full_precision(value, sampling_locations, attention_weights)
    n, _, heads, channels = full_value.shape
    queries = locations.shape[1]
    attended = full_value.new_zeros(n * heads, channels, queries)
    for level, rows, size in _levels(value_spatial_shapes, value_level_start_index):
        sampled = sample(_as_maps(full_value[:, rows], size), _as_grid(locations[:, :, :, level]))
        attended += (sampled * _by_head(weights[:, :, :, level])).sum(dim=-1)
    output = attended.view(n, heads * channels, queries).transpose(1, 2).contiguous()
    return output.to(value.dtype)


def ms_deform_attn_backward(
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    grad_output: Tensor,
    grad_value: Tensor,
    grad_sampling_loc: Tensor,
    grad_attn_weight: Tensor,
    *,
    im2col_step: int,  # noqa: ARG001  bounds the native kernel's buffer, no bearing on the result
) -> None:
    """Gradients of `ms_deform_attn_forward`, written into the three `grad_*` after `grad_output`.

    With S the sampled values, A the weights and G the output's gradient: dA = <S, G> over channels, dS = A G,
    and the rest is bilinear sampling's own gradient. One level is held in memory at a time.
    """
    full_value, locations, weights, grad = full_precision(
        value, sampling_locations, attention_weights, grad_output
    )
    n, _, heads, channels = full_value.shape
    queries, points = locations.shape[1], locations.shape[4]
    grad = grad.view(n, queries, heads, channels).permute(0, 2, 3, 1).reshape(n * heads, channels, queries, 1)
    for level, rows, size in _levels(value_spatial_shapes, value_level_start_index):
        maps = _as_maps(full_value[:, rows], size)
        grid = _as_grid(locations[:, :, :, level])
        of_weights = (sample(maps, grid) * grad).sum(dim=1)
        grad_attn_weight[:, :, :, level] = of_weights.view(n, heads, queries, points).transpose(1, 2)
        of_maps, of_grid = sample_backward(grad * _by_head(weights[:, :, :, level]), maps, grid)
        grad_value[:, rows] = of_maps.view(n, heads, channels, size[0] * size[1]).permute(0, 3, 1, 2)
        # The grid runs over -1..1, locations over 0..1.
        grad_sampling_loc[:, :, :, level] = 2 * of_grid.view(n, heads, queries, points, 2).transpose(1, 2)


def _levels(shapes: Tensor, starts: Tensor) -> list[tuple[int, slice, tuple[int, int]]]:
    """Each level's number, its rows of `value` and its size."""
    sizes = [(int(h), int(w)) for h, w in shapes.tolist()]
    return [
        (level, slice(int(start), int(start) + h * w), (h, w))
        for level, (start, (h, w)) in enumerate(zip(starts.tolist(), sizes, strict=True))
    ]


def _as_maps(rows: Tensor, size: tuple[int, int]) -> Tensor:
    """(n, h * w, heads, channels) -> (n * heads, channels, h, w)."""
    n, _, heads, channels = rows.shape
    return rows.permute(0, 2, 3, 1).reshape(n * heads, channels, *size)


def _as_grid(locations: Tensor) -> Tensor:
    """(n, queries, heads, points, 2) in 0..1 -> (n * heads, queries, points, 2) in -1..1."""
    return (2 * locations - 1).transpose(1, 2).flatten(0, 1)


def _by_head(weights: Tensor) -> Tensor:
    """(n, queries, heads, points) -> (n * heads, 1, queries, points)."""
    return weights.transpose(1, 2).flatten(0, 1).unsqueeze(1)
