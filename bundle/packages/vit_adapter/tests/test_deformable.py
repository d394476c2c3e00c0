"""Deformable attention against loops over its definition."""

import math

import mmcv._ext
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmcv.ops.multi_scale_deform_attn import (
    MultiScaleDeformableAttnFunction,
    multi_scale_deformable_attn_pytorch,
)
from vit_adapter.deformable import DeformableAttention
from vit_adapter.grids import GridCache, SamplingGrid
from vit_adapter.sampling import largest_divisor, weighted_samples

DOUBLE = torch.zeros((), dtype=torch.float64)


def pixel(map_HWD, row, column):
    inside = 0 <= row < map_HWD.shape[0] and 0 <= column < map_HWD.shape[1]
    return map_HWD[row, column] if inside else torch.zeros_like(map_HWD[0, 0])


def bilinear(map_HWD, x, y):
    """The map at x, y in 0..1 over its area: pixel centres at (i + 0.5) / side, zeros outside."""
    column, row = x * map_HWD.shape[1] - 0.5, y * map_HWD.shape[0] - 0.5
    left, top = math.floor(column), math.floor(row)
    across, down = column - left, row - top
    return (1 - down) * (
        (1 - across) * pixel(map_HWD, top, left) + across * pixel(map_HWD, top, left + 1)
    ) + down * ((1 - across) * pixel(map_HWD, top + 1, left) + across * pixel(map_HWD, top + 1, left + 1))


def sampled_by_loop(value, sizes, locations, weights):
    batch, _, heads, width = value.shape
    queries, levels, points = locations.shape[1], locations.shape[3], locations.shape[4]
    out = torch.zeros(batch, queries, heads, width, dtype=value.dtype)
    begin = 0
    for level, (h, w) in enumerate(sizes):
        maps = value[:, begin : begin + h * w].view(batch, h, w, heads, width)
        begin += h * w
        for b in range(batch):
            for q in range(queries):
                for m in range(heads):
                    for p in range(points):
                        x, y = locations[b, q, m, level, p].tolist()
                        out[b, q, m] += weights[b, q, m, level, p] * bilinear(maps[b, :, :, m], x, y)
    assert begin == value.shape[1]
    assert levels == len(sizes)
    return out.flatten(2)


def problem(sizes, *, batch=2, queries=5, heads=2, points=3, width=4, seed=0, dtype=torch.float64):
    random = torch.Generator().manual_seed(seed)
    value = torch.randn(batch, sum(h * w for h, w in sizes), heads, width, generator=random, dtype=dtype)
    at = (batch, queries, heads, len(sizes), points)
    # Beyond the edges too, where samples are partly or wholly zeros.
    locations = torch.rand(*at, 2, generator=random, dtype=dtype) * 1.6 - 0.3
    weights = torch.randn(at, generator=random, dtype=dtype)
    return value, locations, weights


@pytest.mark.parametrize("sizes", [[(4, 6)], [(6, 4), (3, 2), (2, 1)], [(1, 1), (1, 5)]])
def test_samples_are_weighed_as_a_loop_over_bilinear_samples_does(sizes):
    value, locations, weights = problem(sizes)
    grid = SamplingGrid.between([(1, 1)], sizes, value)
    torch.testing.assert_close(
        weighted_samples(value, grid, locations, weights), sampled_by_loop(value, sizes, locations, weights)
    )


def test_samples_and_gradients_agree_with_mmcvs_own_fallback():
    sizes = [(8, 5), (4, 3)]
    inputs = [tensor.requires_grad_() for tensor in problem(sizes, queries=20)]
    value, locations, weights = inputs
    grid = SamplingGrid.between([(1, 1)], sizes, value)
    ours = weighted_samples(value, grid, locations, weights)
    theirs = multi_scale_deformable_attn_pytorch(value, sizes, locations, weights)
    torch.testing.assert_close(ours, theirs)
    pull = torch.randn(ours.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    ours_pulled = torch.autograd.grad(ours, inputs, pull)
    for mine, other in zip(ours_pulled, torch.autograd.grad(theirs, inputs, pull), strict=True):
        torch.testing.assert_close(mine, other)


@pytest.mark.skipif(not mmcv._ext.__file__.endswith(".py"), reason="compiled, its operator wants a GPU")
def test_the_operator_used_on_a_gpu_takes_the_grid_and_agrees():
    sizes = [(8, 5), (4, 3)]
    inputs = [tensor.requires_grad_() for tensor in problem(sizes, batch=3, queries=20)]
    value, locations, weights = inputs
    grid = SamplingGrid.between([(1, 1)], sizes, value)
    ours = weighted_samples(value, grid, locations, weights)
    step = largest_divisor(len(value), 2)
    theirs = MultiScaleDeformableAttnFunction.apply(value, grid.shapes, grid.starts, locations, weights, step)
    torch.testing.assert_close(ours, theirs)
    pulled = torch.autograd.grad(ours.square().sum(), inputs)
    for mine, other in zip(pulled, torch.autograd.grad(theirs.square().sum(), inputs), strict=True):
        torch.testing.assert_close(mine, other)


def test_sampling_has_the_gradients_of_finite_differences():
    sizes = [(3, 4), (2, 2)]
    inputs = [tensor.requires_grad_() for tensor in problem(sizes, batch=1, queries=2, points=2, width=2)]
    grid = SamplingGrid.between([(1, 1)], sizes, DOUBLE)
    assert torch.autograd.gradcheck(lambda *tensors: weighted_samples(tensors[0], grid, *tensors[1:]), inputs)


def test_the_layer_is_its_formula_written_out():
    torch.manual_seed(0)
    sizes, queries = [(4, 6), (2, 3)], (2, 3)
    layer = DeformableAttention(8, num_heads=2, num_levels=2, num_points=3, ratio=0.5).double()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    query, values = torch.randn(2, 6, 8, dtype=torch.float64), torch.randn(2, 30, 8, dtype=torch.float64)
    grid = SamplingGrid.between([queries], sizes, DOUBLE)
    offsets = (query @ layer.sampling_offsets.weight.T + layer.sampling_offsets.bias).view(2, 6, 2, 2, 3, 2)
    logits = (query @ layer.attention_weights.weight.T + layer.attention_weights.bias).view(2, 6, 2, 6)
    weights = (logits.exp() / logits.exp().sum(-1, keepdim=True)).view(2, 6, 2, 2, 3)
    locations = torch.empty_like(offsets)
    for q in range(6):
        centre_x, centre_y = (q % 3 + 0.5) / 3, (q // 3 + 0.5) / 2
        for level, (h, w) in enumerate(sizes):
            locations[:, q, :, level, :, 0] = centre_x + offsets[:, q, :, level, :, 0] / w
            locations[:, q, :, level, :, 1] = centre_y + offsets[:, q, :, level, :, 1] / h
    projected = (values @ layer.value_proj.weight.T + layer.value_proj.bias).view(2, 30, 2, 2)
    attended = sampled_by_loop(projected, sizes, locations, weights)
    expected = attended @ layer.output_proj.weight.T + layer.output_proj.bias
    torch.testing.assert_close(layer(query, values, grid), expected)


def test_heads_start_in_evenly_spread_directions_at_growing_distances():
    layer = DeformableAttention(8, num_heads=4, num_levels=3, num_points=2)
    bias = layer.sampling_offsets.bias.view(4, 3, 2, 2)
    for level in range(3):
        for head, direction in enumerate([(1, 0), (0, 1), (-1, 0), (0, -1)]):
            for point in range(2):
                expected = torch.tensor(direction) * (point + 1.0)
                torch.testing.assert_close(bias[head, level, point], expected, atol=1e-6, rtol=0)
    diagonal = DeformableAttention(8, num_heads=8, num_levels=1, num_points=1).sampling_offsets.bias.view(
        8, 2
    )
    torch.testing.assert_close(diagonal[1], torch.ones(2))
    assert layer.sampling_offsets.weight.count_nonzero() == 0
    assert layer.attention_weights.weight.count_nonzero() == 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sampling_stays_in_float32_under_autocast(dtype):
    torch.manual_seed(0)
    layer = DeformableAttention(16, num_heads=4, num_levels=1)
    torch.nn.init.normal_(layer.sampling_offsets.weight, std=0.1)
    grid = SamplingGrid.between([(40, 40)], [(40, 40)], torch.zeros(()))
    query, values = torch.randn(1, 1600, 16), torch.randn(1, 1600, 16)
    with torch.autocast("cpu", dtype):
        low = layer(query, values, grid)
    assert low.dtype == dtype
    torch.testing.assert_close(low.float(), layer(query, values, grid), atol=0.05, rtol=0.05)


@given(batch=st.integers(1, 200), limit=st.integers(1, 70))
def test_the_operators_step_divides_any_batch(batch, limit):
    step = largest_divisor(batch, limit)
    assert batch % step == 0
    assert step <= limit
    assert not any(batch % larger == 0 for larger in range(step + 1, min(batch, limit) + 1))


def test_grids_are_kept_for_one_size_and_serve_training_after_inference():
    cache = GridCache()
    like = torch.zeros(())
    with torch.inference_mode():
        injecting, extracting = cache.at((4, 6), like)
    assert cache.at((4, 6), like) == (injecting, extracting)
    assert not injecting.points.is_inference()
    assert injecting.sizes == ((8, 12), (4, 6), (2, 3))
    assert injecting.starts.tolist() == [0, 96, 120]
    assert extracting.sizes == ((4, 6),)
    assert extracting.points.shape == (1, 126, 1, 2)
    assert extracting.points[0, 0, 0].tolist() == pytest.approx([0.5 / 12, 0.5 / 8])
    assert extracting.points[0, 97, 0].tolist() == pytest.approx([1.5 / 6, 0.5 / 4])
    assert cache.at((2, 2), like)[1].points.shape == (1, 21, 1, 2)


@pytest.mark.parametrize(
    ("query", "values", "sizes", "message"),
    [
        ((1, 4, 7), (1, 4, 8), [(2, 2)], r"takes a query of shape \(batch, tokens, 8\), not \(1, 4, 7\)"),
        ((1, 4, 8), (4, 8), [(2, 2)], r"takes a value of shape \(batch, tokens, 8\), not \(4, 8\)"),
        ((1, 4, 8), (2, 4, 8), [(2, 2)], "a batch of 1 queries and one of 2 values"),
        ((1, 4, 8), (1, 8, 8), [(2, 2), (2, 2)], "the grid samples 2 maps, this layer 1"),
        ((1, 5, 8), (1, 4, 8), [(2, 2)], "4 reference points for 5 queries"),
        ((1, 4, 8), (1, 5, 8), [(2, 2)], r"maps of \[\(2, 2\)\] have 4 tokens, the value 5"),
    ],
)
def test_shapes_that_do_not_fit_are_named(query, values, sizes, message):
    layer = DeformableAttention(8, num_heads=2, num_levels=1)
    grid = SamplingGrid.between([(2, 2)], sizes, torch.zeros(()))
    with pytest.raises(ValueError, match=message):
        layer(torch.zeros(query), torch.zeros(values), grid)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"num_heads": 3, "num_levels": 1}, "8 channels cannot be split over 3 heads"),
        ({"num_heads": 4, "num_levels": 1, "ratio": 0.25}, r"values .*ratio 0.25 of 8.*: 2 channels"),
        ({"num_heads": 2, "num_levels": 0}, "at least one level, point and im2col step, not 0, 4 and 64"),
    ],
)
def test_sizes_that_do_not_divide_are_named(words, message):
    with pytest.raises(ValueError, match=message):
        DeformableAttention(8, **words)
