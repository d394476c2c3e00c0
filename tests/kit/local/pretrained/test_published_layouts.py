"""Published configurations, built without memory, give all they have to our networks."""

from pathlib import Path

import cbnetv2.zoo
import mmdet
import mmseg
import pytest
import timm
import torch
import torchvision
import vit_adapter.zoo
from mmcv import Config, ConfigDict
from mmdet.models import build_detector
from mmseg.models import build_segmentor

from kit.local.pretrained.checkpoint_formats import recognise
from kit.local.pretrained.matching import match, shapes
from kit.local.pretrained.registry import get

# Of losses that nobody computes here: mmdet's semantic head and mmseg's head as they are configured.
pytestmark = pytest.mark.filterwarnings("ignore:.*Default ``avg_non_ignore`` is False:UserWarning")

MMDET = Path(mmdet.__file__).parent / ".mim" / "configs"
MMSEG = Path(mmseg.__file__).parent / ".mim" / "configs"


@pytest.fixture(scope="module")
def wanted():
    """State dict without values of a registered network, built once."""
    built = {}

    def of(network, **more):
        key = (network, *sorted(more.items()))
        if key not in built:
            built[key] = shapes({"network": network, **more})
        return built[key]

    return of


def without_pretraining(value):
    if isinstance(value, dict):
        for key in ("init_cfg", "pretrained"):
            value.pop(key, None)
        for inner in value.values():
            without_pretraining(inner)
    return value


def detector(config):
    with torch.device("meta"):
        return build_detector(without_pretraining(ConfigDict(config))).state_dict()


def outcome(given, network, wanted):
    kind = recognise(given)
    return match(kind, given, wanted, network)[1]


def of_zoo(name):
    family = "htc" if name.startswith("htc_x101") else "detectors"
    return detector(Config.fromfile(MMDET / family / f"{name}.py").model)


def counts(report):
    return {what: len(names) for what, names in report.groups if names}


PARTS = ("htc_r50_rfp_1x_coco", "htc_r50_sac_1x_coco", "htc_x101_32x4d_fpn_16x1_20e_coco")
HEADS = 3 * 4
"""Weight and bias of the classes and of the masks, in three stages."""
SEMANTIC = 22
"""Entries of the semantic branch that our networks don't have."""


def test_the_start_of_detectors_r50_fits_entirely(wanted):
    report = outcome(of_zoo("detectors_htc_r50_1x_coco"), "detectors-r50", wanted("detectors-r50"))
    assert report.kind == get("detectors_htc_r50_1x_coco").kind
    assert counts(report) == {"loaded": 1236 - HEADS, "re-initialised": HEADS, "dropped": SEMANTIC}
    assert report.share == report.used == 1


@pytest.mark.parametrize("name", PARTS)
def test_alternatives_give_the_part_they_are_registered_with(wanted, name):
    entry = get(name)
    report = outcome(of_zoo(name), entry.networks[0], wanted(entry.networks[0]))
    assert entry.least < report.share < 0.9
    assert report.used == 1
    assert not report.unexpected
    assert not report.reshaped
    assert len(report.reset) == HEADS


def test_a_deeper_network_is_not_mistaken_for_a_shallower_one(wanted):
    report = outcome(of_zoo("detectors_htc_r101_20e_coco"), "detectors-r50", wanted("detectors-r50"))
    assert report.share == 1
    assert report.used < 0.7


@pytest.mark.parametrize(
    ("name", "head", "least"),
    [
        (
            "htc_cbv2_swin_base22k_giou_4conv1f_coco",
            "4conv1fc",
            1.0,
        ),
        ("htc_cbv2_swin_base22k_coco", "2fc", 0.95),
    ],
)
def test_composite_swins_fit(wanted, name, head, least):
    given = detector(cbnetv2.zoo.htc_swin_b(head))
    (network,) = get(name).networks
    report = outcome(given, network, wanted(network))
    assert min(report.share, report.used) >= least
    assert len(report.reset) == HEADS
    if head == "4conv1fc":
        assert not report.missing
        assert not report.unexpected
    exact = outcome(given, network, wanted(network, head=head))
    assert exact.share == exact.used == 1


@pytest.mark.parametrize(("layout", "network"), [("o365", "vit-adapter-l"), ("3x", "vit-adapter-l-3x")])
def test_vit_adapters_fit_their_own_layout_and_nearly_the_other(wanted, layout, network):
    given = detector(vit_adapter.zoo.htcpp_beitv2_l(layout))
    # As published: with the index buffers that both implementations derive from the sizes.
    given["backbone.blocks.0.attn.relative_position_index"] = torch.zeros(196, 196, dtype=torch.int64)
    report = outcome(given, network, wanted(network))
    assert counts(report) == {
        "loaded": len(wanted(network)) - HEADS,
        "re-initialised": HEADS,
        "dropped": SEMANTIC + 1,
    }
    other = {"vit-adapter-l": "vit-adapter-l-3x", "vit-adapter-l-3x": "vit-adapter-l"}[network]
    crossed = outcome(given, other, wanted(other))
    assert crossed.missing
    assert crossed.unexpected
    assert min(crossed.share, crossed.used) > 0.99


def test_weights_of_365_classes_begin_new_heads_too(wanted):
    given = detector(vit_adapter.zoo.htcpp_beitv2_l("o365", num_classes=365, semantic=False))
    report = outcome(given, "vit-adapter-l", wanted("vit-adapter-l"))
    assert counts(report) == {"loaded": len(wanted("vit-adapter-l")) - HEADS, "re-initialised": HEADS}


def test_cityscapes_segformers_and_their_encoders_fit(wanted):
    config = Config.fromfile(MMSEG / "segformer/segformer_mit-b0_8x1_1024x1024_160k_cityscapes.py").model
    config.decode_head.norm_cfg = {"type": "BN"}
    given = build_segmentor(without_pretraining(config)).state_dict()
    report = outcome(given, "segformer-b0", wanted("segformer-b0"))
    assert report.kind == "segmentor"
    assert counts(report) == {"loaded": 165, "re-initialised": 12, "dropped": 25}
    assert any(
        "conv_seg.weight (normal, std 0.01; (19, 256, 1, 1) -> (2, 256, 1, 1))" in line
        for line in report.reset
    )
    assert sum(".gn." in line for line in report.reset) == 10, "GroupNorm in the place of BatchNorm"
    encoder = {
        name.removeprefix("backbone."): value for name, value in given.items() if name.startswith("backbone.")
    }
    report = outcome(encoder, "segformer-b0", wanted("segformer-b0"))
    assert (report.kind, report.share, report.used) == ("mit", 1, 1)


@pytest.mark.parametrize(
    ("model", "unet"), [("regnety_016", "unet-regnety16-scse"), ("regnetx_032", "unet-regnetx32")]
)
def test_timm_encoders_fit(wanted, model, unet):
    assert unet in get(model).networks
    with torch.device("meta"):
        given = timm.create_model(model).state_dict()
    report = outcome(given, unet, wanted(unet))
    assert (report.kind, report.share, report.used) == ("timm", 1, 1)
    assert report.dropped == ["encoder.model.head.fc.bias", "encoder.model.head.fc.weight"]


def test_resnets_fill_both_passes_of_the_recursive_pyramid(wanted):
    with torch.device("meta"):
        given = torchvision.models.resnet50().state_dict()
    report = outcome(given, "detectors-r50", wanted("detectors-r50"))
    assert len(report.loaded) == 2 * (len(given) - 2)
    assert report.share == report.used == 1
