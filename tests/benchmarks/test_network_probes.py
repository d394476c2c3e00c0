"""What the benchmarks and the tests of the models feed a network."""

import pytest
import torch
from torch import nn

from benchmarks.network_probes import channels_last, images, loss, squares
from kit.local.training import prepare
from kit.models import build, tiny


def test_the_border_of_the_image_cuts_a_square():
    target = squares(50, 60, [(40, 10), (0, 0)], side=30)
    assert target["boxes"].tolist() == [[10, 40, 40, 50], [0, 0, 30, 30]]
    assert target["masks"].sum(dim=(1, 2)).tolist() == [300, 900]
    assert target["masks"][0, 40:, 10:40].all()


def test_the_seed_decides_the_images():
    x_NCHW = images(2, 4, 5, seed=7)
    assert x_NCHW.shape == (2, 3, 4, 5)
    assert x_NCHW.dtype == torch.uint8
    assert torch.equal(x_NCHW, images(2, 4, 5, seed=7))
    assert not torch.equal(x_NCHW, images(2, 4, 5, seed=8))


@pytest.mark.parametrize("name", ["segformer-b0", "detectors-r50"])
def test_the_loss_reaches_every_trained_parameter(name):
    torch.manual_seed(0)
    module = prepare(build(tiny(name)), tiny(name)).train()
    loss(module, images(2, 96, 128)).backward()
    left = [key for key, value in module.named_parameters() if value.requires_grad and value.grad is None]
    assert not left


def test_only_torchs_own_convolutions_change_their_layout():
    class Standardised(nn.Conv2d):
        pass

    module = channels_last(nn.Sequential(nn.Conv2d(3, 4, 3), Standardised(4, 5, 3)))
    assert module[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert not module[1].weight.is_contiguous(memory_format=torch.channels_last)
