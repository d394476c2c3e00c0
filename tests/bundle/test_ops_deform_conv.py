import importlib
import itertools

import pytest
import torch
from torch.autograd import grad, gradcheck

from tests.bundle.bilinear import sample_zeros

SHAPES = [
    # kernel, stride, padding, dilation, groups, deform groups
    ((3, 3), (1, 1), (1, 1), (1, 1), 1, 1),
    ((3, 2), (2, 1), (0, 2), (1, 2), 1, 2),
    ((1, 3), (1, 2), (1, 0), (1, 1), 2, 1),
    ((2, 2), (1, 1), (2, 1), (2, 1), 2, 4),
]


@pytest.fixture(params=["as the device asks", "torchvision's kernel"])
def way(request, ops, monkeypatch):
    """Version 1 is sampled and multiplied on the CPU; the kernel the GPU takes is held to the same."""
    if request.param == "torchvision's kernel":
        monkeypatch.setattr(importlib.import_module("mmcv._portable_deform_conv"), "_on_cpu", lambda _: False)


def slow_deform_conv(x, offset, mask, weight, bias, *geometry):
    """Every output of every tap, one at a time."""
    stride, padding, dilation, groups, deform_groups = geometry
    n, c_in, _, _ = x.shape
    c_out, per_group, kh, kw = weight.shape
    h_out, w_out = offset.shape[2:]
    offset = offset.view(n, deform_groups, kh * kw, 2, h_out, w_out)
    mask = mask.view(n, deform_groups, kh * kw, h_out, w_out)
    shared = c_in // deform_groups
    rows = []
    for image, row, column in itertools.product(range(n), range(h_out), range(w_out)):
        taps = []
        for tap, part in itertools.product(range(kh * kw), range(deform_groups)):
            dy, dx = offset[image, part, tap, :, row, column]
            y = row * stride[0] - padding[0] + tap // kw * dilation[0] + dy
            z = column * stride[1] - padding[1] + tap % kw * dilation[1] + dx
            seen = sample_zeros(x[image, part * shared : (part + 1) * shared], y, z)
            taps.append(seen * mask[image, part, tap, row, column])
        columns = torch.cat(taps).view(kh * kw, c_in).T
        out = []
        for channel in range(c_out):
            first = channel // (c_out // groups) * per_group
            out.append(
                (columns[first : first + per_group] * weight[channel].flatten(1)).sum() + bias[channel]
            )
        rows.append(torch.stack(out))
    return torch.stack(rows).view(n, h_out, w_out, c_out).permute(0, 3, 1, 2)


def tensors(shape, *, n=2, c_in=4, c_out=6, size=(6, 5), device="cpu"):
    kernel, stride, padding, dilation, groups, deform_groups = shape
    taps = kernel[0] * kernel[1]
    out = [(size[i] + 2 * padding[i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in (0, 1)]
    shapes = {
        "x": (n, c_in, *size),
        "offset": (n, deform_groups * taps * 2, *out),
        "mask": (n, deform_groups * taps, *out),
        "weight": (c_out, c_in // groups, *kernel),
        "bias": (c_out,),
    }
    made = {name: torch.randn(shape, dtype=torch.float64, device=device) for name, shape in shapes.items()}
    made["offset"] *= 1.5  # past the border now and then
    made["mask"] = made["mask"].sigmoid()
    return {name: tensor.requires_grad_() for name, tensor in made.items()}


def assert_same_with_gradients(got, expected, inputs):
    torch.testing.assert_close(got, expected)
    seen = torch.randn_like(got)
    for one, other in zip(grad(got, inputs, seen), grad(expected, inputs, seen), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_deform_conv_and_its_gradients_equal_plain_loops(ops, device, way, shape):
    geometry = shape[1:]
    made = tensors(shape, device=device)
    x, offset, weight = made["x"], made["offset"], made["weight"]
    got = ops.deform_conv2d(x, offset, weight, *geometry)
    ones, zeros = torch.ones_like(made["mask"]), torch.zeros_like(made["bias"])
    expected = slow_deform_conv(x, offset, ones, weight, zeros, *geometry)
    assert_same_with_gradients(got, expected, [x, offset, weight])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("with_bias", [True, False])
def test_modulated_deform_conv_and_its_gradients_equal_plain_loops(ops, device, shape, with_bias):
    geometry = shape[1:]
    made = tensors(shape, device=device)
    x, offset, mask, weight, bias = (made[name] for name in ("x", "offset", "mask", "weight", "bias"))
    got = ops.modulated_deform_conv2d(x, offset, mask, weight, bias if with_bias else None, *geometry)
    expected = slow_deform_conv(
        x, offset, mask, weight, bias if with_bias else torch.zeros_like(bias), *geometry
    )
    inputs = [x, offset, mask, weight, *([bias] if with_bias else [])]
    assert_same_with_gradients(got, expected, inputs)


@pytest.mark.parametrize("shape", SHAPES[1:3], ids=str)
def test_gradients_equal_finite_differences(ops, device, way, shape):
    geometry = shape[1:]
    made = tensors(shape, n=1, c_out=2, size=(3, 4), device=device)
    x, offset, mask, weight, bias = (made[name] for name in ("x", "offset", "mask", "weight", "bias"))
    assert gradcheck(lambda *t: ops.deform_conv2d(*t, *geometry), (x, offset, weight))
    assert gradcheck(lambda *t: ops.modulated_deform_conv2d(*t, *geometry), (x, offset, mask, weight, bias))


def test_without_offsets_it_is_a_convolution(ops, device):
    x = torch.randn(3, 4, 9, 7, device=device)
    weight = torch.randn(6, 2, 3, 3, device=device)
    offset = torch.zeros(3, 18, 5, 4, device=device)
    got = ops.deform_conv2d(x, offset, weight, 2, 1, 1, 2)
    torch.testing.assert_close(got, torch.nn.functional.conv2d(x, weight, None, 2, 1, 1, 2))


def test_the_step_of_the_native_buffer_does_not_change_the_result(ops):
    made = tensors(SHAPES[0], n=4)
    x, offset, weight = made["x"], made["offset"], made["weight"]
    results = []
    for step in (1, 2, 32):
        out = ops.deform_conv2d(x, offset, weight, 1, 1, 1, 1, 1, False, step)
        results.append([out, *grad(out.square().sum(), [x, offset, weight])])
    for one, other in itertools.pairwise(results):
        torch.testing.assert_close(one, other)


def test_only_some_gradients_and_several_passes_over_one_graph(ops, way):
    made = tensors(SHAPES[0])
    x, offset, weight = made["x"], made["offset"], made["weight"]
    geometry = SHAPES[0][1:]
    expected = grad(ops.deform_conv2d(x, offset, weight, *geometry).square().sum(), [x, offset, weight])
    out = ops.deform_conv2d(x, offset, weight, *geometry)
    # The weight's gradient is found along with the input's and kept for the same loss only.
    grad((out * 7).sum(), [x], retain_graph=True)
    torch.testing.assert_close(grad(out.square().sum(), [weight], retain_graph=True)[0], expected[2])
    torch.testing.assert_close(grad(out.square().sum(), [offset], retain_graph=True)[0], expected[1])
    torch.testing.assert_close(grad(out.square().sum(), [x, offset, weight]), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_full_and_rounded_once(ops, device, dtype):
    made = {
        name: t.detach().to(dtype).requires_grad_() for name, t in tensors(SHAPES[1], device=device).items()
    }
    full = {name: t.detach().float().requires_grad_() for name, t in made.items()}
    order = ("x", "offset", "weight")
    got, expected = (ops.deform_conv2d(*(t[name] for name in order), *SHAPES[1][1:]) for t in (made, full))
    assert got.dtype == dtype
    torch.testing.assert_close(got, expected.to(dtype))
    one, other = (
        grad(y.float().sum(), [t[name] for name in order]) for y, t in ((got, made), (expected, full))
    )
    for gradient, reference in zip(one, other, strict=True):
        assert gradient.dtype == dtype
        torch.testing.assert_close(gradient, reference.to(dtype))


def test_autocast_does_not_lower_the_precision_inside(ops, device, way):
    made = {name: t.detach().float() for name, t in tensors(SHAPES[0], device=device).items()}
    order = ("x", "offset", "weight")
    expected = ops.deform_conv2d(*(made[name] for name in order), *SHAPES[0][1:])
    with torch.autocast(device, dtype=torch.bfloat16):
        got = ops.deform_conv2d(*(made[name] for name in order), *SHAPES[0][1:])
    assert got.dtype == torch.float32
    assert torch.equal(got, expected)


@pytest.mark.parametrize("layer", ["DeformConv2dPack", "ModulatedDeformConv2dPack"])
def test_layers_train_under_autocast(ops, device, layer):
    torch.manual_seed(0)
    module = getattr(ops, layer)(4, 6, 3, padding=1).to(device)
    torch.nn.init.normal_(module.conv_offset.weight, std=0.1)
    x = torch.randn(2, 4, 8, 8, device=device)
    with torch.autocast(device, dtype=torch.bfloat16):
        out = module(x)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), module(x), rtol=0.05, atol=0.05)
    out.float().square().mean().backward()
    for parameter in module.parameters():
        assert parameter.grad is None or (
            parameter.grad.isfinite().all() and parameter.grad.dtype == torch.float32
        )
    assert module.weight.grad.any()
    assert module.conv_offset.weight.grad.any()
