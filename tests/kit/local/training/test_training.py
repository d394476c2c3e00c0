"""What training does to a network changes its memory, never its numbers."""

import copy

import numpy as np
import pytest
import torch
from mmdet.core import BitmapMasks
from torch.nn import functional as F

from benchmarks.network_probes import images, squares
from kit.local.training import prepare
from kit.local.training.target_masks import TargetMasks
from kit.models import build, names, spec, tiny
from tests.kit.models.test_detectors import SMALL


@pytest.mark.parametrize("name", [name for name in names() if spec(name).kind == "instance"])
def test_checkpointing_changes_neither_losses_nor_gradients(name):
    targets = [squares(96, 128, [(5, 8), (40, 50)])]
    totals, gradients = [], []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        config = {**tiny(name), "checkpointing": checkpointing}
        light = prepare(build(config), config).train()
        torch.manual_seed(1)
        total = torch.stack(list(light.losses(images(1, 96, 128), targets).values())).sum()
        total.backward()
        totals.append(total.detach())
        gradients.append([parameter.grad for parameter in light.network.parameters()])
    assert torch.equal(*totals)
    for kept, again in zip(*gradients, strict=True):
        torch.testing.assert_close(kept, again)


@pytest.mark.parametrize("padded", [(90, 100), (96, 128)])
@pytest.mark.parametrize("binarize", [True, False])
def test_boxes_see_of_their_instance_what_they_see_in_mmdet(padded, binarize):
    generator = torch.Generator().manual_seed(3)
    mask_NHW = F.interpolate(torch.rand(3, 1, 9, 10, generator=generator), (90, 100))[:, 0] > 0.5
    corner = torch.rand(8, 2, generator=generator) * 60
    boxes = torch.cat([corner, corner + 2 + 28 * torch.rand(8, 2, generator=generator)], dim=1).numpy()
    which = np.array([0, 2, 1, 1, 0, 2, 2, 0])
    rows, columns = padded[0] - 90, padded[1] - 100
    full_NHW = F.pad(mask_NHW, (0, columns, 0, rows)).numpy().astype(np.uint8)
    asked = {"device": torch.device("cpu"), "inds": which, "binarize": binarize}
    theirs = BitmapMasks(full_NHW, *padded).crop_and_resize(boxes, (28, 28), **asked).to_ndarray()
    ours = TargetMasks(mask_NHW, *padded).crop_and_resize(boxes, (28, 28), **asked).to_ndarray()
    assert 0 < ours.mean() < 1
    assert np.array_equal(ours, theirs)


def losses(module, targets):
    torch.manual_seed(1)
    return module.losses(images(1, 90, 100), targets)


def test_a_prepared_cascade_has_the_losses_and_names_of_one_that_is_not():
    torch.manual_seed(0)
    plain = build(SMALL).train()
    prepared = prepare(copy.deepcopy(plain), SMALL)
    targets = [squares(90, 100, [(5, 8), (40, 50)])]
    one, other = losses(plain, targets), losses(prepared, targets)
    assert list(plain.state_dict()) == list(prepared.state_dict())
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_block_keeps_less_for_the_backward_pass_also_in_a_copy():
    kept = []
    for checkpointing in (False, True):
        config = {**SMALL, "checkpointing": checkpointing}
        module = copy.deepcopy(prepare(build(config), config)).train()
        stored = []

        def store(tensor, stored=stored):
            stored.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(store, lambda tensor: tensor):
            module.network.extract_feat(torch.randn(1, 3, 96, 96))
        kept.append(sum(stored))
    assert kept[1] < 0.6 * kept[0]


def test_a_copy_computes_with_its_own_parameters():
    config = {**SMALL, "checkpointing": True}
    module = prepare(build(config), config).train()
    other = copy.deepcopy(module)
    for parameter in other.parameters():
        parameter.data.zero_()
    x_NCHW = torch.randn(1, 3, 96, 96)
    assert not module.network.extract_feat(x_NCHW)[0].eq(0).all()
    assert other.network.extract_feat(x_NCHW)[0].eq(0).all()
