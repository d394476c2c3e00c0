import pytest
import torch
from torch.autograd import grad, gradcheck


def slow_focal_loss(x, target, gamma, alpha, weight):
    """Element by element from the definition; rows of no class are not weighted."""
    rows = []
    for logits, label in zip(x, target.tolist(), strict=True):
        elements = []
        for number, logit in enumerate(logits):
            p = 1 / (1 + torch.exp(-logit))
            if number == label:
                loss = -alpha * (1 - p) ** gamma * torch.log(p)
            else:
                loss = -(1 - alpha) * p**gamma * torch.log(1 - p)
            known = weight is not None and 0 <= label < len(weight)
            elements.append(loss * weight[label] if known else loss)
        rows.append(torch.stack(elements))
    return torch.stack(rows)


TARGET = torch.tensor([0, 2, 3, 1, -1])
"""Classes 0..2; 3 and -1 are background."""


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("gamma", [2.0, 0.0, 1.5])
@pytest.mark.parametrize("weighted", [False, True])
def test_loss_and_gradient_equal_the_definition(ops, device, reduction, gamma, weighted):
    x = (3 * torch.randn(5, 3, dtype=torch.float64, device=device)).requires_grad_()
    weight = torch.tensor([0.5, 2.0, 3.0], dtype=torch.float64, device=device) if weighted else None
    target = TARGET.to(device)
    got = ops.sigmoid_focal_loss(x, target, gamma, 0.25, weight, reduction)
    expected = slow_focal_loss(x, target, gamma, 0.25, weight)
    if reduction != "none":
        expected = expected.sum() / (len(x) if reduction == "mean" else 1)
    torch.testing.assert_close(got, expected)
    # mmcv multiplies by the incoming gradient itself; a plain sum shows what the operator gives.
    torch.testing.assert_close(grad(got.sum(), x), grad(expected.sum(), x))


def test_gradient_equals_finite_differences(ops, device):
    x = torch.randn(5, 3, dtype=torch.float64, device=device, requires_grad=True)
    assert gradcheck(lambda x: ops.sigmoid_focal_loss(x, TARGET.to(device), 2.0, 0.25, None, "none"), x)


def test_huge_logits_neither_overflow_nor_lose_their_gradient(ops, device):
    x = torch.tensor([[-200.0], [200.0]], device=device, requires_grad=True)
    loss = ops.sigmoid_focal_loss(x, torch.tensor([0, 1], device=device), 2.0, 0.25, None, "none")
    torch.testing.assert_close(loss.tolist(), [[50.0], [150.0]])
    torch.testing.assert_close(grad(loss.sum(), x)[0].tolist(), [[-0.25], [0.75]])


def test_no_rows(ops, device):
    x = torch.zeros(0, 3, device=device, requires_grad=True)
    loss = ops.sigmoid_focal_loss(x, torch.zeros(0, dtype=torch.int64, device=device), 2.0, 0.25, None, "sum")
    assert loss.item() == 0
    assert grad(loss, x)[0].shape == (0, 3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_full_and_rounded_once(ops, device, dtype):
    x = torch.randn(5, 3, device=device).to(dtype)
    target = TARGET.to(device)
    got = ops.sigmoid_focal_loss(x, target, 2.0, 0.25, None, "none")
    assert got.dtype == dtype
    torch.testing.assert_close(
        got, ops.sigmoid_focal_loss(x.float(), target, 2.0, 0.25, None, "none").to(dtype)
    )
