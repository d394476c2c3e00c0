import pytest
import torch
from torch import nn

from train_local.engine.ema import MovingAverage, lent
from train_local.recipes.settings import Ema


def changed(module):
    with torch.no_grad():
        module.weight.add_(0.5)
    module.running_mean.sub_(0.25)
    module.num_batches_tracked.add_(1)


@pytest.mark.parametrize("ramp", [False, True])
def test_mean_follows_the_decay_for_parameters_and_buffers(ramp):
    module = nn.BatchNorm1d(1)
    average = MovingAverage(module, Ema(decay=0.9, ramp=ramp))
    expected_weight, expected_mean = torch.ones(1), torch.zeros(1)
    for update in range(1, 40):
        changed(module)
        average.update()
        decay = min(0.9, (1 + update) / (10 + update)) if ramp else 0.9
        expected_weight = decay * expected_weight + (1 - decay) * module.weight.detach()
        expected_mean = decay * expected_mean + (1 - decay) * module.running_mean
    assert torch.allclose(average.state["weight"], expected_weight)
    assert torch.allclose(average.state["running_mean"], expected_mean)
    assert average.state["num_batches_tracked"] == 39


def test_without_a_ramp_it_is_torch_s_own_average():
    module = nn.BatchNorm1d(1)
    average = MovingAverage(module, Ema(decay=0.995))
    theirs = torch.optim.swa_utils.AveragedModel(
        module, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.995), use_buffers=True
    )
    theirs.update_parameters(module)  # the first call copies
    for _ in range(20):
        changed(module)
        average.update()
        theirs.update_parameters(module)
    for name in ("weight", "bias", "running_mean", "running_var"):
        assert torch.allclose(average.state[name], theirs.module.state_dict()[name])


def test_it_follows_weights_that_were_loaded():
    module = nn.Linear(2, 2)
    average = MovingAverage(module, Ema(decay=0.0))
    module.load_state_dict({"weight": torch.full((2, 2), 3.0), "bias": torch.zeros(2)})
    average.update()
    assert torch.equal(average.state["weight"], module.weight)


def test_lent_weights_and_the_mode_are_given_back():
    module = nn.Linear(2, 2)
    average = MovingAverage(module, Ema(decay=0.5))
    first = module.weight.detach().clone()
    with torch.no_grad():
        module.weight.fill_(3)
    module.train()
    with lent(module, average.state):
        assert torch.equal(module.weight, first)
        assert not module.training
    assert (module.weight == 3).all()
    assert module.training
    with lent(module, None):
        assert (module.weight == 3).all()
        assert not module.training
