import pytest
import torch
from torch import nn

from train_local.optimise import make_optimiser, set_learning_rate
from train_local.recipes.settings import Optimiser, ParameterGroup

SPARED = (ParameterGroup(match="1-D", decay_mult=0.0),)


@pytest.fixture
def module():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 1, 1))
    network[2].weight.requires_grad = False
    return network


def test_norms_and_biases_are_spared_only_where_asked(module):
    adam = Optimiser(name="adamw", lr=0.1, weight_decay=0.5, betas=(0.8, 0.9), amsgrad=True, groups=SPARED)
    decayed, spared = make_optimiser(module, adam).param_groups
    assert [parameter.ndim for parameter in decayed["params"]] == [4]
    assert [parameter.ndim for parameter in spared["params"]] == [1, 1, 1, 1]
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.5, 0.0)
    assert decayed["betas"] == (0.8, 0.9)
    assert decayed["amsgrad"]
    (everything,) = make_optimiser(module, Optimiser(name="sgd", lr=0.1, momentum=0.7)).param_groups
    assert len(everything["params"]) == 5, "what is frozen is left out"
    assert everything["momentum"] == 0.7


def test_the_learning_rate_is_that_of_every_group(module):
    optimiser = make_optimiser(module, Optimiser(name="adamw", lr=0.1, groups=SPARED))
    set_learning_rate(optimiser, 0.025)
    assert {group["lr"] for group in optimiser.param_groups} == {0.025}
    assert isinstance(optimiser, torch.optim.AdamW)
