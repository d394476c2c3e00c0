"""Loading into the real backbones: what is copied, resized, left and refused."""

import logging
import re

import numpy as np
import pytest
import torch
from scipy.interpolate import RectBivariateSpline
from vit_adapter import BEiTAdapter, UniPerceiverAdapter, ViTAdapter, ViTBaseline
from vit_adapter.pretrained import load_pretrained

SIZES = {"embed_dim": 12, "depth": 4, "num_heads": 3}
ADAPTER = {"conv_inplane": 4, "deform_num_heads": 3}
ADAPTER_NAMES = ("level_embed", "spm.", "interactions.", "up.", "norm1.", "norm2.", "norm3.", "norm4.")


def vit(**words):
    return ViTAdapter(**{**SIZES, **ADAPTER, "img_size": 64, "pretrain_size": 64, **words})


def beit(window=3, **words):
    windows = {"window_attn": True, "window_size": window}
    return BEiTAdapter(
        **{**SIZES, **ADAPTER, **windows, "img_size": 64, "init_values": 0.1, "qkv_bias": True, **words}
    )


def uni_perceiver(**words):
    return UniPerceiverAdapter(**{**SIZES, **ADAPTER, "img_size": 64, **words})


def body_of(backbone, seed=1):
    """Random weights for everything that is not the adapter's: what a checkpoint of the body holds."""
    random = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(value.shape, generator=random)
        for name, value in backbone.state_dict().items()
        if not name.startswith(ADAPTER_NAMES)
    }


def loaded_equals(backbone, weights):
    state = backbone.state_dict()
    return all(torch.equal(state[name], value) for name, value in weights.items())


@pytest.mark.parametrize("make", [vit, beit, uni_perceiver])
def test_every_body_takes_a_checkpoint_of_itself_and_reports_its_adapter_as_missing(make):
    backbone = make()
    weights = body_of(backbone)
    adapter = {name: v.clone() for name, v in backbone.state_dict().items() if name not in weights}
    report = load_pretrained(backbone, {"model": weights})
    assert loaded_equals(backbone, {**weights, **adapter})
    assert report.loaded == tuple(weights)
    assert set(report.missing) == set(adapter)
    assert (report.reshaped, report.unexpected, report.dropped) == ({}, (), ())


def test_the_word_pretrained_of_the_constructors_reads_a_file(tmp_path):
    weights = body_of(vit(layer_scale=False))
    torch.save({"model": weights}, tmp_path / "deit.pth")
    assert loaded_equals(vit(pretrained=str(tmp_path / "deit.pth")), weights)
    weights = body_of(beit())
    torch.save({"module": weights}, tmp_path / "beit.pth")
    assert loaded_equals(beit(pretrained=str(tmp_path / "beit.pth")), weights)
    weights = body_of(uni_perceiver())
    torch.save({"model": weights}, tmp_path / "uni.pth")
    assert loaded_equals(uni_perceiver(pretrained=str(tmp_path / "uni.pth")), weights)


def test_deit_leaves_layer_scale_at_one_and_its_head_behind(caplog):
    backbone = vit()
    weights = body_of(vit(layer_scale=False))
    rest = {name: torch.zeros(12) for name in ("cls_token", "head.weight", "norm.bias")}
    with caplog.at_level(logging.INFO, "vit_adapter"):
        report = load_pretrained(backbone, {**weights, **rest, "stray": torch.zeros(1)})
    assert report.family == "ViT"
    assert report.dropped == tuple(rest)
    assert report.unexpected == ("stray",)
    assert torch.equal(backbone.state_dict()["blocks.2.gamma1"], torch.ones(12))
    assert str(report) in caplog.text
    assert str(report).startswith(f"ViT weights: {len(weights)} loaded, 0 reshaped, ")


def test_a_plain_baseline_takes_the_same_weights():
    backbone = ViTBaseline(**SIZES, img_size=64, out_indices=(0, 1, 2, 3))
    weights = body_of(vit())
    assert load_pretrained(backbone, weights).loaded == tuple(weights)
    assert loaded_equals(backbone, weights)


def test_a_position_embedding_is_resized_and_keeps_its_class_entry():
    backbone = vit(img_size=96, pretrain_size=96)
    weights = body_of(vit())
    report = load_pretrained(backbone, weights)
    assert report.reshaped == {"pos_embed": ((1, 17, 12), (1, 37, 12))}
    assert torch.equal(backbone.pos_embed[:, 0], weights["pos_embed"][:, 0])
    assert "pos_embed" not in report.loaded


def test_beit_s_absolute_positions_leave_the_class_entry_behind():
    backbone = beit(use_abs_pos_emb=True)
    weights = body_of(backbone)
    with_class = torch.cat([torch.full((1, 1, 12), 9.0), weights["pos_embed"]], dim=1)
    report = load_pretrained(backbone, {**weights, "pos_embed": with_class})
    assert report.reshaped == {"pos_embed": ((1, 17, 12), (1, 16, 12))}
    assert loaded_equals(backbone, weights)


def test_a_dinov2_kernel_of_14_pixels_becomes_one_of_16():
    backbone = vit()
    weights = body_of(backbone)
    weights = {re.sub(r"\.gamma(\d)", r".ls\1.gamma", name): value for name, value in weights.items()}
    weights["patch_embed.proj.weight"] = torch.full((12, 3, 14, 14), 0.5)
    weights["mask_token"] = torch.zeros(1, 12)
    report = load_pretrained(backbone, weights)
    assert report.family == "DINOv2"
    assert report.reshaped == {"patch_embed.proj.weight": ((12, 3, 14, 14), (12, 3, 16, 16))}
    assert torch.equal(backbone.patch_embed.proj.weight, torch.full((12, 3, 16, 16), 0.5))
    assert torch.equal(backbone.state_dict()["blocks.3.gamma2"], weights["blocks.3.ls2.gamma"])


def test_beit_tables_are_enlarged_block_by_block_to_their_windows():
    backbone = beit(window=[3, 3, 3, 6])
    weights = body_of(beit())
    published = {
        name: torch.cat([value, torch.full((3, 3), 99.0)]) if name.endswith("bias_table") else value
        for name, value in weights.items()
    }
    report = load_pretrained(backbone, published)
    name = "blocks.3.attn.relative_position_bias_table"
    assert report.reshaped == {name: ((25, 3), (121, 3))}
    table = "blocks.0.attn.relative_position_bias_table"
    assert torch.equal(backbone.state_dict()[table], weights[table])
    # 1 + q = 5: from a window of 3 to one of 6 the offsets lie at 0, 1 and 5.
    for head in range(3):
        source_YX = weights[name][:, head].reshape(5, 5).double().numpy()
        spline = RectBivariateSpline([-5, -1, 0, 1, 5], [-5, -1, 0, 1, 5], source_YX)
        expected_YX = torch.from_numpy(spline(np.arange(-5, 6), np.arange(-5, 6))).float()
        found_YX = backbone.state_dict()[name][:, head].reshape(11, 11)
        torch.testing.assert_close(found_YX, expected_YX, rtol=1e-4, atol=1e-4)


def test_half_precision_weights_are_loaded_in_the_backbones_precision():
    backbone = vit()
    weights = {name: value.half() for name, value in body_of(backbone).items()}
    load_pretrained(backbone, weights)
    assert backbone.pos_embed.dtype == torch.float32
    assert loaded_equals(backbone, {name: value.float() for name, value in weights.items()})


@pytest.mark.parametrize(
    ("make", "checkpoint", "message"),
    [
        (vit, lambda: vit(embed_dim=24), r"pos_embed is \(1, 17, 24\) in the checkpoint and \(1, 17, 12\)"),
        (lambda: vit(depth=8), vit, r"these ViT weights are of another network: 48 of the transformer's"),
        (vit, uni_perceiver, r"these Uni-Perceiver weights are of another network"),
        (beit, vit, r"these ViT weights are of another network: .*q_bias"),
        (vit, beit, r"these BEiT weights are of another network: .*pos_embed"),
    ],
)
def test_weights_of_another_network_are_refused_and_change_nothing(make, checkpoint, message):
    backbone = make()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        load_pretrained(backbone, body_of(checkpoint()))
    assert loaded_equals(backbone, before)


def test_a_shallower_checkpoint_is_taken_when_asked_for():
    backbone = vit(depth=8)
    weights = body_of(vit())
    report = load_pretrained(backbone, weights, partial=True)
    assert report.loaded == tuple(weights)
    assert "blocks.7.norm1.weight" in report.missing
