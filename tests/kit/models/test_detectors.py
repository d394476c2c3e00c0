import pytest
import torch

from kit.errors import KitError
from kit.models import build
from kit.models.htc import DetectorSize, config

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


@pytest.fixture(scope="module")
def module():
    torch.manual_seed(0)
    return build(SMALL).eval()


def empty(height, width):
    return {"boxes": torch.zeros(0, 4), "masks": torch.zeros(0, height, width, dtype=torch.bool)}


def test_an_image_without_instances_still_gives_finite_losses(module):
    torch.manual_seed(1)
    x_NCHW = torch.randint(0, 256, (2, 3, 96, 96), dtype=torch.uint8)
    full = torch.zeros(1, 96, 96, dtype=torch.bool)
    full[0, 10:40, 20:60] = True
    some = {"boxes": torch.tensor([[20.0, 10.0, 60.0, 40.0]]), "masks": full}
    losses = module.losses(x_NCHW, [empty(96, 96), some])
    assert {name.rpartition(".")[2] for name in losses} == {
        "loss_rpn_cls",
        "loss_rpn_bbox",
        "loss_cls",
        "loss_bbox",
        "loss_mask",
    }
    assert all(value.ndim == 0 and bool(torch.isfinite(value)) for value in losses.values())


def test_a_batch_without_any_instance_still_gives_finite_losses(module):
    torch.manual_seed(1)
    x_NCHW = torch.randint(0, 256, (2, 3, 96, 96), dtype=torch.uint8)
    losses = module.losses(x_NCHW, [empty(96, 96), empty(96, 96)])
    total = torch.stack(list(losses.values())).sum()
    total.backward()
    assert bool(torch.isfinite(total))
    module.zero_grad()


def test_detections_are_ranked_limited_and_inside_the_image(module):
    torch.manual_seed(2)
    (found,) = module.detect(torch.randint(0, 256, (1, 3, 101, 143), dtype=torch.uint8))
    assert 0 < len(found) <= 10
    assert found.scores.dtype == found.boxes.dtype == torch.float32
    assert found.masks.dtype == torch.bool
    assert found.masks.shape == (len(found), 101, 143)
    assert bool((found.scores[:-1] >= found.scores[1:]).all())
    assert bool(((found.scores >= 0.001) & (found.scores <= 1)).all())
    assert bool((found.boxes[:, 0::2].clamp(0, 143) == found.boxes[:, 0::2]).all())
    assert bool((found.boxes[:, 1::2].clamp(0, 101) == found.boxes[:, 1::2]).all())


def test_a_score_threshold_nothing_reaches_gives_empty_detections(module):
    strict = build({**SMALL, "score_threshold": 1.0}).eval()
    strict.network.load_state_dict(module.network.state_dict())
    (found,) = strict.detect(torch.zeros(1, 3, 96, 96, dtype=torch.uint8))
    assert len(found) == 0
    assert found.boxes.shape == (0, 4)
    assert found.masks.shape == (0, 96, 96)


@pytest.mark.parametrize("norm", ["batch", "group", "frozen"])
def test_each_kind_of_norm_trains_what_it_says(norm):
    module = build({**SMALL, "base_channels": 8, "groups": 4, "norm": norm}).train()
    stem = module.network.backbone.conv1.weight
    assert stem.requires_grad == (norm != "frozen")
    norms = [layer for layer in module.network.backbone.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    assert bool(norms) == (norm != "group")
    assert all(layer.training == (norm == "batch") for layer in norms)


def test_it_is_detectors_with_deformable_switchable_convolutions_and_a_recursive_pyramid(module):
    kinds = [type(layer).__name__ for layer in module.network.modules()]
    assert kinds.count("SAConv2d") == 2 * (4 + 6 + 3)
    assert all(layer.use_deform for layer in module.network.modules() if type(layer).__name__ == "SAConv2d")
    assert module.network.neck.rfp_steps == 2
    assert module.network.roi_head.num_stages == 3
    assert not module.network.roi_head.with_semantic


def test_sizes_that_cannot_be_are_refused_with_the_way_out():
    with pytest.raises(KitError, match="neck_channels 30 cannot be split over 4 atrous branches"):
        DetectorSize(neck_channels=30)
    with pytest.raises(KitError, match="12 channels cannot be split into 8 groups"):
        DetectorSize(norm="group", base_channels=12)


def test_the_published_sizes_are_the_default():
    heads = config(DetectorSize())["roi_head"]
    assert [head["fc_out_channels"] for head in heads["bbox_head"]] == [1024] * 3
    assert [head["with_conv_res"] for head in heads["mask_head"]] == [False, True, True]
