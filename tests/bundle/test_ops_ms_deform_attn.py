import itertools

import pytest
import torch
from torch.autograd import grad, gradcheck

from tests.bundle.bilinear import sample_zeros

LEVELS = ((4, 3), (2, 5), (1, 1))


def slow_attention(value, shapes, locations, weights):
    """Every sample of every query, one at a time."""
    n, _, heads, channels = value.shape
    _, queries, _, levels, points, _ = locations.shape
    rows = []
    for image, query, head in itertools.product(range(n), range(queries), range(heads)):
        total = value.new_zeros(channels)
        start = 0
        for level in range(levels):
            height, width = shapes[level]
            map_CHW = value[image, start : start + height * width, head].T.view(channels, height, width)
            start += height * width
            for point in range(points):
                x, y = locations[image, query, head, level, point]
                seen = sample_zeros(map_CHW, y * height - 0.5, x * width - 0.5)
                total = total + weights[image, query, head, level, point] * seen
        rows.append(total)
    return torch.stack(rows).view(n, queries, heads * channels)


def tensors(*, n=2, queries=3, heads=2, channels=3, points=2, levels=LEVELS, device="cpu"):
    keys = sum(h * w for h, w in levels)
    value = torch.randn(n, keys, heads, channels, dtype=torch.float64, device=device)
    # A little over the border on every side.
    locations = (
        torch.rand(n, queries, heads, len(levels), points, 2, dtype=torch.float64, device=device) * 1.3 - 0.15
    )
    weights = torch.rand(n, queries, heads, len(levels), points, dtype=torch.float64, device=device)
    return [tensor.requires_grad_() for tensor in (value, locations, weights)]


def attend(ops, value, locations, weights, *, levels=LEVELS):
    shapes = torch.tensor(levels, device=value.device)
    starts = torch.cat([shapes.new_zeros(1), shapes.prod(1).cumsum(0)[:-1]])
    function = ops.multi_scale_deform_attn.MultiScaleDeformableAttnFunction
    return function.apply(value, shapes, starts, locations, weights, 64)


def test_values_and_gradients_equal_plain_loops(ops, device):
    inputs = tensors(device=device)
    got = attend(ops, *inputs)
    expected = slow_attention(inputs[0], LEVELS, *inputs[1:])
    torch.testing.assert_close(got, expected)
    seen = torch.randn_like(got)
    for one, other in zip(grad(got, inputs, seen), grad(expected, inputs, seen), strict=True):
        torch.testing.assert_close(one, other)


def test_gradients_equal_finite_differences(ops, device):
    inputs = tensors(n=1, queries=2, channels=2, levels=LEVELS[:2], device=device)
    assert gradcheck(lambda *t: attend(ops, *t, levels=LEVELS[:2]), inputs)


def test_it_agrees_with_the_fallback_mmcv_uses_without_a_gpu(ops, device):
    value, locations, weights = tensors(device=device)
    fallback = ops.multi_scale_deform_attn.multi_scale_deformable_attn_pytorch
    torch.testing.assert_close(
        attend(ops, value, locations, weights), fallback(value, torch.tensor(LEVELS), locations, weights)
    )


@pytest.mark.parametrize("empty", ["n", "queries"])
def test_no_images_and_no_queries(ops, device, empty):
    inputs = tensors(**{empty: 0}, device=device)
    out = attend(ops, *inputs)
    assert out.shape == (0 if empty == "n" else 2, 0 if empty == "queries" else 3, 6)
    assert not grad(out.sum(), inputs[0])[0].any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_full_and_rounded_once(ops, device, dtype):
    made = [tensor.detach().to(dtype).requires_grad_() for tensor in tensors(device=device)]
    full = [tensor.detach().float().requires_grad_() for tensor in made]
    got, expected = attend(ops, *made), attend(ops, *full)
    assert got.dtype == dtype
    torch.testing.assert_close(got, expected.to(dtype))
    for one, other in zip(grad(got.float().sum(), made), grad(expected.sum(), full), strict=True):
        assert one.dtype == dtype
        torch.testing.assert_close(one, other.to(dtype))
