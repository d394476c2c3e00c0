import math

import pytest
import torch
from torch.autograd import gradcheck

from tests.bundle.bilinear import sample_clamped


def slow_roi_align(x_NCHW, rois, size, *, scale, ratio, aligned):
    """Mean of bilinear samples in every bin, one at a time."""
    height, width = size
    shift = 0.5 if aligned else 0.0
    pooled = []
    for image, *corners in rois.tolist():
        left, top, right, bottom = (c * scale - shift for c in corners)
        wide, high = right - left, bottom - top
        if not aligned:
            wide, high = max(wide, 1.0), max(high, 1.0)
        down = ratio or math.ceil(high / height)
        across = ratio or math.ceil(wide / width)
        bins = []
        for row in range(height):
            for column in range(width):
                samples = [
                    sample_clamped(
                        x_NCHW[int(image)],
                        top + (row + (i + 0.5) / down) * high / height,
                        left + (column + (j + 0.5) / across) * wide / width,
                    )
                    for i in range(down)
                    for j in range(across)
                ]
                bins.append(sum(samples, x_NCHW.new_zeros(x_NCHW.shape[1])) / max(len(samples), 1))
        pooled.append(torch.stack(bins, dim=1).view(-1, height, width))
    return torch.stack(pooled)


ROIS = torch.tensor(
    [
        [0, 1.5, 2.25, 9.0, 7.5],
        [1, -3.0, -2.0, 6.0, 5.0],
        [0, 8.0, 5.0, 30.0, 40.0],
        [1, 4.0, 4.0, 4.0, 4.0],
    ],
    dtype=torch.float64,
)
"""One inside, one over the corner, one far out, one empty."""


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("ratio", [0, 2])
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_values_and_gradient_equal_plain_loops(ops, device, aligned, ratio, scale):
    x = torch.randn(2, 3, 7, 5, dtype=torch.float64, device=device, requires_grad=True)
    rois = ROIS.to(device)
    got = ops.roi_align(x, rois, (3, 2), scale, ratio, "avg", aligned)
    expected = slow_roi_align(x, rois, (3, 2), scale=scale, ratio=ratio, aligned=aligned)
    torch.testing.assert_close(got, expected)
    seen = torch.randn_like(got)
    torch.testing.assert_close(*(torch.autograd.grad(y, x, seen)[0] for y in (got, expected)))


@pytest.mark.parametrize("ratio", [0, 2])
def test_gradient_equals_finite_differences(ops, device, ratio):
    x = torch.randn(1, 2, 5, 4, dtype=torch.float64, device=device, requires_grad=True)
    rois = torch.tensor(
        [[0, 0.3, 0.7, 3.1, 4.4], [0, -1.2, 1.1, 2.2, 2.9]], dtype=torch.float64, device=device
    )
    assert gradcheck(lambda x: ops.roi_align(x, rois, 2, 1.0, ratio), x)


def test_no_boxes_give_no_features_and_a_zero_gradient(ops, device):
    x = torch.randn(1, 3, 4, 4, device=device, requires_grad=True)
    got = ops.roi_align(x, torch.zeros(0, 5, device=device), 7)
    assert got.shape == (0, 3, 7, 7)
    (grad,) = torch.autograd.grad(got.sum(), x)
    assert not grad.any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_features_with_full_precision_boxes(ops, device, dtype):
    x = torch.randn(2, 3, 7, 5, device=device).to(dtype).requires_grad_()
    rois = ROIS.float().to(device)
    got = ops.roi_align(x, rois, 3)
    assert got.dtype == dtype
    full = x.detach().float().requires_grad_()
    expected = ops.roi_align(full, rois, 3)
    torch.testing.assert_close(got, expected.to(dtype))
    (grad,) = torch.autograd.grad(got.sum(), x)
    assert grad.dtype == dtype
    torch.testing.assert_close(grad, torch.autograd.grad(expected.sum(), full)[0].to(dtype))


def test_maximum_pooling_is_refused_by_name(ops):
    x = torch.zeros(1, 1, 4, 4)
    with pytest.raises(
        NotImplementedError, match="roi_align with pool_mode='max' is not part of this portable"
    ):
        ops.roi_align(x, torch.tensor([[0.0, 0, 0, 2, 2]]), 2, 1.0, 0, "max")
