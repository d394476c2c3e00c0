import torch
from torch import nn

from train_local.ema import MovingAverage


def test_mean_follows_the_rising_decay_for_parameters_and_buffers():
    module = nn.BatchNorm1d(1)
    average = MovingAverage(module, 0.9)
    expected_weight, expected_mean = torch.ones(1), torch.zeros(1)
    for update in range(1, 40):
        with torch.no_grad():
            module.weight.add_(0.5)
        module.running_mean.sub_(0.25)
        module.num_batches_tracked.add_(1)
        average.update(module)
        decay = min(0.9, (1 + update) / (10 + update))
        expected_weight = decay * expected_weight + (1 - decay) * module.weight.detach()
        expected_mean = decay * expected_mean + (1 - decay) * module.running_mean
    assert torch.allclose(average.state["weight"], expected_weight)
    assert torch.allclose(average.state["running_mean"], expected_mean)
    assert average.state["num_batches_tracked"] == 39


def test_no_decay_keeps_the_latest_weights():
    module = nn.Linear(2, 2)
    average = MovingAverage(module, 0.0)
    with torch.no_grad():
        module.weight.fill_(3)
    average.update(module)
    assert torch.equal(average.state["weight"], module.weight)


def test_applied_lends_the_means_and_gives_weights_and_mode_back():
    module = nn.Linear(2, 2)
    average = MovingAverage(module, 0.5)
    first = module.weight.detach().clone()
    with torch.no_grad():
        module.weight.fill_(3)
    module.train()
    with average.applied(module):
        assert torch.equal(module.weight, first)
        assert not module.training
    assert (module.weight == 3).all()
    assert module.training
