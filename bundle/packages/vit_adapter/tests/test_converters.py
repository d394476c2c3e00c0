"""Published names to ours, by weights that are built the way their publishers build them."""

import numpy as np
import pytest
import torch
from vit_adapter.converters import (
    convert,
    convert_augreg,
    convert_beit,
    convert_dinov2,
    convert_uni_perceiver,
    convert_vit,
)
from vit_adapter.vit import ViTAttention

DIM, HEADS, DEPTH, SIDE = 12, 3, 2, 4


def vit_weights(seed=0):
    """A ViT classifier's state dict as DeiT names it."""
    random = torch.Generator().manual_seed(seed)
    shapes = {
        "cls_token": (1, 1, DIM),
        "pos_embed": (1, SIDE**2 + 1, DIM),
        "patch_embed.proj.weight": (DIM, 3, 16, 16),
        "patch_embed.proj.bias": (DIM,),
        "norm.weight": (DIM,),
        "norm.bias": (DIM,),
        "head.weight": (5, DIM),
        "head.bias": (5,),
    }
    for block in range(DEPTH):
        for layer, rows, columns in (
            ("attn.qkv", 3 * DIM, DIM),
            ("attn.proj", DIM, DIM),
            ("mlp.fc1", 4 * DIM, DIM),
            ("mlp.fc2", DIM, 4 * DIM),
        ):
            shapes[f"blocks.{block}.{layer}.weight"] = (rows, columns)
            shapes[f"blocks.{block}.{layer}.bias"] = (rows,)
        for norm in ("norm1", "norm2"):
            shapes[f"blocks.{block}.{norm}.weight"] = (DIM,)
            shapes[f"blocks.{block}.{norm}.bias"] = (DIM,)
    return {name: torch.randn(shape, generator=random) for name, shape in shapes.items()}


def as_augreg(weights):
    """The same weights as Google's JAX code stores them."""
    arrays = {
        "cls": weights["cls_token"],
        "Transformer/posembed_input/pos_embedding": weights["pos_embed"],
        "embedding/kernel": weights["patch_embed.proj.weight"].permute(2, 3, 1, 0),
        "embedding/bias": weights["patch_embed.proj.bias"],
        "Transformer/encoder_norm/scale": weights["norm.weight"],
        "Transformer/encoder_norm/bias": weights["norm.bias"],
        "head/kernel": weights["head.weight"].T,
        "head/bias": weights["head.bias"],
    }
    for block in range(DEPTH):
        ours, theirs = f"blocks.{block}", f"Transformer/encoderblock_{block}"
        for number, norm in ((0, "norm1"), (2, "norm2")):
            arrays[f"{theirs}/LayerNorm_{number}/scale"] = weights[f"{ours}.{norm}.weight"]
            arrays[f"{theirs}/LayerNorm_{number}/bias"] = weights[f"{ours}.{norm}.bias"]
        for number, layer in ((0, "fc1"), (1, "fc2")):
            arrays[f"{theirs}/MlpBlock_3/Dense_{number}/kernel"] = weights[f"{ours}.mlp.{layer}.weight"].T
            arrays[f"{theirs}/MlpBlock_3/Dense_{number}/bias"] = weights[f"{ours}.mlp.{layer}.bias"]
        attention = f"{theirs}/MultiHeadDotProductAttention_1"
        for part, name in enumerate(("query", "key", "value")):
            rows = slice(part * DIM, (part + 1) * DIM)
            kernel = weights[f"{ours}.attn.qkv.weight"][rows].T
            arrays[f"{attention}/{name}/kernel"] = kernel.reshape(DIM, HEADS, DIM // HEADS)
            arrays[f"{attention}/{name}/bias"] = weights[f"{ours}.attn.qkv.bias"][rows].reshape(HEADS, -1)
        out = weights[f"{ours}.attn.proj.weight"].T.reshape(HEADS, DIM // HEADS, DIM)
        arrays[f"{attention}/out/kernel"] = out
        arrays[f"{attention}/out/bias"] = weights[f"{ours}.attn.proj.bias"]
    return {name: array.contiguous() for name, array in arrays.items()}


def same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def test_augreg_weights_come_back_bit_by_bit():
    weights = vit_weights()
    family, converted = convert(as_augreg(weights))
    assert family == "AugReg"
    same(converted, weights)


def test_augreg_attention_computes_what_the_jax_formula_does():
    arrays = as_augreg(vit_weights())
    converted = convert_augreg(arrays)
    attention = ViTAttention(DIM, HEADS)
    ours = "blocks.1.attn."
    attention.load_state_dict({name[len(ours) :]: converted[name] for name in converted if ours in name})
    x_NC = torch.randn(6, DIM)
    theirs = {
        name.split("MultiHeadDotProductAttention_1/")[1]: value.double().numpy()
        for name, value in arrays.items()
        if "encoderblock_1/Multi" in name
    }
    query, key, value = (
        np.einsum("nc,chd->nhd", x_NC.double().numpy(), theirs[f"{part}/kernel"]) + theirs[f"{part}/bias"]
        for part in ("query", "key", "value")
    )
    logits = np.einsum("nhd,mhd->hnm", query, key) / np.sqrt(DIM // HEADS)
    prob = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    attended = np.einsum("hnm,mhd->nhd", prob, value)
    expected = np.einsum("nhd,hdc->nc", attended, theirs["out/kernel"]) + theirs["out/bias"]
    with torch.no_grad():
        out_NC = attention(x_NC[None], (2, 3))[0]
    np.testing.assert_allclose(out_NC.double().numpy(), expected, rtol=1e-4, atol=1e-4)


def test_an_augreg_block_without_its_key_is_named():
    arrays = as_augreg(vit_weights())
    del arrays["Transformer/encoderblock_1/MultiHeadDotProductAttention_1/key/bias"]
    with pytest.raises(ValueError, match=r"lacks \['Transformer/encoderblock_1/.*/key/bias'\]"):
        convert_augreg(arrays)


def test_deit_and_mae_keep_their_names_and_mae_loses_its_decoder():
    weights = vit_weights()
    mae = {**weights, "mask_token": torch.zeros(1), "decoder_blocks.0.attn.qkv.weight": torch.zeros(1)}
    assert convert(weights)[0] == "ViT"
    same(convert_vit(weights), weights)
    same(convert(mae)[1], weights)


def test_dinov2_layer_scales_take_our_names_and_the_mask_token_goes():
    scales = {f"blocks.{block}.ls{n}.gamma": torch.randn(DIM) for block in range(DEPTH) for n in (1, 2)}
    weights = vit_weights()
    family, converted = convert({**weights, **scales, "mask_token": torch.zeros(1, DIM)})
    assert family == "DINOv2"
    expected = {
        f"blocks.{block}.gamma{n}": scales[f"blocks.{block}.ls{n}.gamma"]
        for block in range(DEPTH)
        for n in (1, 2)
    }
    same(converted, {**weights, **expected})
    same(convert_dinov2(converted), converted)


def beit_weights(rows, *, shared):
    weights = {name: value for name, value in vit_weights().items() if "qkv.bias" not in name}
    for block in range(DEPTH):
        weights[f"blocks.{block}.attn.q_bias"] = torch.randn(DIM)
        weights[f"blocks.{block}.attn.v_bias"] = torch.randn(DIM)
        weights[f"blocks.{block}.attn.relative_position_index"] = torch.zeros(17, 17, dtype=torch.long)
        if not shared:
            table = torch.randn(rows, HEADS)
            weights[f"blocks.{block}.attn.relative_position_bias_table"] = table
    if shared:
        weights["rel_pos_bias.relative_position_bias_table"] = torch.randn(rows, HEADS)
        weights["rel_pos_bias.relative_position_index"] = torch.zeros(17, 17, dtype=torch.long)
    return weights


@pytest.mark.parametrize("extra", [0, 3])
def test_beit_tables_lose_extra_rows_only_where_they_have_them(extra):
    weights = beit_weights(49 + extra, shared=False)
    family, converted = convert(weights)
    assert family == "BEiT"
    expected = {name: value for name, value in weights.items() if "relative_position_index" not in name}
    for block in range(DEPTH):
        name = f"blocks.{block}.attn.relative_position_bias_table"
        expected[name] = weights[name][:49]
    same(converted, expected)
    same(convert_beit(converted), converted)


def test_a_shared_beit_table_is_copied_into_every_block():
    weights = beit_weights(49 + 3, shared=True)
    converted = convert_beit(weights)
    assert not [name for name in converted if name.startswith("rel_pos_bias")]
    tables = [converted[f"blocks.{block}.attn.relative_position_bias_table"] for block in range(DEPTH)]
    for table in tables:
        assert torch.equal(table, weights["rel_pos_bias.relative_position_bias_table"][:49])
    assert len({table.data_ptr() for table in tables}) == DEPTH


def uni_perceiver_weights():
    """Our names and the published ones."""
    names = {
        "visual_embed.patch_embed.proj.weight": "video_embed.embeddings.weight",
        "visual_embed.patch_embed.proj.bias": "video_embed.embeddings.bias",
        "visual_embed.patch_embed.spatial_pos_embed.weight": (
            "video_embed.embeddings_st_pos.spatial_pos_embed.weight"
        ),
        "visual_embed.patch_embed.temporal_pos_embed.weight": (
            "video_embed.embeddings_st_pos.temporal_pos_embed.weight"
        ),
        "visual_embed.embeddings_norm.weight": "video_embed.embeddings_norm.weight",
        "layers.0.self_attn.in_proj.weight": "fused_encoder.layers.0.self_attn.in_proj_weight",
        "layers.0.self_attn.in_proj.bias": "fused_encoder.layers.0.self_attn.in_proj_bias",
        "layers.0.self_attn.out_proj.weight": "fused_encoder.layers.0.self_attn.out_proj.weight",
        "layers.0.linear1.weight": "fused_encoder.layers.0.linear1.weight",
        "layers.0.gamma_1": "fused_encoder.layers.0.gamma_1",
        "layers.0.norm1.weight": "fused_encoder.layers.0.norm1.weight",
    }
    return {ours: (theirs, torch.randn(3)) for ours, theirs in names.items()}


def test_uni_perceiver_keeps_encoder_and_image_embedding_under_our_names():
    weights = uni_perceiver_weights()
    published = dict(weights.values())
    rest = {"token_embed.embeddings.weight": torch.zeros(2), "loss_prepare.weight": torch.zeros(2)}
    family, converted = convert({**published, **rest})
    assert family == "Uni-Perceiver"
    same(converted, {ours: value for ours, (_, value) in weights.items()})
    same(convert_uni_perceiver(converted), converted)


def test_weights_of_an_unknown_family_are_refused_by_their_names():
    with pytest.raises(ValueError, match=r"of none of AugReg, .*: their names are \['fc.bias', 'layer1"):
        convert({"layer1.0.conv1.weight": torch.zeros(1), "fc.bias": torch.zeros(1)})


def test_a_whole_detector_is_sent_to_mmcv():
    detector = {f"backbone.{name}": value for name, value in vit_weights().items()}
    with pytest.raises(ValueError, match=r"checkpoint of a whole detector.*load_from"):
        convert(detector)
