"""The Swin transformer as a whole: against mmdet's, in both modes and precisions, and its refusals."""

import copy
import io

import pytest
import torch
from cbnetv2.swin import SwinTransformer
from mmcv.runner import load_state_dict as mmcv_load_state_dict
from mmdet.models.backbones.swin import SwinTransformer as StockSwin
from mmdet.models.utils.ckpt_convert import swin_converter

from bundle.packages.cbnetv2.tests.miniatures import SWIN, randomised

OUT = {"out_indices": (0, 1, 2)}


def swin(**words):
    return randomised(SwinTransformer(**{**SWIN, **OUT, **words})).eval()


def images(height=33, width=50, batch=2):
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(5))


def stock_twin(own):
    """mmdet's own network with the same weights, and the keys that it found no weights for."""
    twin = StockSwin(
        embed_dims=8, depths=(2, 2, 1), num_heads=(1, 2, 4), strides=(4, 2, 2), window_size=7, **OUT
    )
    converted = swin_converter(own.state_dict())
    weights = {key.removeprefix("backbone."): value for key, value in converted.items()}
    missing, unexpected = twin.load_state_dict(weights, strict=False)
    assert not unexpected
    assert all(key.endswith("relative_position_index") for key in missing)
    twin.eval()
    return twin


@pytest.mark.parametrize(("height", "width"), [(64, 64), (33, 50), (5, 70)])
def test_outputs_equal_stock_mmdet_with_converted_weights(height, width):
    own, x_NCHW = swin(window_size=7), images(height, width)
    with torch.no_grad():
        for one, other in zip(own(x_NCHW), stock_twin(own)(x_NCHW), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_gradients_equal_stock_mmdets():
    own = swin(window_size=7)
    stock = stock_twin(own)
    for net in (own, stock):
        sum(out.square().mean() for out in net(images())).backward()
    of_own = own.layers[0].blocks[1].attn
    of_stock = stock.stages[0].blocks[1].attn.w_msa
    for name in ("relative_position_bias_table", "qkv.weight", "qkv.bias", "proj.weight"):
        torch.testing.assert_close(
            of_own.get_parameter(name).grad, of_stock.get_parameter(name).grad, rtol=1e-4, atol=1e-6
        )


def test_any_size_gives_maps_of_the_strides_rounded_up():
    shapes = [tuple(out.shape) for out in swin()(images(33, 50))]
    assert shapes == [(2, 8, 9, 13), (2, 16, 5, 7), (2, 32, 3, 4)]


def test_checkpointed_training_has_the_same_outputs_and_gradients():
    plain, saving = swin(drop_path_rate=0.0).train(), swin(drop_path_rate=0.0, use_checkpoint=True).train()
    for net in (plain, saving):
        sum(out.square().mean() for out in net(images())).backward()
    for one, other in zip(plain.parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_stays_finite_and_close(dtype):
    net = swin()
    with torch.no_grad():
        exact = net(images())
        with torch.autocast("cpu", dtype=dtype):
            rough = net(images())
    for one, other in zip(exact, rough, strict=True):
        assert other.isfinite().all()
        assert (one - other.float()).abs().mean() < 0.1 * one.abs().mean()


def test_channels_last_images_give_the_same_maps():
    net = swin()
    with torch.no_grad():
        for one, other in zip(
            net(images()), net(images().contiguous(memory_format=torch.channels_last)), strict=True
        ):
            torch.testing.assert_close(one, other)


def test_images_do_not_see_each_other():
    net = swin()
    with torch.no_grad():
        together, alone = net(images()), net(images()[1:])
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one[1:], other)


def test_absolute_positions_are_resized_to_the_image_and_move_the_output():
    net = swin(ape=True, pretrain_img_size=16)
    assert net.absolute_pos_embed.shape == (1, 8, 4, 4)
    with torch.no_grad():
        x_NCHW = images(16, 16)
        expected = net.patch_embed(x_NCHW) + net.absolute_pos_embed.permute(0, 2, 3, 1)
        torch.testing.assert_close(net.embed(x_NCHW), expected)
        assert net(images(20, 28))[0].shape[2:] == (5, 7)


def test_published_index_buffers_are_dropped_even_when_loading_strictly():
    net = swin()
    weights = net.state_dict()
    assert not any("index" in key or "mask" in key for key in weights)
    for stage, depth in enumerate(SWIN["depths"]):
        for block in range(depth):
            key = f"layers.{stage}.blocks.{block}.attn.relative_position_index"
            weights[key] = torch.zeros(9, 9, dtype=torch.long)
    fresh = SwinTransformer(**SWIN, **OUT)
    fresh.load_state_dict(weights, strict=True)
    mmcv_load_state_dict(fresh, weights, strict=True)
    with torch.no_grad():
        assert torch.equal(fresh.eval()(images())[2], net(images())[2])


def test_copies_and_pickles_carry_no_layouts_and_predict_the_same():
    net = swin()
    with torch.no_grad():
        expected = net(images())
        copied = copy.deepcopy(net)
        assert not copied.layers[0]._layouts._layouts
        assert net.layers[0]._layouts._layouts
        file = io.BytesIO()
        torch.save(net, file)
        file.seek(0)
        loaded = torch.load(file, weights_only=False)
        for other in (copied, loaded):
            assert torch.equal(other(images())[2], expected[2])


def test_frozen_stages_keep_their_weights_and_train_returns_the_network():
    net = SwinTransformer(**SWIN, **OUT, frozen_stages=1, ape=True)
    assert net.train() is net
    assert net.eval() is net
    net.train()
    frozen = {name for name, parameter in net.named_parameters() if not parameter.requires_grad}
    assert frozen == {
        name
        for name, _ in net.named_parameters()
        if name.startswith(("patch_embed.", "absolute_pos_embed", "layers.0.", "norm0."))
    }
    assert not net.layers[0].training
    assert net.layers[1].training


def test_initial_weights_follow_the_published_rule():
    net = randomised(SwinTransformer(**{**SWIN, "embed_dim": 32}, **OUT, ape=True))
    torch.manual_seed(0)
    net.init_weights()
    attn = net.layers[2].blocks[0].attn
    for drawn in (attn.qkv.weight, attn.relative_position_bias_table, net.absolute_pos_embed):
        assert drawn.std().item() == pytest.approx(0.02, rel=0.2)
    assert attn.qkv.bias.abs().max() == 0
    assert torch.equal(net.norm1.weight, torch.ones(64))
    assert net.norm1.bias.abs().max() == 0


def test_drop_path_rises_linearly_over_all_blocks():
    net = SwinTransformer(**SWIN, **OUT, drop_path_rate=0.4)
    rates = [block.drop_path.rate for stage in net.layers for block in stage.blocks]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"num_heads": (1, 2)}, "num_heads names 2 stages and depths 3"),
        ({"num_heads": (3, 2, 4)}, "8 channels cannot be split over 3 heads"),
        ({"out_indices": (0, 3)}, r"out_indices \(0, 3\) must name some of the stages 0 to 2"),
        ({"frozen_stages": 4}, "frozen_stages is 4; it must lie between -1 and 3"),
        ({"init_cfg": {"type": "Normal"}}, r"init_cfg .* is not dict\(type='Pretrained'"),
        ({"pretrained": "a", "init_cfg": {"type": "Pretrained", "checkpoint": "b"}}, "keep one"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(words, message):
    with pytest.raises(ValueError, match=message):
        SwinTransformer(**{**SWIN, **OUT, **words})


def test_images_of_other_channels_are_refused():
    with pytest.raises(ValueError, match=r"shape \(1, 4, 8, 8\) do not fit: \(N, 3, height, width\)"):
        swin()(torch.zeros(1, 4, 8, 8))
