"""Learning rates and weight decay of every parameter of a real detector, worked out a second way."""

import math

import pytest
import torch
from mmcv import ConfigDict
from mmcv.runner import build_optimizer as build_mmcv_optimizer
from mmdet.core.optimizers import build_optimizer as build_mmdet_optimizer
from mmdet.models import build_detector
from torch import nn
from vit_adapter import BEiTAdapter, UniPerceiverAdapter, ViTAdapter
from vit_adapter.layer_decay import LayerDecayOptimizerConstructor, layer_decay_groups

DEPTH, LR, DECAY, WEIGHT_DECAY = 4, 0.1, 0.5, 0.05
SIZES = {"embed_dim": 8, "depth": DEPTH, "num_heads": 2, "img_size": 32}
BODY = {**SIZES, "conv_inplane": 4, "deform_num_heads": 2}
WORDS = {"lr": LR, "weight_decay": WEIGHT_DECAY, "num_layers": DEPTH, "decay": DECAY}


@pytest.fixture(scope="module")
def detector():
    backbone = {"type": "BEiTAdapter", **BODY, "window_attn": True, "window_size": 2, "qkv_bias": True}
    return build_detector(
        ConfigDict(
            type="RetinaNet",
            backbone=backbone,
            neck={"type": "FPN", "in_channels": [8] * 4, "out_channels": 8, "num_outs": 5},
            bbox_head={"type": "RetinaHead", "num_classes": 1, "in_channels": 8, "feat_channels": 8},
        )
    )


def by_parameter(groups):
    """Group of each parameter, by identity."""
    found = {}
    for group in groups:
        assert len(group["params"]) == len(group["param_names"])
        for parameter, name in zip(group["params"], group["param_names"], strict=True):
            assert id(parameter) not in found, f"{name} is in two groups"
            found[id(parameter)] = (name, group)
    return found


def test_every_parameter_of_a_detector_is_in_exactly_one_group_with_its_rate(detector):
    found = by_parameter(layer_decay_groups(detector, **WORDS))
    assert len(found) == len(list(detector.parameters()))
    backbone = detector.backbone
    depth_of = {id(parameter): DEPTH + 1 for parameter in detector.parameters()}
    depth_of |= {id(parameter): 0 for parameter in backbone.patch_embed.parameters()}
    for number, block in enumerate(backbone.blocks, start=1):
        depth_of |= {id(parameter): number for parameter in block.parameters()}
    not_weights = {id(parameter) for parameter in detector.parameters() if parameter.ndim == 1}
    for name, parameter in detector.named_parameters():
        own_name, group = found[id(parameter)]
        assert own_name == name
        below_the_top = DEPTH + 1 - depth_of[id(parameter)]
        assert group["lr_scale"] == math.prod([DECAY] * below_the_top)
        assert group["lr"] == pytest.approx(LR * group["lr_scale"])
        assert group["weight_decay"] == (0 if id(parameter) in not_weights else WEIGHT_DECAY)


def test_the_scales_from_embedding_to_head_are_powers_of_the_decay(detector):
    groups = layer_decay_groups(detector, **WORDS)
    scales = {group["group_name"]: group["lr_scale"] for group in groups}
    assert scales == {
        f"layer_{layer}_{kind}": scale
        for layer, scale in enumerate([1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1])
        for kind in ("decay", "no_decay")
    }


def decaying(groups):
    return {name for group in groups if group["weight_decay"] for name in group["param_names"]}


def test_tables_and_level_embedding_decay_as_published_unless_asked_otherwise(detector):
    tables = {f"backbone.blocks.{i}.attn.relative_position_bias_table" for i in range(DEPTH)}
    embeddings = tables | {"backbone.level_embed"}
    published = decaying(layer_decay_groups(detector, **WORDS))
    exempt = decaying(layer_decay_groups(detector, **WORDS, exempt_embeddings=True))
    assert embeddings <= published
    assert published - exempt == embeddings
    assert exempt < published


def test_the_position_embedding_decays_in_a_detector_but_not_in_a_backbone_alone():
    backbone = ViTAdapter(**BODY, pretrain_size=32)
    alone = decaying(layer_decay_groups(backbone, **WORDS, backbone=""))
    inside = decaying(layer_decay_groups(nn.ModuleDict({"backbone": backbone}), **WORDS))
    assert "pos_embed" not in alone
    assert inside == {f"backbone.{name}" for name in alone} | {"backbone.pos_embed"}
    wrapped = nn.ModuleDict({"backbone": backbone})
    assert decaying(layer_decay_groups(wrapped, **WORDS, exempt_embeddings=True)) == inside - {
        "backbone.pos_embed",
        "backbone.level_embed",
    }


def test_the_embedding_of_uni_perceiver_is_layer_0_and_its_layers_count_as_blocks():
    groups = layer_decay_groups(UniPerceiverAdapter(**BODY), **WORDS, backbone="")
    layers = {name: group["group_name"].split("_")[1] for group in groups for name in group["param_names"]}
    assert layers["visual_embed.patch_embed.spatial_pos_embed.weight"] == "0"
    assert layers["layers.2.linear1.weight"] == "3"
    assert layers["interactions.0.injector.gamma"] == "5"


def test_frozen_parameters_are_left_out():
    backbone = ViTAdapter(**BODY, pretrain_size=32)
    backbone.blocks[1].requires_grad_(requires_grad=False)
    names = [
        name for group in layer_decay_groups(backbone, **WORDS, backbone="") for name in group["param_names"]
    ]
    assert not [name for name in names if name.startswith("blocks.1.")]
    assert len(names) == sum(parameter.requires_grad for parameter in backbone.parameters())


def ones_as_gradients(module):
    start = {}
    for name, parameter in module.named_parameters():
        parameter.grad = torch.ones_like(parameter)
        start[name] = parameter.detach().clone()
    return start


EXPECTED_LR = {
    "patch_embed.proj.weight": LR / 32,
    "blocks.0.attn.qkv.weight": LR / 16,
    "blocks.3.mlp.fc1.weight": LR / 2,
    "spm.fc1.weight": LR,
}


@pytest.mark.parametrize("kind", ["SGD", "AdamW"])
def test_one_step_moves_by_the_rule_of_the_optimiser_at_each_groups_rate(kind):
    backbone = BEiTAdapter(**BODY, window_attn=True, window_size=2)
    optimizer = getattr(torch.optim, kind)(layer_decay_groups(backbone, **WORDS, backbone=""), lr=LR)
    start = ones_as_gradients(backbone)
    optimizer.step()
    for name, lr in EXPECTED_LR.items():
        w = start[name].double()
        # The first step of Adam is the sign of the gradient; its weight decay is apart from it.
        stepped = w - lr * (1 + WEIGHT_DECAY * w) if kind == "SGD" else w * (1 - lr * WEIGHT_DECAY) - lr
        torch.testing.assert_close(backbone.get_parameter(name).double(), stepped, rtol=0, atol=1e-6)
        bias = name.replace("weight", "bias")
        if bias in start:
            stepped = start[bias].double() - lr
            torch.testing.assert_close(backbone.get_parameter(bias).double(), stepped, rtol=0, atol=1e-6)


CONFIG = {
    "type": "AdamW",
    "lr": LR,
    "weight_decay": WEIGHT_DECAY,
    "constructor": "LayerDecayOptimizerConstructor",
    "paramwise_cfg": {"num_layers": DEPTH, "layer_decay_rate": DECAY},
}


@pytest.mark.parametrize("build", [build_mmcv_optimizer, build_mmdet_optimizer])
def test_mmcv_and_mmdet_build_it_from_a_config(detector, build):
    optimizer = build(nn.DataParallel(detector), CONFIG)
    assert isinstance(optimizer, torch.optim.AdamW)
    expected = layer_decay_groups(detector, **WORDS)
    assert [group["group_name"] for group in optimizer.param_groups] == [g["group_name"] for g in expected]
    for built, wanted in zip(optimizer.param_groups, expected, strict=True):
        assert {name: built[name] for name in wanted if name != "params"} == {
            name: value for name, value in wanted.items() if name != "params"
        }
        assert all(one is other for one, other in zip(built["params"], wanted["params"], strict=True))


def test_mmseg_keeps_its_own_class_and_finds_this_one_by_its_scope(detector):
    mmseg_core = pytest.importorskip("mmseg.core")
    own = mmseg_core.builder.OPTIMIZER_BUILDERS.get("LayerDecayOptimizerConstructor")
    assert own is not LayerDecayOptimizerConstructor
    config = {**CONFIG, "constructor": "mmcv.LayerDecayOptimizerConstructor"}
    optimizer = mmseg_core.build_optimizer(detector, config)
    assert len(optimizer.param_groups) == len(layer_decay_groups(detector, **WORDS))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"decay": 0.0}, r"decay must be in \(0, 1\], not 0.0"),
        ({"decay": 1.5}, r"decay must be in \(0, 1\], not 1.5"),
        ({"num_layers": 12}, r"num_layers is 12, but there are 4 blocks under 'backbone.'"),
        ({"backbone": "model"}, r"no transformer blocks .* under 'model.': name the backbone with backbone="),
        ({"backbone": ""}, r"no transformer blocks .* in the module itself"),
    ],
)
def test_words_that_do_not_fit_the_network_are_refused(detector, words, message):
    with pytest.raises(ValueError, match=message):
        layer_decay_groups(detector, **{**WORDS, **words})


@pytest.mark.parametrize(
    ("optimizer", "paramwise", "message"),
    [
        ({"lr": 0.1}, {"num_layers": 4}, r"lacks \['layer_decay_rate'\] and has unknown \[\]"),
        ({"lr": 0.1}, None, r"lacks \['layer_decay_rate', 'num_layers'\]"),
        ({"lr": 0.1}, {"num_layers": 4, "layer_decay_rate": 1, "rate": 1}, r"has unknown \['rate'\]"),
        ({}, {"num_layers": 4, "layer_decay_rate": 1}, "the optimizer needs lr"),
    ],
)
def test_configs_that_lack_a_word_are_refused(optimizer, paramwise, message):
    with pytest.raises(ValueError, match=message):
        LayerDecayOptimizerConstructor({"type": "SGD", **optimizer}, paramwise)
