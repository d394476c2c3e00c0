"""The zoo's settings beside mmdet's own configurations, which the published ones name as their base."""

from pathlib import Path

import mmdet
import pytest
from mmcv import Config
from vit_adapter import zoo

CONFIGS = Path(mmdet.__file__).parent / ".mim/configs"
SOFT = {"nms": {"type": "soft_nms", "iou_threshold": 0.5}}
MASK, CASCADE, HTC = (
    "_base_/models/mask_rcnn_r50_fpn.py",
    "_base_/models/cascade_mask_rcnn_r50_fpn.py",
    "htc/htc_r50_fpn_1x_coco.py",
)


def spelt_out(value):
    """Plain dicts and lists, with the default that some configurations leave out."""
    if isinstance(value, dict):
        plain = {key: spelt_out(one) for key, one in value.items()}
        return {"match_low_quality": True, **plain} if plain.get("type") == "MaxIoUAssigner" else plain
    return [spelt_out(one) for one in value] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize(
    ("config", "path", "changed"),
    [
        (zoo.mask_rcnn_deit("small"), MASK, {}),
        (zoo.mask_rcnn_deit("small", fpn=False), MASK, {}),
        (zoo.mask_rcnn_augreg_l(), MASK, {}),
        (zoo.mask_rcnn_uniperceiver_b(), MASK, {}),
        (zoo.cascade_mask_rcnn_deit("base"), CASCADE, {}),
        (zoo.htcpp_beitv2_l("3x"), HTC, SOFT),
        (zoo.htcpp_beitv2_l("o365"), HTC, SOFT),
        (zoo.htcpp_augreg_l(), HTC, {**SOFT, "max_per_img": 300}),
    ],
    ids=["deit", "without FPN", "augreg", "uniperceiver", "cascade", "3x", "o365", "HTC++ augreg"],
)
def test_proposals_assignment_sampling_and_thresholds_are_those_of_the_base(config, path, changed):
    base = spelt_out(Config.fromfile(CONFIGS / path).model)
    base["test_cfg"]["rcnn"].update(changed)
    settings = spelt_out(config)
    for part in ("rpn_head", "train_cfg", "test_cfg"):
        assert settings[part] == base[part]
    ours, theirs = settings["roi_head"], base["roi_head"]
    assert ours.get("stage_loss_weights") == theirs.get("stage_loss_weights")
    # mmdet 2.22, which trained these, divides the semantic loss by all pixels; so does its default today.
    assert ours.get("semantic_head") == theirs.get("semantic_head")
