import math

import pytest
import torch

from kit.errors import KitError
from train_local import losses


def test_weights_multiply_each_loss():
    logit, target = torch.randn(2, 1, 8, 8), torch.rand(2, 1, 8, 8).round()
    once, thrice = (losses.semantic({"bce": w, "dice": 2 * w}, logit, target) for w in (1.0, 3.0))
    assert float(thrice["bce"]) == pytest.approx(3 * float(once["bce"]))
    assert float(thrice["dice"]) == pytest.approx(3 * float(once["dice"]))


def test_known_values():
    zero, one = torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)
    terms = losses.semantic({"bce": 1.0, "dice": 1.0}, zero, one)
    assert float(terms["bce"]) == pytest.approx(math.log(2))
    # p = 0.5 everywhere, truth everywhere: 1 - 2 * 8 / (8 + 16)
    assert float(terms["dice"]) == pytest.approx(1 / 3, rel=1e-5)


def test_half_precision_logits_do_not_overflow():
    logit = torch.full((1, 1, 512, 512), 3.0, dtype=torch.float16)
    terms = losses.semantic({"bce": 1.0, "dice": 1.0}, logit, torch.ones(1, 1, 512, 512))
    assert all(bool(torch.isfinite(value)) for value in terms.values())


def test_an_unknown_loss_is_told_with_the_known_ones():
    with pytest.raises(KitError, match="no loss is called 'focal'") as caught:
        losses.semantic({"focal": 1.0}, torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2))
    assert caught.value.fix == "choose from bce, dice"


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


def test_a_weight_for_no_loss_is_told():
    with pytest.raises(KitError, match="no loss that ends in 'loss_masks'"):
        losses.weighted({"loss_masks": 2.0}, {"s0.loss_mask": torch.tensor(1.0)})
