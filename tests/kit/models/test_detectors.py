import pytest
import torch

from kit.errors import KitError
from kit.models import build

SMALL = {
    "network": "detectors-r50",
    "base_channels": 4,
    "norm": "batch",
    "neck_channels": 16,
    "fc_channels": 16,
    "mask_convs": 1,
    "mask_channels": 16,
    "rpn_nms_pre": [100, 100],
    "rpn_proposals": [30, 30],
    "roi_samples": 16,
    "max_per_image": 10,
}


@pytest.mark.parametrize("norm", ["batch", "group", "frozen"])
def test_each_kind_of_norm_trains_what_it_says(norm):
    module = build({**SMALL, "base_channels": 8, "norm_groups": 4, "norm": norm}).train()
    stem = module.network.backbone.conv1.weight
    assert stem.requires_grad == (norm != "frozen")
    norms = [layer for layer in module.network.backbone.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    assert bool(norms) == (norm != "group")
    assert all(layer.training == (norm == "batch") for layer in norms)


def test_it_is_detectors_with_deformable_switchable_convolutions_and_a_recursive_pyramid():
    module = build(SMALL)
    kinds = [type(layer).__name__ for layer in module.network.modules()]
    assert kinds.count("SAConv2d") == 2 * (4 + 6 + 3)
    assert all(layer.use_deform for layer in module.network.modules() if type(layer).__name__ == "SAConv2d")
    assert module.network.neck.rfp_steps == 2
    assert module.network.roi_head.num_stages == 3
    assert not module.network.roi_head.with_semantic


def test_groups_make_both_backbones_resnexts():
    module = build({**SMALL, "network": "detectors-x101", "depth": 50, "groups": 2, "base_width": 2})
    for backbone in (module.network.backbone, module.network.neck.rfp_modules[0]):
        assert type(backbone).__name__ == "DetectoRS_ResNeXt"
        # floor(16 planes * base width 2 / base channels 4) a group
        assert backbone.layer3[0].conv2.weight.shape == (16, 8, 3, 3)
        assert backbone.layer3[0].conv2.groups == 2


def test_sizes_that_cannot_be_are_refused_with_the_way_out():
    with pytest.raises(KitError, match="neck_channels 30 cannot be split over 4 atrous branches"):
        build({**SMALL, "neck_channels": 30, "mask_channels": 30})
    with pytest.raises(KitError, match="12 channels cannot be split into 8 groups"):
        build({**SMALL, "norm": "group", "base_channels": 12})
