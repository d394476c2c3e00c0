"""The registered backbones: their forward pass put together again, sizes, types, memory and bad words."""

import copy
import math

import pytest
import torch
from mmcv import ConfigDict
from mmdet.models.builder import BACKBONES, build_backbone
from torch import nn
from torch.nn import functional as F
from vit_adapter import BEiTAdapter, UniPerceiverAdapter, ViTAdapter, ViTBaseline
from vit_adapter.interaction import Extractor

COMMON = {"embed_dim": 16, "depth": 4, "num_heads": 2, "window_attn": True, "window_size": 3, "img_size": 64}
ADAPTER = {"conv_inplane": 4, "deform_num_heads": 2, "n_points": 2, "deform_ratio": 0.5}
WORDS = {
    "BEiTAdapter": {**COMMON, **ADAPTER, "qkv_bias": True, "init_values": 0.1, "window_size": [2, 2, 2, 5]},
    "ViTAdapter": {**COMMON, **ADAPTER, "pretrain_size": 64, "window_attn": [True, False, True, False]},
    "UniPerceiverAdapter": {**COMMON, **ADAPTER},
    "ViTBaseline": {**COMMON, "out_indices": (0, 1, 2, 3)},
}
ADAPTERS = ["BEiTAdapter", "ViTAdapter", "UniPerceiverAdapter"]


def built(kind, **words):
    """A miniature with every parameter away from its start: gammas of 0 would hide what lies behind them."""
    torch.manual_seed(0)
    net = build_backbone(ConfigDict({"type": kind, **WORDS[kind], **words}))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return net


def image(*shape, seed=3):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", WORDS)
@pytest.mark.parametrize("size", [(64, 96), (33, 70), (32, 32), (1, 100)])
def test_any_size_gives_four_maps_of_the_size_over_their_stride(kind, size):
    outs = built(kind).eval()(image(2, 3, *size))
    assert [tuple(level.shape) for level in outs] == [
        (2, 16, math.ceil(size[0] / stride), math.ceil(size[1] / stride)) for stride in (4, 8, 16, 32)
    ]


@pytest.mark.parametrize("kind", WORDS)
@pytest.mark.parametrize("shape", [(1, 3, 64, 96), (2, 3, 50, 70)])
def test_maps_lie_in_memory_order_as_compiled_operators_read_them(kind, shape):
    for level in built(kind).eval()(image(*shape)):
        assert level.is_contiguous()


@pytest.mark.parametrize("kind", WORDS)
def test_an_odd_size_is_the_image_filled_up_with_zeros_and_cropped(kind):
    net = built(kind).eval()
    odd = image(1, 3, 50, 70)
    whole = net(F.pad(odd, (0, 26, 0, 14)))
    for level, full in zip(net(odd), whole, strict=True):
        assert torch.equal(level, full[:, :, : level.shape[2], : level.shape[3]])


@pytest.mark.parametrize("kind", WORDS)
def test_images_of_a_batch_do_not_see_each_other(kind):
    net = built(kind).eval()
    batch = image(3, 3, 64, 96)
    for level, alone in zip(net(batch), net(batch[1:2]), strict=True):
        torch.testing.assert_close(level[1:2], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", WORDS)
def test_every_parameter_gets_a_gradient(kind):
    net = built(kind).train()
    sum(level.square().mean() for level in net(image(2, 3, 64, 64))).backward()
    assert [name for name, parameter in net.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("kind", WORDS)
def test_recomputed_activations_change_neither_outputs_nor_gradients(kind):
    plain = built(kind, drop_path_rate=0.5).train()
    recomputing = built(kind, drop_path_rate=0.5, with_cp=True).train()
    recomputing.load_state_dict(plain.state_dict())
    gradients = []
    for net in (plain, recomputing):
        torch.manual_seed(5)
        outs = net(image(2, 3, 64, 64))
        sum(level.square().mean() for level in outs).backward()
        gradients.append([*outs, *(parameter.grad for parameter in net.parameters())])
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", WORDS)
def test_autocast_stays_close_to_float32(kind, dtype):
    net = built(kind).eval()
    exact = net(image(1, 3, 64, 64))
    with torch.autocast("cpu", dtype):
        low = net(image(1, 3, 64, 64))
    for level, reference in zip(low, exact, strict=True):
        spread = reference.std()
        assert (level.float() - reference).abs().mean() < 0.03 * spread


@pytest.mark.parametrize("kind", ADAPTERS)
def test_a_deep_copy_and_a_state_dict_make_the_same_network(kind):
    net = built(kind).eval()
    expected = net(image(1, 3, 64, 64))
    twin = copy.deepcopy(net)
    fresh = build_backbone(ConfigDict({"type": kind, **WORDS[kind]})).eval()
    fresh.load_state_dict(net.state_dict())
    with torch.no_grad():
        net.level_embed.add_(1.0)
    for other in (twin, fresh):
        for level, reference in zip(other(image(1, 3, 64, 64)), expected, strict=True):
            assert torch.equal(level, reference)


@pytest.mark.parametrize("version", ["new", "old"])
def test_the_adapter_put_together_from_its_parts(version):
    net = built("BEiTAdapter", version=version).eval()
    picture = image(1, 3, 64, 96)
    size = (4, 6)
    c1, *finer = net.spm(picture)
    pyramid = torch.cat(
        [level.flatten(2).transpose(1, 2) + net.level_embed[i] for i, level in enumerate(finer)], dim=1
    )
    tokens = net.patch_embed.proj(picture).flatten(2).transpose(1, 2)
    injecting, extracting = net._grids.at(size, picture)
    seen = []
    for k in range(4):
        part = net.interactions[k]
        tokens = net.blocks[k](part.injector(tokens, pyramid, injecting), size)
        pyramid = part.extractor(pyramid, tokens, extracting, size)
        seen.append(tokens)
    for extra in net.interactions[3].extra_extractors:
        pyramid = extra(pyramid, tokens, extracting, size)
    c2, c3, c4 = (
        part.transpose(1, 2).reshape(1, 16, *shape)
        for part, shape in zip(pyramid.split([96, 24, 6], dim=1), [(8, 12), (4, 6), (2, 3)], strict=True)
    )
    sources = seen if version == "old" else [tokens] * 4
    maps = [c1 + net.up(c2), c2, c3, c4]
    outs = net(picture)
    for level, (source, scale) in enumerate(zip(sources, (4, 2, 1, 0.5), strict=True)):
        token_map = source.transpose(1, 2).reshape(1, 16, *size)
        added = F.interpolate(token_map, scale_factor=scale, mode="bilinear", align_corners=False)
        expected = getattr(net, f"norm{level + 1}")(maps[level] + added)
        torch.testing.assert_close(outs[level], expected, atol=1e-5, rtol=1e-5)


def test_token_maps_and_extra_extractors_can_be_left_out():
    net = built("ViTAdapter", add_vit_feature=False, use_extra_extractor=False, with_cffn=False)
    names = {name for name, _ in net.named_parameters()}
    assert not any("extra_extractors" in name or ".ffn" in name for name in names)
    with_tokens = built("ViTAdapter", use_extra_extractor=False, with_cffn=False).eval()
    with_tokens.load_state_dict(net.eval().state_dict())
    picture = image(1, 3, 64, 64)
    assert not torch.equal(net(picture)[2], with_tokens(picture)[2])


@pytest.mark.parametrize("kind", ADAPTERS)
def test_extractors_drop_at_the_full_rate_and_blocks_at_a_growing_one(kind):
    net = built(kind, drop_path_rate=0.3)
    extractors = [layer for layer in net.modules() if isinstance(layer, Extractor)]
    assert len(extractors) == 6
    assert {extractor.residual.rate for extractor in extractors} == {0.3}
    assert [block.residual.rate for block in net.stack] == pytest.approx([0.0, 0.1, 0.2, 0.3])


def test_positions_are_resized_bicubically_and_the_class_tokens_entry_is_left_out():
    net = built("ViTAdapter").eval()
    table = net.pos_embed[:, 1:].transpose(1, 2).reshape(1, 16, 4, 4)
    resized = F.interpolate(table, size=(2, 6), mode="bicubic", align_corners=False)
    picture = image(1, 3, 32, 96)
    expected = net.patch_embed.proj(picture) + resized
    tokens, size = net.embed_tokens(picture)
    assert size == (2, 6)
    torch.testing.assert_close(tokens, expected.flatten(2).transpose(1, 2))


def test_beit_has_absolute_positions_of_patches_alone():
    net = built("BEiTAdapter", use_abs_pos_emb=True).eval()
    assert net.pos_embed.shape == (1, 16, 16)  # 64 / 16 = 4 patches a side, 16 channels
    table = net.pos_embed.detach().clone().requires_grad_()
    grid = table.transpose(1, 2).reshape(1, 16, 4, 4)
    resized = F.interpolate(grid, size=(2, 6), mode="bicubic", align_corners=False)
    picture = image(1, 3, 32, 96)
    expected = (net.patch_embed.proj(picture) + resized).flatten(2).transpose(1, 2)
    tokens, size = net.embed_tokens(picture)
    assert size == (2, 6)
    torch.testing.assert_close(tokens, expected, atol=1e-6, rtol=1e-6)
    (mine,) = torch.autograd.grad(tokens.square().sum(), [net.pos_embed])
    (theirs,) = torch.autograd.grad(expected.square().sum(), [table])
    torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("kind", "eps"),
    [("BEiTAdapter", 1e-6), ("ViTAdapter", 1e-6), ("UniPerceiverAdapter", 1e-5), ("ViTBaseline", 1e-6)],
)
def test_every_layer_norm_has_the_eps_of_its_body_as_published(kind, eps):
    norms = {
        name: layer.eps for name, layer in built(kind).named_modules() if isinstance(layer, nn.LayerNorm)
    }
    assert set(norms.values()) == {eps}
    adapter = [name for name in norms if name.startswith("interactions.")]
    assert len(adapter) == (0 if kind == "ViTBaseline" else 4 * 5 + 2 * 3)


def test_uni_perceiver_adds_space_and_the_first_frame_and_then_normalises():
    net = built("UniPerceiverAdapter").eval()
    patches = net.visual_embed.patch_embed
    picture = image(1, 3, 64, 64)
    expected = patches.proj(picture).flatten(2).transpose(1, 2) + patches.spatial_pos_embed.weight
    expected = net.visual_embed.embeddings_norm(expected + patches.temporal_pos_embed.weight[0])
    torch.testing.assert_close(net.embed_tokens(picture)[0], expected)


@pytest.mark.parametrize("kind", ADAPTERS)
def test_adapters_start_as_published(kind):
    torch.manual_seed(0)
    net = build_backbone(ConfigDict({"type": kind, **WORDS[kind], "embed_dim": 64, "conv_inplane": 32}))
    start = 0.1 if kind == "BEiTAdapter" else 0.0
    for interaction in net.interactions:
        assert torch.equal(interaction.injector.gamma, torch.full((64,), start))
    kernel = net.spm.stem[3].weight.detach()
    assert kernel.std() == pytest.approx(math.sqrt(2 / (9 * 32)), rel=0.05)
    depthwise = net.interactions[0].extractor.ffn.dwconv.dwconv
    assert depthwise.weight.detach().std() == pytest.approx(math.sqrt(2 / 9), rel=0.2)
    assert depthwise.bias.count_nonzero() == 0
    assert net.level_embed.detach().std() == pytest.approx(1.0, rel=0.2)
    scales = {"BEiTAdapter": 0.1, "ViTAdapter": 1.0, "UniPerceiverAdapter": 0.0}
    gammas = [
        value for name, value in net.named_parameters() if "gamma" in name and "interactions" not in name
    ]
    assert len(gammas) == 8
    assert all(torch.equal(gamma, torch.full((64,), scales[kind])) for gamma in gammas)


def test_a_baseline_starts_its_transposed_convolutions_as_published():
    torch.manual_seed(0)
    net = build_backbone(ConfigDict({"type": "ViTBaseline", **WORDS["ViTBaseline"], "embed_dim": 64}))
    for layer in (net.up1[0], net.up1[3], net.up2):
        assert layer.weight.detach().std() == pytest.approx(math.sqrt(2 / (2 * 2 * 64)), rel=0.05)
        assert layer.bias.count_nonzero() == 0


def test_init_weights_leaves_loaded_weights_alone():
    net = built("BEiTAdapter")
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net.init_weights()
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_batch_norms_follow_norm_cfg_and_keep_their_keys():
    plain, synced = built("ViTAdapter"), built("ViTAdapter", norm_cfg={"type": "SyncBN"})
    assert list(plain.state_dict()) == list(synced.state_dict())
    assert sum(isinstance(layer, nn.SyncBatchNorm) for layer in synced.modules()) == 10
    synced.load_state_dict(plain.state_dict())
    picture = image(1, 3, 64, 64)
    assert torch.equal(plain.eval()(picture)[0], synced.eval()(picture)[0])


def test_train_returns_the_network_and_beit_itself_is_not_registered():
    net = built("ViTAdapter")
    assert net.train() is net
    assert net.eval() is net
    for kind in (BEiTAdapter, ViTAdapter, UniPerceiverAdapter, ViTBaseline):
        assert BACKBONES.get(kind.__name__) is kind
    assert BACKBONES.get("BEiT") is None or not BACKBONES.get("BEiT").__module__.startswith("vit_adapter")


@pytest.mark.parametrize("shape", [(1, 4, 64, 64), (3, 64, 64), (1, 3, 0, 64)])
def test_something_else_than_an_image_is_refused(shape):
    with pytest.raises(
        ValueError, match=r"ViTAdapter takes images of shape \(batch, 3, height, width\), not"
    ):
        built("ViTAdapter")(torch.zeros(shape))


@pytest.mark.parametrize(
    ("kind", "words", "message"),
    [
        ("ViTAdapter", {"num_heads": 5}, "ViTAdapter: 16 channels cannot be split over 5 heads"),
        ("ViTAdapter", {"window_attn": [True] * 3}, "window_attn has 3 entries for 4 blocks"),
        ("BEiTAdapter", {"window_size": [2, 2]}, "window_size has 2 entries for 4 blocks"),
        (
            "ViTAdapter",
            {"window_size": [3, 3, None, 3]},
            "block 2 attends in windows, but its window_size is None",
        ),
        ("ViTAdapter", {"interaction_indexes": [[0, 1], [3, 3]]}, "must cover blocks 0 to 3 once each"),
        ("ViTAdapter", {"interaction_indexes": [[0, 2], [2, 3]]}, "must cover blocks 0 to 3 once each"),
        ("ViTAdapter", {"interaction_indexes": [[2, 3], [0, 1]]}, "must cover blocks 0 to 3 once each"),
        ("ViTAdapter", {"depth": 5, "window_attn": True}, "5 blocks do not make four equal spans"),
        ("BEiTAdapter", {"version": "old", "interaction_indexes": [[0, 1], [2, 3]]}, "'old' .* 2 spans"),
        ("BEiTAdapter", {"version": "older"}, "version 'older': there are 'new' and 'old'"),
        ("BEiTAdapter", {"window_attn": False, "window_size": None}, "give 56 instead of None"),
        ("BEiTAdapter", {"use_rel_pos_bias": False}, "every BEiT block owns a relative position table"),
        ("ViTAdapter", {"pretrain_size": 224}, "img_size 64 and pretrain_size 224 speak of the same"),
        ("ViTAdapter", {"patch_size": 14}, "patch size 14: these backbones are built on 16-pixel patches"),
        ("ViTAdapter", {"depth": 0, "window_attn": True}, "a body of 0 blocks"),
        ("ViTAdapter", {"deform_num_heads": 3}, "16 channels cannot be split over 3 heads"),
        ("ViTBaseline", {"out_indices": (0, 2, 1, 3)}, "four of the blocks 0 to 3, in order"),
        ("ViTBaseline", {"out_indices": (1, 2, 3, 4)}, "four of the blocks 0 to 3, in order"),
    ],
)
def test_words_that_do_not_fit_each_other_are_named(kind, words, message):
    with pytest.raises(ValueError, match=message):
        built(kind, **{"window_size": 3} | words if "depth" in words else words)


def test_an_unknown_word_is_named():
    with pytest.raises(TypeError, match="unexpected keyword argument 'windows'"):
        built("ViTAdapter", windows=3)
