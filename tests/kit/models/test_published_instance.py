"""At published size each instance network is the published one, in everything that is not a weight."""

from pathlib import Path

import cbnetv2.zoo
import mmdet
import pytest
import torch
import vit_adapter.zoo
from mmcv import Config, ConfigDict
from mmdet.models import build_detector

from kit.local.training import prepare
from kit.models import build

CONFIGS = Path(mmdet.__file__).parent / ".mim" / "configs"


def detectors(grouped):
    """mmdet's own, with one class, no semantic branch and no weights; of ResNeXts it only has the sizes."""
    config = Config.fromfile(CONFIGS / "detectors/detectors_htc_r50_1x_coco.py").model
    for key in ("semantic_roi_extractor", "semantic_head"):
        del config.roi_head[key]
    for head in (*config.roi_head.bbox_head, *config.roi_head.mask_head):
        head.num_classes = 1
    config.backbone.init_cfg = config.neck.rfp_backbone.pretrained = None
    if grouped:
        sizes = Config.fromfile(CONFIGS / "htc/htc_x101_32x4d_fpn_16x1_20e_coco.py").model.backbone
        for backbone in (config.backbone, config.neck.rfp_backbone):
            backbone.update(type="DetectoRS_ResNeXt")
            backbone.update({key: sizes[key] for key in ("depth", "groups", "base_width")})
    return config


def composite(head):
    return ConfigDict(cbnetv2.zoo.htc_swin_b(head, 1, semantic=False, sync_bn=False))


def adapter(layout):
    return ConfigDict(vit_adapter.zoo.htcpp_beitv2_l(layout, num_classes=1, semantic=False))


PUBLISHED = {
    "detectors-r50": ({}, lambda: detectors(grouped=False)),
    "detectors-x101": ({}, lambda: detectors(grouped=True)),
    "cbnetv2-swin-b": ({}, lambda: composite("4conv1fc")),
    "cbnetv2-swin-b, 2fc": ({"head": "2fc"}, lambda: composite("2fc")),
    "vit-adapter-l": ({}, lambda: adapter("o365")),
    "vit-adapter-l-3x": ({}, lambda: adapter("3x")),
}


@pytest.fixture(params=PUBLISHED, scope="module")
def pair(request):
    """Our network and the one of the published configuration, without memory."""
    options, config = PUBLISHED[request.param]
    with torch.device("meta"):
        ours = {"network": request.param.split(",")[0], **options}
        return prepare(build(ours), ours).network.train(), build_detector(config()).train()


def settings(network):
    """Every plain number and word the modules hold: strides, rates, scales, loss weights, momenta, ..."""
    plain = (bool, int, float, str, tuple, type(None))
    return {
        name: {key: value for key, value in vars(module).items() if isinstance(value, plain)}
        for name, module in network.named_modules()
    }


def test_names_and_shapes_are_equal(pair):
    ours, theirs = pair
    assert {k: v.shape for k, v in ours.state_dict().items()} == {
        k: v.shape for k, v in theirs.state_dict().items()
    }


def test_every_setting_is_equal(pair):
    ours, theirs = map(settings, pair)
    assert ours == theirs


def test_boxes_are_encoded_equally(pair):
    coders = [
        [(head.bbox_coder.means, head.bbox_coder.stds) for head in network.roi_head.bbox_head]
        for network in pair
    ]
    assert coders[0] == coders[1]
    assert pair[0].roi_head.stage_loss_weights == pair[1].roi_head.stage_loss_weights


def test_what_training_adds_is_equal(pair):
    ours, theirs = map(training_parts, pair)
    assert ours == theirs


def training_parts(network):
    """Classes and plain settings of every assigner, sampler and loss."""
    rpn, roi = network.rpn_head, network.roi_head
    parts = [rpn.assigner, rpn.sampler, *roi.bbox_assigner, *roi.bbox_sampler, rpn.loss_cls, rpn.loss_bbox]
    parts += [loss for head in roi.bbox_head for loss in (head.loss_cls, head.loss_bbox)]
    parts += [head.loss_mask for head in roi.mask_head]
    plain = (bool, int, float, str, tuple, type(None))
    return [
        (type(part).__name__, {key: value for key, value in vars(part).items() if isinstance(value, plain)})
        for part in parts
    ] + [rpn.sampling, rpn.reg_decoded_bbox, *(head.reg_decoded_bbox for head in roi.bbox_head)]


def test_what_is_frozen_and_which_norms_keep_their_statistics_is_equal(pair):
    ours, theirs = pair
    frozen = {name for name, parameter in ours.named_parameters() if not parameter.requires_grad}
    assert frozen == {name for name, parameter in theirs.named_parameters() if not parameter.requires_grad}
    assert bool(frozen) == hasattr(ours.backbone, "frozen_stages")
    fixed = {name for name, module in ours.named_modules() if not module.training}
    assert fixed == {name for name, module in theirs.named_modules() if not module.training}


def test_thresholds_are_those_of_the_solution_and_training_is_mmdet_s(pair):
    published = Config.fromfile(CONFIGS / "htc/htc_without_semantic_r50_fpn_1x_coco.py").model
    ours, _ = pair
    assert ours.test_cfg.to_dict() == published.test_cfg.to_dict()
    assert ours.test_cfg.rcnn.score_thr == 0.001
    assert ours.test_cfg.rcnn.nms == {"type": "nms", "iou_threshold": 0.5}
    assert ours.test_cfg.rcnn.max_per_img == 100
    assert ours.train_cfg.to_dict() == published.train_cfg.to_dict()
