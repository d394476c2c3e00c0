"""What training does to a network changes its memory, never its numbers."""

import copy
import importlib
from pathlib import Path

import mmdet
import numpy as np
import pytest
import torch
from mmcv import Config, ConfigDict
from mmdet.core import BitmapMasks
from mmdet.models import build_detector
from torch import nn
from torch.nn import functional as F

from benchmarks.network_probes import images, squares
from kit.local.training import prepare
from kit.local.training.target_masks import TargetMasks
from kit.models import build, names, spec, tiny
from kit.models import family as family_of
from kit.models.registry import sized
from tests.kit.models.test_cbnet import SMALL as CBNET
from tests.kit.models.test_detectors import SMALL
from tests.kit.models.test_detectors import SMALL as DETECTORS

CONFIGS = Path(mmdet.__file__).parent / ".mim/configs"


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


@pytest.mark.parametrize("config", [DETECTORS, CBNET], ids=["2fc", "4conv1fc"])
def test_a_prepared_cascade_has_mmdet_s_losses_and_gradients_from_the_published_settings(config):
    torch.manual_seed(0)
    prepared = prepare(build(config), config).train()
    theirs = build_detector(ConfigDict(with_training(config))).train()
    assert list(prepared.network.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict(prepared.network.state_dict())
    targets = [squares(90, 100, [(5, 8), (40, 50)])]
    padded, metas = prepared.prepared(images(1, 90, 100))
    masks = np.zeros((2, *padded.shape[-2:]), np.uint8)
    masks[:, :90, :100] = targets[0]["masks"].numpy()
    torch.manual_seed(1)
    one = prepared(images(1, 90, 100), targets)
    torch.manual_seed(1)
    expected = theirs.forward_train(
        padded,
        metas,
        gt_bboxes=[targets[0]["boxes"]],
        gt_labels=[torch.zeros(2, dtype=torch.long)],
        gt_masks=[BitmapMasks(masks, *padded.shape[-2:])],
    )
    other = {
        name: sum(value).sum() if isinstance(value, list) else value.sum()
        for name, value in expected.items()
        if "loss" in name
    }
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], atol=1e-6, rtol=1e-6)
    sum(one.values()).backward()
    sum(other.values()).backward()
    gradients = dict(theirs.named_parameters())
    for name, parameter in prepared.network.named_parameters():
        assert (parameter.grad is None) == (gradients[name].grad is None)
        if parameter.grad is not None:
            torch.testing.assert_close(parameter.grad, gradients[name].grad, atol=1e-5, rtol=1e-5)


def with_training(config):
    """Everything that mmdet's constructors take of a published cascade, losses and training settings too."""
    size = sized(config)[1]
    captured = []
    with pytest.MonkeyPatch.context() as patch:
        family = importlib.import_module(family_of(config["network"]))
        patch.setattr(family, "build_detector", lambda _, model: captured.append(model) or nn.Linear(1, 1))
        build(config)
    (model,) = captured
    smooth = {"type": "SmoothL1Loss", "beta": 1.0, "loss_weight": 1.0}
    giou = {"type": "GIoULoss", "loss_weight": 10.0}
    model["rpn_head"]["loss_cls"] = {"type": "CrossEntropyLoss", "use_sigmoid": True, "loss_weight": 1.0}
    model["rpn_head"]["loss_bbox"] = {**smooth, "beta": 1 / 9}
    for head in model["roi_head"]["bbox_head"]:
        head["loss_cls"] = {"type": "CrossEntropyLoss", "use_sigmoid": False, "loss_weight": 1.0}
        head["loss_bbox"] = giou if size.head == "4conv1fc" else smooth
        head["reg_decoded_bbox"] = size.head == "4conv1fc"
    for head in model["roi_head"]["mask_head"]:
        head["loss_mask"] = {"type": "CrossEntropyLoss", "use_mask": True, "loss_weight": 1.0}
    published = Config.fromfile(CONFIGS / "htc/htc_without_semantic_r50_fpn_1x_coco.py").model.train_cfg
    published.rpn.sampler.num = size.rpn_samples
    published.rpn_proposal.update(nms_pre=size.rpn_nms_pre[0], max_per_img=size.rpn_proposals[0])
    for stage in published.rcnn:
        stage.sampler.num = size.roi_samples
    return {**model, "train_cfg": published}


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
