import pytest

from kit.errors import KitError
from train_local.recipes import loss_names


def test_losses_that_there_are_pass():
    loss_names.check(dict.fromkeys(loss_names.SEMANTIC, 1.0), "semantic")
    loss_names.check({}, "instance")


@pytest.mark.parametrize(
    ("weights", "kind", "problem"),
    [
        ({"lovas": 1.0}, "semantic", "no semantic loss is called 'lovas'"),
        ({"dice": 1.0}, "instance", "no instance loss is called 'dice'"),
        ({}, "semantic", "a semantic recipe needs a loss"),
    ],
)
def test_losses_that_there_are_not_are_told_with_those_there_are(weights, kind, problem):
    with pytest.raises(KitError, match=problem) as caught:
        loss_names.check(weights, kind)
    assert caught.value.fix.startswith("choose from ")
