"""The zoo's dictionaries build detectors that stock mmdet trains and tests."""

import numpy as np
import pytest
import torch
from mmcv import ConfigDict
from mmdet.core import BitmapMasks
from mmdet.models import build_detector
from vit_adapter import zoo

pytestmark = pytest.mark.filterwarnings("ignore:.*``avg_non_ignore``:UserWarning")

SMALL = {"embed_dim": 32, "num_heads": 2, "deform_num_heads": 4, "conv_inplane": 8}


def shrunk(config):
    """The published structure in a width a test can pay for."""
    config = ConfigDict(config)
    config.backbone.update(SMALL, drop_path_rate=0.1)
    for neck in config.neck if isinstance(config.neck, list) else [config.neck]:
        neck.in_channels = [32] * 4
        if neck.type == "ExtraAttention":
            neck.num_head = 4
    heads = config.roi_head.bbox_head
    for head in heads if isinstance(heads, list) else [heads]:
        head.fc_out_channels = 16
    config.backbone.update(depth=4, interaction_indexes=[[0, 0], [1, 1], [2, 2], [3, 3]])
    config.backbone.update(window_attn=True, window_size=[2, 2, 2, 7])
    stages = config.train_cfg.rcnn
    for stage in stages if isinstance(stages, list) else [stages]:
        stage.sampler.num = 8
    config.train_cfg.rpn_proposal.max_per_img = config.test_cfg.rpn.max_per_img = 8
    config.test_cfg.rcnn.max_per_img = 4
    return config


def truth():
    masks = np.zeros((2, 64, 96), dtype=np.uint8)
    masks[0, 8:40, 16:60] = masks[1, 30:60, 50:90] = 1
    return {
        "gt_bboxes": [torch.tensor([[16.0, 8.0, 60.0, 40.0], [50.0, 30.0, 90.0, 60.0]])],
        "gt_labels": [torch.tensor([0, 1])],
        "gt_masks": [BitmapMasks(masks, 64, 96)],
    }


META = {
    "img_shape": (64, 96, 3),
    "ori_shape": (64, 96, 3),
    "pad_shape": (64, 96, 3),
    "scale_factor": np.ones(4, dtype=np.float32),
    "flip": False,
}


@pytest.mark.parametrize(
    "config",
    [
        zoo.htcpp_beitv2_l("o365", num_classes=2, checkpointing=True),
        zoo.htcpp_beitv2_l("3x", num_classes=2, semantic=False),
        zoo.mask_rcnn_deit("small", fpn=False, num_classes=2),
        zoo.cascade_mask_rcnn_deit("small", num_classes=2),
    ],
    ids=["htc-o365", "htc-3x", "mask-mapper", "cascade"],
)
def test_a_detector_trains_a_step_and_predicts(config):
    torch.manual_seed(0)
    net = build_detector(shrunk(config))
    net.init_weights()
    extra = (
        {"gt_semantic_seg": torch.zeros(1, 1, 8, 12, dtype=torch.long)}
        if "semantic_head" in config["roi_head"]
        else {}
    )
    losses = net.forward_train(torch.randn(1, 3, 64, 96), [META], **truth(), **extra)
    total = sum(
        part
        for name, value in losses.items()
        if "loss" in name
        for part in (value if isinstance(value, list) else [value])
    )
    total.backward()
    assert torch.isfinite(total)
    assert net.backbone.patch_embed.proj.weight.grad.abs().sum() > 0
    with torch.no_grad():
        ((boxes, masks),) = net.eval().simple_test(torch.randn(1, 3, 64, 96), [META])
    assert len(boxes) == len(masks) == 2
