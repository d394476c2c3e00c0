"""Full-size networks, built without memory: their sizes and every key against the published files."""

import pytest
import torch
from cbnetv2 import zoo
from mmcv import ConfigDict
from mmdet.models import build_detector

from bundle.packages.cbnetv2.tests import tables

SWIN_DEPTHS = (2, 2, 18, 2)
RESNET_WIDTHS = (256, 512, 1024, 2048)


def swin(channels, depths, first_heads):
    heads = [first_heads * 2**stage for stage in range(4)]
    widths = [channels * 2**stage for stage in range(4)]
    backbone = tables.below("backbone", tables.cb_swin(channels, depths, heads))
    return backbone | tables.neck_and_rpn(widths)


def boxes(stages, convolutions, regressed):
    keys = {}
    for stage in range(stages):
        keys |= tables.box_head(f"roi_head.bbox_head.{stage}", convolutions, regressed)
    return keys


def masks(residual):
    keys = {}
    for stage in range(3):
        keys |= tables.mask_head(f"roi_head.mask_head.{stage}", residual and stage > 0)
    return keys


def htc(channels, first_heads, convolutions):
    roi = boxes(3, convolutions, 4) | masks(residual=True) | tables.semantic_head()
    return swin(channels, SWIN_DEPTHS, first_heads) | roi


def cascade_mask(channels, depths, first_heads):
    return swin(channels, depths, first_heads) | boxes(3, 4, 320) | masks(residual=False)


def mask_swin_t():
    roi = tables.box_head("roi_head.bbox_head", 0, 320) | tables.mask_head("roi_head.mask_head")
    return swin(96, (2, 2, 6, 2), 3) | roi


def faster():
    backbone = tables.below("backbone", tables.cb_resnet50())
    return backbone | tables.neck_and_rpn(RESNET_WIDTHS) | tables.box_head("roi_head.bbox_head", 0, 320)


def cascade(convolutions, regressed):
    backbone = tables.below("backbone", tables.cb_res2net101())
    return backbone | tables.neck_and_rpn(RESNET_WIDTHS) | boxes(3, convolutions, regressed)


# Name: settings, keys in the published file, their number, parameters of detector and backbone in millions.
PUBLISHED = {
    "faster_rcnn_r50": (zoo.faster_rcnn_r50, faster(), 641, 69.6, 51.38),
    "cascade_res2net101_2fc": (zoo.cascade_rcnn_res2net101, cascade(0, 4), 2392, 141.3, 95.41),
    "cascade_res2net101_4conv1fc": (
        lambda: zoo.cascade_rcnn_res2net101("4conv1fc"),
        cascade(4, 320),
        2458,
        146.2,
        95.41,
    ),
    "mask_rcnn_swin_t": (zoo.mask_rcnn_swin_t, mask_swin_t(), 428, 76.0, 55.68),
    "cascade_mask_swin_t": (
        zoo.cascade_mask_rcnn_swin_t,
        cascade_mask(96, (2, 2, 6, 2), 3),
        534,
        113.8,
        55.68,
    ),
    "cascade_mask_swin_s": (
        zoo.cascade_mask_rcnn_swin_s,
        cascade_mask(96, SWIN_DEPTHS, 3),
        870,
        156.4,
        98.32,
    ),
    "cascade_mask_swin_b": (
        zoo.cascade_mask_rcnn_swin_b,
        cascade_mask(128, SWIN_DEPTHS, 4),
        870,
        232.9,
        174.63,
    ),
    "htc_swin_b_2fc": (lambda: zoo.htc_swin_b("2fc"), htc(128, 4, 0), 830, 230.9, 174.63),
    "htc_swin_b_4conv1fc": (zoo.htc_swin_b, htc(128, 4, 4), 896, 234.8, 174.63),
    "htc_swin_l": (zoo.htc_swin_l, htc(192, 6, 4), 896, 453.0, 392.57),
}


@pytest.fixture(scope="module", params=PUBLISHED)
def published(request):
    settings, keys, number, parameters, of_backbone = PUBLISHED[request.param]
    with torch.device("meta"):
        detector = build_detector(ConfigDict(settings()))
    return detector, keys, number, parameters, of_backbone


def test_parameters_agree_with_the_published_count(published):
    detector, _, _, parameters, of_backbone = published
    assert millions(detector) == pytest.approx(parameters, abs=0.1)
    assert millions(detector.backbone) == pytest.approx(of_backbone, abs=0.006)


def test_every_key_and_shape_is_the_published_one_but_for_the_index_buffers(published):
    detector, keys, number, _, _ = published
    assert len(keys) == number
    kept = {key: shape for key, shape in keys.items() if not key.endswith(tables.INDEX)}
    assert {key: tuple(value.shape) for key, value in detector.state_dict().items()} == kept


def test_the_semantic_branch_can_be_left_out():
    with torch.device("meta"):
        detector = build_detector(ConfigDict(zoo.htc_swin_b(semantic=False, num_classes=1, sync_bn=False)))
    without = {key for key in htc(128, 4, 4) if "semantic" not in key and not key.endswith(tables.INDEX)}
    assert set(detector.state_dict()) == without
    assert detector.roi_head.bbox_head[0].fc_cls.out_features == 2
    assert not any(isinstance(module, torch.nn.SyncBatchNorm) for module in detector.modules())


def test_the_box_heads_of_the_large_settings_gather_statistics_as_published():
    convolution = zoo.htc_swin_l()["roi_head"]["bbox_head"][0]
    assert convolution["norm_cfg"]["type"] == "SyncBN"


def test_an_unknown_box_head_is_named():
    with pytest.raises(ValueError, match=r"no box head '3fc'; choose '2fc' or '4conv1fc'"):
        zoo.htc_swin_b("3fc")


def millions(module):
    return sum(parameter.numel() for parameter in module.parameters()) / 1e6
