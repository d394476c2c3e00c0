"""At published size each network is the published one."""

import json
import subprocess
import sys
from pathlib import Path

import mmdet
import pytest
import segmentation_models_pytorch as smp
import torch
from mmcv import Config
from mmdet.models import build_detector

from kit.models import build


def shapes(network):
    return {key: tuple(value.shape) for key, value in network.state_dict().items()}


@pytest.fixture(scope="module")
def listed():
    command = [sys.executable, "-m", "kit.models", "list", "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {row["name"]: row for row in json.loads(done.stdout)}


def test_the_u_net_has_the_size_of_the_published_one(listed):
    assert listed["unet-regnety16"]["parameters"] == 14_488_103
    with torch.device("meta"):
        original = smp.Unet("tu-regnety_016", encoder_weights=None)
        ours = build({"network": "unet-regnety16"})
    assert shapes(ours.network) == shapes(original)


def test_the_detector_is_the_one_of_mmdet_s_own_config_with_one_class_and_no_semantic_branch(listed):
    file = Path(mmdet.__file__).parent / ".mim/configs/detectors/detectors_htc_r50_1x_coco.py"
    config = Config.fromfile(file).model
    for key in ("semantic_roi_extractor", "semantic_head"):
        del config.roi_head[key]
    for head in (*config.roi_head.bbox_head, *config.roi_head.mask_head):
        head.num_classes = 1
    with torch.device("meta"):
        original = build_detector(config)
        ours = build({"network": "detectors-r50"})
    assert shapes(ours.network) == shapes(original)
    assert listed["detectors-r50"]["parameters"] == sum(p.numel() for p in original.parameters())


def test_the_detector_keeps_the_published_thresholds_and_losses():
    config = Config.fromfile(
        Path(mmdet.__file__).parent / ".mim/configs/detectors/detectors_htc_r50_1x_coco.py"
    ).model
    with torch.device("meta"):
        ours = build({"network": "detectors-r50"}).network
    assert ours.test_cfg.to_dict() == config.test_cfg.to_dict()
    assert ours.train_cfg.to_dict() == config.train_cfg.to_dict()
    assert ours.roi_head.stage_loss_weights == config.roi_head.stage_loss_weights
    assert [head.bbox_coder.stds for head in ours.roi_head.bbox_head] == [
        head.bbox_coder.target_stds for head in config.roi_head.bbox_head
    ]
    frozen = [name for name, parameter in ours.named_parameters() if not parameter.requires_grad]
    assert frozen
    assert all(".layer1." in name or "conv1" in name or "bn1" in name for name in frozen)


def test_the_list_says_what_each_output_means(listed):
    assert listed["unet-regnety16"]["output"] == "logit"
    assert listed["detectors-r50"]["output"] == "detections"
    assert listed["unet-regnety16"]["size_divisor"] == listed["detectors-r50"]["size_divisor"] == 32
