import math

import pytest
import torch
from mmseg.models.losses import CrossEntropyLoss, LovaszLoss
from segmentation_models_pytorch.losses import DiceLoss

from kit.errors import KitError
from kit.local.training import prepare
from kit.models import InstanceTarget, build, tiny
from kit.models.network import Auxiliary, Logits
from train_local.engine import losses
from train_local.recipes import loss_names


def one(logit_N1HW):
    return Logits(logit_N1HW, {})


def test_weights_multiply_each_loss():
    logit, target = torch.randn(2, 1, 8, 8), torch.rand(2, 1, 8, 8).round()
    once, thrice = (losses.semantic({"bce": w, "dice": 2 * w}, one(logit), target) for w in (1.0, 3.0))
    assert float(thrice["bce"]) == pytest.approx(3 * float(once["bce"]))
    assert float(thrice["dice"]) == pytest.approx(3 * float(once["dice"]))


def test_known_values():
    zero, full = torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)
    terms = losses.semantic({"bce": 1.0, "dice": 1.0}, one(zero), full)
    assert float(terms["bce"]) == pytest.approx(math.log(2))
    # p = 0.5 everywhere, truth everywhere: 1 - 2 * 8 / (8 + 16)
    assert float(terms["dice"]) == pytest.approx(1 / 3, rel=1e-5)


@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
def test_dice_is_twice_the_product_over_the_sum_as_published(soft):
    generator = torch.Generator().manual_seed(0)
    logit = torch.randn(3, 1, 9, 7, generator=generator).requires_grad_()
    target = torch.rand(3, 1, 9, 7, generator=generator)
    target = target if soft else target.round()
    (value,) = losses.semantic({"dice": 1.0}, one(logit), target).values()
    value.backward()
    p, t = (1 / (1 + (-logit.detach().double()).exp())).flatten(), target.double().flatten()
    overlap, total = sum(a * b for a, b in zip(p, t, strict=True)), p.sum() + t.sum()
    assert float(value.detach()) == pytest.approx(float(1 - 2 * overlap / total), abs=1e-6)
    # d/dp of -2 o / s is -2 (t s - o) / s^2, and dp/dlogit is p (1 - p).
    gradient = -2 * (t * total - overlap) / total**2 * p * (1 - p)
    torch.testing.assert_close(logit.grad.double().flatten(), gradient, atol=1e-6, rtol=1e-6)
    newer = DiceLoss("binary")(logit.detach(), target)  # of the segmentation_models_pytorch that we have
    assert (abs(float(newer) - float(value.detach())) < 1e-6) != soft


def test_a_batch_without_foreground_has_no_dice_loss():
    logit = torch.randn(2, 1, 8, 8, requires_grad=True)
    (value,) = losses.semantic({"dice": 1.0}, one(logit), torch.zeros(2, 1, 8, 8)).values()
    value.backward()
    assert float(value.detach()) == 0
    assert not logit.grad.any()


def test_half_precision_logits_do_not_overflow():
    logit = torch.full((1, 1, 512, 512), 3.0, dtype=torch.float16)
    terms = losses.semantic({"bce": 1.0, "dice": 1.0}, one(logit), torch.ones(1, 1, 512, 512))
    both = Logits(torch.cat([logit, -logit], dim=1), {"stage2": Auxiliary(logit[..., ::16, ::16], 16)})
    names = {"cross_entropy": 1.0, "lovasz": 1.0, "auxiliary_bce": 1.0}
    terms |= losses.semantic(names, both, torch.ones(1, 1, 512, 512))
    assert all(bool(torch.isfinite(value)) for value in terms.values())


def test_cross_entropy_over_two_classes_is_the_binary_one_of_their_difference():
    two, target = torch.randn(2, 2, 8, 8), torch.rand(2, 1, 8, 8)
    (softmax,) = losses.semantic({"cross_entropy": 1.0}, Logits(two, {}), target).values()
    (binary,) = losses.semantic({"bce": 1.0}, one(two[:, 1:] - two[:, :1]), target).values()
    assert float(softmax) == pytest.approx(float(binary), rel=1e-5)


def test_lovasz_of_hard_predictions_is_one_minus_the_mean_iou_of_each_image():
    """What the Lovasz extension is at the corners of the cube (Berman et al., section 2)."""
    generator = torch.Generator().manual_seed(0)
    predicted, target = (torch.rand(3, 1, 16, 16, generator=generator) > limit for limit in (0.4, 0.7))
    logit = torch.where(predicted, 40.0, -40.0)
    (value,) = losses.semantic(
        {"lovasz": 1.0}, Logits(torch.cat([-logit, logit], dim=1), {}), target.float()
    ).values()
    expected = []
    for found, true in zip(predicted, target, strict=True):
        ious = [
            float((one & other).sum() / (one | other).sum())
            for one, other in ((found, true), (~found, ~true))
        ]
        expected.append(1 - sum(ious) / 2)
    assert float(value) == pytest.approx(sum(expected) / 3, rel=1e-5)


@pytest.mark.filterwarnings("ignore:.*Default ``avg_non_ignore`` is False")
@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("lovasz", lambda: LovaszLoss(per_image=True, reduction="mean", loss_weight=3.0)),
        ("cross_entropy", lambda: CrossEntropyLoss(loss_weight=3.0)),
    ],
)
def test_losses_of_two_classes_are_mmseg_s(name, published):
    generator = torch.Generator().manual_seed(0)
    two = torch.randn(3, 2, 16, 16, generator=generator).requires_grad_()
    target = torch.rand(3, 1, 16, 16, generator=generator).round()
    target[1] = 0  # a class that does not occur does not count
    (value,) = losses.semantic({name: 3.0}, Logits(two, {}), target).values()
    expected = published()(two, target[:, 0].long())
    assert float(value.detach()) == pytest.approx(float(expected.detach()), abs=1e-6)
    mine, theirs = (torch.autograd.grad(loss, [two])[0] for loss in (value, expected))
    torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-6)


def test_auxiliary_logits_are_compared_with_the_nearest_pixels_of_the_target():
    logit = torch.randn(2, 1, 3, 5)
    target = torch.rand(2, 1, 48, 80)
    (value,) = losses.semantic(
        {"auxiliary_bce": 0.2}, Logits(torch.randn(2, 1, 48, 80), {"stage2": Auxiliary(logit, 16)}), target
    ).values()
    nearest = torch.nn.functional.interpolate(target, (3, 5), mode="nearest")
    expected = 0.2 * torch.nn.functional.binary_cross_entropy_with_logits(logit, nearest)
    assert float(value) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize(
    ("name", "channels", "others"),
    [("bce", 2, "cross_entropy and lovasz"), ("dice", 2, "cross_entropy"), ("lovasz", 1, "bce and dice")],
)
def test_a_loss_of_another_number_of_logits_is_told(name, channels, others):
    with pytest.raises(
        KitError, match=rf"loss '{name}' takes \d logits per pixel, and the network gives"
    ) as caught:
        losses.semantic({name: 1.0}, Logits(torch.zeros(1, channels, 2, 2), {}), torch.zeros(1, 1, 2, 2))
    assert others in caught.value.fix


def test_an_auxiliary_loss_without_auxiliary_heads_is_told():
    with pytest.raises(KitError, match="'auxiliary_bce' needs auxiliary heads, and the network has none"):
        losses.semantic({"auxiliary_bce": 0.2}, one(torch.zeros(1, 1, 2, 2)), torch.zeros(1, 1, 2, 2))


def test_each_semantic_name_is_a_loss():
    assert set(losses.TERMS) == set(loss_names.SEMANTIC)


def test_an_unknown_loss_is_told_with_the_known_ones():
    with pytest.raises(KitError, match="no semantic loss is called 'focal'") as caught:
        loss_names.check({"focal": 1.0}, "semantic")
    assert caught.value.fix == "choose from bce, dice, cross_entropy, lovasz, auxiliary_bce"
    with pytest.raises(KitError, match="no instance loss is called 'bce'") as caught:
        loss_names.check({"loss_mask": 1.0, "bce": 1.0}, "instance")
    assert "loss_rpn_cls" in caught.value.fix
    with pytest.raises(KitError, match="a semantic recipe needs a loss"):
        loss_names.check({}, "semantic")
    loss_names.check({}, "instance")


@pytest.mark.parametrize("network", ["detectors-r50", "cbnetv2-swin-b"])
def test_the_known_ends_are_those_of_a_detector_s_losses(network):
    module = prepare(build(tiny(network)), tiny(network)).train()
    target = InstanceTarget(boxes=torch.zeros(0, 4), masks=torch.zeros(0, 96, 96, dtype=torch.bool))
    terms = module(torch.zeros(1, 3, 96, 96, dtype=torch.uint8), [target])
    named = {key: [name for name in loss_names.INSTANCE if name in key] for key in terms}
    assert all(len(names) == 1 for names in named.values()), "each loss has one of the names"
    assert {names[0] for names in named.values()} == set(loss_names.INSTANCE)
    weighted = losses.weighted(dict.fromkeys(loss_names.INSTANCE, 0.0), terms)
    assert all(float(value.detach()) == 0.0 for value in weighted.values())


def test_a_detector_s_losses_are_weighted_by_the_end_of_their_names():
    terms = {
        "loss_rpn_cls": torch.tensor(1.0),
        "s0.loss_mask": torch.tensor(1.0),
        "s1.loss_mask": torch.tensor(2.0),
    }
    weighted = losses.weighted({"loss_mask": 2.0}, terms)
    assert {name: float(value) for name, value in weighted.items()} == {
        "loss_rpn_cls": 1.0,
        "s0.loss_mask": 2.0,
        "s1.loss_mask": 4.0,
    }


def test_a_weight_is_for_the_assistant_s_and_the_lead_s_losses_of_a_composite_backbone():
    terms = {
        "loss_rpn_cls0_w0.5": torch.tensor(0.5),
        "s0.loss_mask0_w0.5": torch.tensor(0.5),
        "s2.loss_mask1": torch.tensor(1.0),
        "s2.loss_bbox1": torch.tensor(1.0),
    }
    weighted = losses.weighted({"loss_mask": 2.0, "rpn_cls": 3.0}, terms)
    assert {name: float(value) for name, value in weighted.items()} == {
        "loss_rpn_cls0_w0.5": 1.5,
        "s0.loss_mask0_w0.5": 1.0,
        "s2.loss_mask1": 2.0,
        "s2.loss_bbox1": 1.0,
    }
    with pytest.raises(KitError, match="no loss that ends in 'loss_iou'") as caught:
        losses.weighted({"loss_iou": 2.0}, terms)
    assert caught.value.fix == "it has loss_rpn_cls, s0.loss_mask, s2.loss_mask, s2.loss_bbox"


def test_a_weight_for_no_loss_is_told():
    with pytest.raises(KitError, match="no loss that ends in 'loss_masks'"):
        losses.weighted({"loss_masks": 2.0}, {"s0.loss_mask": torch.tensor(1.0)})
