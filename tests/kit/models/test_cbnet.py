import sys

import pytest
import torch

from benchmarks.network_probes import images, squares
from kit.errors import KitError
from kit.local.training import prepare
from kit.models import build, tiny

SMALL = {
    **tiny("cbnetv2-swin-b"),
    "embed_dim": 8,
    "depths": [1, 1, 1, 1],
    "num_heads": [1, 1, 2, 2],
    "drop_path": 0.0,
    "neck_channels": 16,
    "mask_channels": 16,
    "mask_convs": 1,
}


@pytest.fixture(scope="module")
def module():
    torch.manual_seed(0)
    return prepare(build(SMALL), SMALL)


def test_losses_are_those_of_the_assistant_at_half_weight_and_of_the_lead(module):
    targets = [squares(96, 96, [(5, 8), (40, 50)])]
    losses = module.train().losses(images(1, 96, 96), targets)
    stages = [f"s{stage}.loss_{kind}" for stage in range(3) for kind in ("cls", "bbox", "mask")]
    plain = ["loss_rpn_cls", "loss_rpn_bbox", *stages]
    assert set(losses) == {f"{name}0_w0.5" for name in plain} | {f"{name}1" for name in plain}
    assert all(value.ndim == 0 and bool(torch.isfinite(value)) for value in losses.values())


def test_the_lead_is_fed_by_the_assistant_and_has_no_patches_of_its_own(module):
    assistant, lead = module.network.backbone.cb_modules
    assert assistant.patch_embed is not None
    assert lead.patch_embed is None
    composition = module.network.backbone.cb_linears
    assert [sum(isinstance(part, torch.nn.Conv2d) for part in row) for row in composition] == [3, 2, 1, 0]


def test_prediction_while_training_looks_at_the_lead_s_maps_too(module):
    """Without dropout the modes differ in batch norms alone, once the pyramid is the lead's."""
    x_NCHW = images(1, 96, 96)
    for layer in module.train().modules():
        if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
            layer.eval()
    (training,) = module.detect(x_NCHW)
    (evaluated,) = module.eval().detect(x_NCHW)
    assert len(training) > 0
    assert torch.equal(training.boxes, evaluated.boxes)
    assert torch.equal(training.masks, evaluated.masks)


def test_the_published_two_layer_head_is_a_word_away():
    head = build({**SMALL, "head": "2fc"}).network.roi_head.bbox_head[0]
    assert len(head.shared_convs) == 0
    assert len(head.shared_fcs) == 2
    assert not head.reg_decoded_bbox
    assert type(head.loss_bbox).__name__ == "SmoothL1Loss"


def test_sizes_that_do_not_fit_each_other_are_told_with_the_network():
    with pytest.raises(KitError, match=r"network 'cbnetv2-swin-b' cannot be built: .*heads") as caught:
        build({**SMALL, "num_heads": [3, 1, 2, 2]})
    assert caught.value.fix == "correct its sizes in the config"


def test_a_missing_package_is_named_with_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cbnetv2", None)
    with pytest.raises(KitError, match="cannot import cbnetv2") as caught:
        build(SMALL)
    assert caught.value.fix == "install cbnetv2 and mmcv-full and mmdet"
