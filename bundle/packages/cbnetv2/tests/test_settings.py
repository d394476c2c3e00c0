"""The zoo's settings beside the configurations that mmdet ships, and the semantic loss beside torch's."""

from pathlib import Path

import mmdet
import pytest
import torch
from cbnetv2 import zoo
from mmcv import Config, ConfigDict
from mmdet.models import build_detector
from torch import nn
from torch.nn import functional as F

from bundle.packages.cbnetv2.tests.miniatures import DETECTORS, batch, small_detector

CONFIGS = Path(mmdet.__file__).parent / ".mim/configs"

# The published configurations name these as their base and change the test of some.
SOFT = {"score_thr": 0.001, "nms": {"type": "soft_nms", "iou_threshold": 0.5}}
BASES = {
    "faster_rcnn_r50": ("_base_/models/faster_rcnn_r50_fpn.py", {}),
    "cascade_rcnn_res2net101": ("_base_/models/cascade_rcnn_r50_fpn.py", SOFT),
    "mask_rcnn_swin_t": ("_base_/models/mask_rcnn_r50_fpn.py", {}),
    "cascade_mask_rcnn_swin_t": ("_base_/models/cascade_mask_rcnn_r50_fpn.py", {}),
    "cascade_mask_rcnn_swin_s": ("_base_/models/cascade_mask_rcnn_r50_fpn.py", SOFT),
    "cascade_mask_rcnn_swin_b": ("_base_/models/cascade_mask_rcnn_r50_fpn.py", SOFT),
    "htc_swin_b": ("htc/htc_r50_fpn_1x_coco.py", SOFT),
    "htc_swin_l": ("htc/htc_r50_fpn_1x_coco.py", SOFT),
}


def spelt_out(value):
    """Plain dicts and lists, with the default that some configurations leave out."""
    if isinstance(value, dict):
        plain = {key: spelt_out(one) for key, one in value.items()}
        return {"match_low_quality": True, **plain} if plain.get("type") == "MaxIoUAssigner" else plain
    return [spelt_out(one) for one in value] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize("name", BASES)
def test_proposals_assignment_sampling_and_thresholds_are_those_of_the_base_configuration(name):
    path, changed = BASES[name]
    base = spelt_out(Config.fromfile(CONFIGS / path).model)
    base["test_cfg"]["rcnn"].update(changed)
    settings = spelt_out(getattr(zoo, name)())
    for part in ("rpn_head", "train_cfg", "test_cfg"):
        assert settings[part] == base[part]
    weights = "stage_loss_weights"
    assert settings["roi_head"].get(weights) == base["roi_head"].get(weights)


def test_the_semantic_loss_is_the_mean_over_the_pixels_that_count():
    settings = ConfigDict(zoo.htc_swin_b(sync_bn=False).copy())
    head = build_detector(ConfigDict(small_semantic(settings))).roi_head.semantic_head
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 183, 6, 7, generator=generator, dtype=torch.float64).requires_grad_()
    labels = torch.randint(0, 183, (2, 1, 6, 7), generator=generator)
    labels[:, :, 3:] = 255  # half of the pixels
    found = head.loss(logits, labels)
    # mmdet 2.14, which trained the published networks, has torch's own loss here.
    expected = 0.2 * nn.CrossEntropyLoss(ignore_index=255)(logits, labels[:, 0])
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)
    by_hand = 0.2 * -F.log_softmax(logits, 1).gather(1, labels.clamp(max=182))[labels < 255].mean()
    torch.testing.assert_close(found, by_hand, atol=1e-6, rtol=1e-6)
    mine, theirs = (torch.autograd.grad(value, [logits])[0] for value in (found, by_hand))
    torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-6)


def test_an_image_without_a_labelled_pixel_has_no_semantic_loss():
    detector = small_detector(DETECTORS["htc_semantic"]()).train()
    data = batch(semantic=True)
    data["gt_semantic_seg"].fill_(255)
    losses = detector.forward_train(**data)
    assert losses["loss_semantic_seg0_w0.5"] == losses["loss_semantic_seg1"] == 0


def small_semantic(settings):
    """The detector on a small backbone; its semantic head keeps its size."""
    settings["backbone"].update(embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 2, 4, 8])
    settings["neck"]["in_channels"] = [8, 16, 32, 64]
    return settings
