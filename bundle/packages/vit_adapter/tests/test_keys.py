"""Names and shapes of the published HTC++ checkpoints, written down from their tables."""

import pytest
import torch
from mmcv import ConfigDict
from mmcv.runner import load_state_dict as mmcv_load_state_dict
from mmdet.models import build_detector
from vit_adapter import zoo

# mmdet announces a better average for the semantic branch; the published one is kept.
pytestmark = pytest.mark.filterwarnings("ignore:.*``avg_non_ignore``:UserWarning")

C, HEADS, DEPTH = 1024, 16, 24
GLOBAL_BLOCKS = (5, 11, 17, 23)


def affine(prefix, *weight, bias=None):
    """Weight and bias of a layer; the bias is as long as the weight's first axis unless told."""
    return {f"{prefix}.weight": weight, f"{prefix}.bias": (bias or weight[0],)}


def norm(prefix, channels):
    return affine(prefix, channels)


def batch_norm(prefix, channels):
    running = {f"{prefix}.{name}": (channels,) for name in ("running_mean", "running_var")}
    return norm(prefix, channels) | running | {f"{prefix}.num_batches_tracked": ()}


def block(i):
    name = f"backbone.blocks.{i}"
    window = 56 if i in GLOBAL_BLOCKS else 14
    return {
        f"{name}.gamma_1": (C,),
        f"{name}.gamma_2": (C,),
        **norm(f"{name}.norm1", C),
        **norm(f"{name}.norm2", C),
        f"{name}.attn.q_bias": (C,),
        f"{name}.attn.v_bias": (C,),
        f"{name}.attn.relative_position_bias_table": ((2 * window - 1) ** 2, HEADS),
        f"{name}.attn.relative_position_index": (window**2, window**2),
        f"{name}.attn.qkv.weight": (3 * C, C),
        **affine(f"{name}.attn.proj", C, C),
        **affine(f"{name}.mlp.fc1", 4 * C, C),
        **affine(f"{name}.mlp.fc2", C, 4 * C),
    }


def deformable(name, levels):
    return {
        **affine(f"{name}.sampling_offsets", HEADS * levels * 4 * 2, C),
        **affine(f"{name}.attention_weights", HEADS * levels * 4, C),
        **affine(f"{name}.value_proj", C // 2, C),
        **affine(f"{name}.output_proj", C, C // 2),
    }


def extractor(name):
    return {
        **norm(f"{name}.query_norm", C),
        **norm(f"{name}.feat_norm", C),
        **norm(f"{name}.ffn_norm", C),
        **deformable(f"{name}.attn", 1),
        **affine(f"{name}.ffn.fc1", 256, C),
        **affine(f"{name}.ffn.dwconv.dwconv", 256, 1, 3, 3),
        **affine(f"{name}.ffn.fc2", C, 256),
    }


def adapter():
    keys = {"backbone.level_embed": (3, C), **affine("backbone.up", C, C, 2, 2)}
    for index, channels_in in ((0, 3), (3, 64), (6, 64)):
        keys[f"backbone.spm.stem.{index}.weight"] = (64, channels_in, 3, 3)
        keys |= batch_norm(f"backbone.spm.stem.{index + 1}", 64)
    for level, (channels_in, channels) in enumerate(((64, 128), (128, 256), (256, 256)), start=2):
        keys[f"backbone.spm.conv{level}.0.weight"] = (channels, channels_in, 3, 3)
        keys |= batch_norm(f"backbone.spm.conv{level}.1", channels)
    for level, channels in enumerate((64, 128, 256, 256), start=1):
        keys |= affine(f"backbone.spm.fc{level}", C, channels, 1, 1) | batch_norm(f"backbone.norm{level}", C)
    for k in range(4):
        name = f"backbone.interactions.{k}"
        keys |= {f"{name}.injector.gamma": (C,)} | deformable(f"{name}.injector.attn", 3)
        keys |= norm(f"{name}.injector.query_norm", C) | norm(f"{name}.injector.feat_norm", C)
        keys |= extractor(f"{name}.extractor")
    for extra in range(2):
        keys |= extractor(f"backbone.interactions.3.extra_extractors.{extra}")
    return keys


def necks(*, group_norm):
    keys = {
        **norm("neck.0.norm1", C),
        **norm("neck.0.norm2", C),
        **norm("neck.0.final_norm", C),
        **affine("neck.0.attn.qkv", 3 * C, C),
        **affine("neck.0.attn.proj", C, C),
        **affine("neck.0.ffn.fc1", 4 * C, C),
        **affine("neck.0.ffn.fc2", C, 4 * C),
    }
    for kind, shape in (("lateral", (256, C, 1, 1)), ("fpn", (256, 256, 3, 3))):
        for level in range(4):
            name = f"neck.1.{kind}_convs.{level}"
            if group_norm:
                keys |= {f"{name}.conv.weight": shape} | norm(f"{name}.gn", 256)
            else:
                keys |= affine(f"{name}.conv", *shape)
    return keys


def heads(*, box_norm):
    keys = {
        **affine("rpn_head.rpn_conv", 256, 256, 3, 3),
        **affine("rpn_head.rpn_cls", 3, 256, 1, 1),
        **affine("rpn_head.rpn_reg", 12, 256, 1, 1),
    }
    for stage in range(3):
        name = f"roi_head.bbox_head.{stage}"
        keys |= affine(f"{name}.shared_fcs.0", 1024, 12544)
        keys |= affine(f"{name}.fc_cls", 81, 1024) | affine(f"{name}.fc_reg", 4, 1024)
        for conv in range(4):
            if box_norm:
                keys[f"{name}.shared_convs.{conv}.conv.weight"] = (256, 256, 3, 3)
                keys |= batch_norm(f"{name}.shared_convs.{conv}.bn", 256)
            else:
                keys |= affine(f"{name}.shared_convs.{conv}.conv", 256, 256, 3, 3)
        name = f"roi_head.mask_head.{stage}"
        for conv in range(4):
            keys |= affine(f"{name}.convs.{conv}.conv", 256, 256, 3, 3)
        keys |= affine(f"{name}.upsample", 256, 256, 2, 2) | affine(f"{name}.conv_logits", 80, 256, 1, 1)
        if stage > 0:
            keys |= affine(f"{name}.conv_res.conv", 256, 256, 1, 1)
    name = "roi_head.semantic_head"
    for level in range(5):
        keys |= affine(f"{name}.lateral_convs.{level}.conv", 256, 256, 1, 1)
    for conv in range(4):
        keys |= affine(f"{name}.convs.{conv}.conv", 256, 256, 3, 3)
    keys |= affine(f"{name}.conv_embedding.conv", 256, 256, 1, 1)
    return keys | affine(f"{name}.conv_logits", 183, 256, 1, 1)


def published(layout):
    keys = {**affine("backbone.patch_embed.proj", C, 3, 16, 16)} | adapter()
    for i in range(DEPTH):
        keys |= block(i)
    return keys | necks(group_norm=layout == "o365") | heads(box_norm=layout == "o365")


@pytest.mark.parametrize(("layout", "number"), [("3x", 789), ("o365", 845)])
def test_htcpp_has_the_published_keys_and_shapes_but_for_the_index_buffers(layout, number):
    expected = published(layout)
    assert len(expected) == number
    with torch.device("meta"):
        net = build_detector(ConfigDict(zoo.htcpp_beitv2_l(layout)))
    ours = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    assert ours == {
        name: shape for name, shape in expected.items() if not name.endswith(".relative_position_index")
    }


@pytest.mark.parametrize("layout", ["3x", "o365"])
def test_a_published_state_dict_loads_strictly_with_its_index_buffers(layout):
    with torch.device("meta"):
        net = build_detector(ConfigDict(zoo.htcpp_beitv2_l(layout)))
        state = {name: torch.empty(shape) for name, shape in published(layout).items()}
    before = set(state)
    net.load_state_dict(state, strict=True)
    mmcv_load_state_dict(net, state, strict=True)
    assert set(state) == before
    assert not any(name.endswith("index") for name in net.state_dict())


def test_what_is_left_out_of_a_checkpoint_is_still_reported():
    with torch.device("meta"):
        net = build_detector(ConfigDict(zoo.htcpp_beitv2_l()))
        state = {name: torch.empty(shape) for name, shape in published("3x").items()}
    del state["backbone.blocks.5.attn.relative_position_bias_table"]
    state["backbone.blocks.5.attn.relative_position_indices"] = torch.empty(1, device="meta")
    missing, unexpected = net.load_state_dict(state, strict=False, assign=True)
    assert missing == ["backbone.blocks.5.attn.relative_position_bias_table"]
    assert unexpected == ["backbone.blocks.5.attn.relative_position_indices"]


def test_vit_and_uni_perceiver_bodies_have_the_published_names():
    with torch.device("meta"):
        vit = build_detector(ConfigDict(zoo.mask_rcnn_deit("tiny"))).backbone
        perceiver = build_detector(ConfigDict(zoo.mask_rcnn_uniperceiver_b())).backbone
    of_block = {name.removeprefix("blocks.3.") for name in vit.state_dict() if name.startswith("blocks.3.")}
    assert of_block == {"gamma1", "gamma2"} | {
        f"{layer}.{kind}"
        for layer in ("norm1", "norm2", "attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
        for kind in ("weight", "bias")
    }
    assert vit.state_dict()["pos_embed"].shape == (1, 197, 192)
    shapes = {name: tuple(value.shape) for name, value in perceiver.state_dict().items()}
    of_layer = {name.removeprefix("layers.3.") for name in shapes if name.startswith("layers.3.")}
    assert of_layer == {"gamma_1", "gamma_2"} | {
        f"{layer}.{kind}"
        for layer in ("norm1", "norm2", "self_attn.in_proj", "self_attn.out_proj", "linear1", "linear2")
        for kind in ("weight", "bias")
    }
    embedding = "visual_embed.patch_embed"
    assert shapes[f"{embedding}.spatial_pos_embed.weight"] == (196, 768)
    assert shapes[f"{embedding}.temporal_pos_embed.weight"] == (8, 768)
    assert shapes[f"{embedding}.proj.weight"] == (768, 3, 16, 16)
    assert shapes["visual_embed.embeddings_norm.weight"] == (768,)
