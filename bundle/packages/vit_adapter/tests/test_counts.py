"""Parameter counts of the published detectors, on the meta device."""

import pytest
import torch
from mmcv import ConfigDict
from mmdet.models import build_detector
from torch import nn
from vit_adapter import zoo

# mmdet announces a better average for the semantic branch; the published one is kept.
pytestmark = pytest.mark.filterwarnings("ignore:.*``avg_non_ignore``:UserWarning")

ADAPTER = ("level_embed", "spm.", "interactions.", "up.", "norm1.", "norm2.", "norm3.", "norm4.")


def built(config):
    with torch.device("meta"):
        return build_detector(ConfigDict(config))


def millions(parameters):
    return sum(parameter.numel() for parameter in parameters) / 1e6


@pytest.mark.parametrize(
    ("config", "published"),
    [
        (zoo.htcpp_beitv2_l("3x"), 400.73),
        (zoo.htcpp_beitv2_l("o365"), 400.73),
        (zoo.mask_rcnn_deit("tiny"), 28.07),
        (zoo.mask_rcnn_deit("small"), 47.8),
        (zoo.mask_rcnn_deit("base"), 120.2),
        (zoo.mask_rcnn_augreg_l(), 347.9),
        (zoo.mask_rcnn_uniperceiver_b(), 120.2),
        (zoo.cascade_mask_rcnn_deit("small"), 85.6),
        (zoo.cascade_mask_rcnn_deit("base"), 158.0),
    ],
    ids=["3x", "o365", "tiny", "small", "base", "large", "uniperceiver", "cascade-s", "cascade-b"],
)
def test_a_detector_has_the_published_number_of_parameters(config, published):
    assert millions(built(config).parameters()) == pytest.approx(published, abs=0.1)


@pytest.mark.parametrize(
    ("config", "backbone", "adapter"),
    [
        (zoo.mask_rcnn_deit("tiny"), 7.97, 2.44),
        (zoo.mask_rcnn_deit("small"), 27.50, 5.83),
        (zoo.mask_rcnn_deit("base"), 99.50, 13.68),
        (zoo.htcpp_beitv2_l(), 327.38, 23.24),
    ],
    ids=["tiny", "small", "base", "large"],
)
def test_a_backbone_splits_into_body_and_adapter_as_published(config, backbone, adapter):
    net = built(config).backbone
    of_adapter = [parameter for name, parameter in net.named_parameters() if name.startswith(ADAPTER)]
    assert millions(net.parameters()) == pytest.approx(backbone, abs=0.01)
    assert millions(of_adapter) == pytest.approx(adapter, abs=0.01)


def test_the_other_parts_of_htcpp_have_the_published_sizes():
    net = built(zoo.htcpp_beitv2_l("3x"))
    parts = {"attention": net.neck[0], "fpn": net.neck[1], "rpn": net.rpn_head, "roi": net.roi_head}
    counted = {name: millions(part.parameters()) for name, part in parts.items()}
    assert counted == pytest.approx({"attention": 12.60, "fpn": 3.41, "rpn": 0.59, "roi": 56.74}, abs=0.01)


def test_one_class_and_no_semantic_branch_change_only_the_heads():
    full, single = (
        built(zoo.htcpp_beitv2_l("o365")),
        built(zoo.htcpp_beitv2_l("o365", num_classes=1, semantic=False)),
    )
    shapes = {name: value.shape for name, value in full.state_dict().items()}
    differing = {name for name, value in single.state_dict().items() if shapes.pop(name) != value.shape}
    assert all(name.split(".")[-2] in {"fc_cls", "conv_logits"} for name in differing)
    assert len(differing) == 12
    assert shapes
    assert all(name.startswith("roi_head.semantic_head.") for name in shapes)


def test_sync_bn_replaces_every_batch_norm_and_keeps_the_keys():
    plain = built(zoo.htcpp_beitv2_l("o365"))
    synced = built(zoo.htcpp_beitv2_l("o365", sync_bn=True))
    assert set(plain.state_dict()) == set(synced.state_dict())
    assert not any(isinstance(layer, nn.SyncBatchNorm) for layer in plain.modules())
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in synced.modules())
    assert sum(isinstance(layer, nn.SyncBatchNorm) for layer in synced.modules()) == 10 + 12


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: zoo.htcpp_beitv2_l("2x"), "layout '2x': there are '3x' and 'o365'"),
        (lambda: zoo.mask_rcnn_deit("huge"), "size 'huge': there are tiny, small, base"),
        (lambda: zoo.cascade_mask_rcnn_deit("s"), "size 's': there are tiny, small, base"),
    ],
)
def test_an_unknown_size_or_layout_is_answered_with_the_known_ones(ask, message):
    with pytest.raises(ValueError, match=message):
        ask()
