"""Windows, bias, attention, blocks and merging against loops over windows, tokens and pairs."""

import pytest
import torch
from cbnetv2.blocks import DropPath, PatchEmbed, PatchMerging, SwinBlock, WindowAttention
from cbnetv2.windows import LayoutCache, WindowLayout, relative_position_bias, with_filler
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle.packages.cbnetv2.tests import naive
from bundle.packages.cbnetv2.tests.miniatures import randomised

CPU = torch.device("cpu")


def attention(channels=6, heads=2, window=3, *, qkv_bias=True):
    made = WindowAttention(channels, heads, window, qkv_bias=qkv_bias, qk_scale=None, attn_drop=0.0, drop=0.0)
    return randomised(made).double()


def block(shift, channels=6, window=3):
    made = SwinBlock(
        attention(channels, window=window),
        shift=shift,
        hidden=2 * channels,
        norm=torch.nn.LayerNorm,
        drop=0.0,
        drop_path=0.0,
    )
    return randomised(made).double()


def tokens(*shape, seed=1):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def layout_for(x_BHWC, window, shift):
    return WindowLayout.of(*x_BHWC.shape[:3], window=window, shift=shift, device=CPU)


@given(window=st.integers(1, 5), heads=st.integers(1, 3))
@settings(deadline=None, max_examples=10)
def test_relative_position_bias_reads_the_table_by_the_formula(window, heads):
    table = tokens((2 * window - 1) ** 2, heads)
    assert torch.equal(relative_position_bias(table, window), naive.naive_bias(table, window))


@given(
    batch=st.integers(1, 3),
    height=st.integers(1, 11),
    width=st.integers(1, 11),
    window=st.integers(2, 5),
    shifted=st.booleans(),
)
@settings(deadline=None, max_examples=60)
def test_splitting_into_windows_and_joining_them_returns_every_token(batch, height, width, window, shifted):
    layout = WindowLayout.of(
        batch, height, width, window=window, shift=window // 2 if shifted else 0, device=CPU
    )
    rows = torch.arange(float(batch * height * width))[:, None] + 1
    split = layout.split(with_filler(rows, layout))
    assert torch.equal(layout.join(split), rows)
    whole = batch * -(-height // window) * -(-width // window) * window**2
    assert len(split) == whole
    assert int((split == 0).sum()) == whole - len(rows) == len(layout.pads)


@pytest.mark.parametrize(("height", "width"), [(6, 9), (7, 5), (2, 1), (3, 3)])
@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("qkv_bias", [True, False])
def test_attention_equals_a_softmax_for_each_padded_and_shifted_window(height, width, shift, qkv_bias):
    made, x_BHWC = attention(qkv_bias=qkv_bias), tokens(2, height, width, 6)
    expected = naive.naive_attention(x_BHWC, made.state_dict(), heads=2, window=3, shift=shift)
    torch.testing.assert_close(made(x_BHWC, layout_for(x_BHWC, 3, shift)), expected)


def test_a_scale_of_the_logits_takes_the_place_of_the_usual_one():
    usual, x_BHWC = attention(), tokens(1, 3, 3, 6)
    given_scale = attention()
    given_scale.scale = 3**-0.5
    layout = layout_for(x_BHWC, 3, 0)
    torch.testing.assert_close(given_scale(x_BHWC, layout), usual(x_BHWC, layout))
    given_scale.scale = 2.0
    assert not torch.allclose(given_scale(x_BHWC, layout), usual(x_BHWC, layout))


@pytest.mark.parametrize("shift", [0, 2])
def test_a_block_equals_its_written_out_form(shift):
    made, x_BHWC = block(shift, window=5), tokens(2, 8, 6, 6)
    expected = naive.naive_block(x_BHWC, made.state_dict(), heads=2, window=5, shift=shift)
    torch.testing.assert_close(made(x_BHWC, layout_for(x_BHWC, 5, shift)), expected)


@pytest.mark.parametrize(("height", "width"), [(4, 6), (5, 3), (1, 1)])
def test_merging_takes_neighbours_down_first_and_pads_odd_sides(height, width):
    made = randomised(PatchMerging(3, torch.nn.LayerNorm)).double()
    x_BHWC = tokens(2, height, width, 3)
    torch.testing.assert_close(made(x_BHWC), naive.naive_merging(x_BHWC, made.state_dict()))


def test_gradients_of_attention_agree_with_finite_differences():
    made, x_BHWC = attention(channels=4), tokens(1, 4, 5, 4).requires_grad_()
    layout = layout_for(x_BHWC, 3, 1)
    assert torch.autograd.gradcheck(with_weights(made, layout), (x_BHWC, *made.parameters()))


def test_gradients_of_a_block_agree_with_finite_differences():
    made, x_BHWC = block(1, channels=2), tokens(1, 3, 4, 2).requires_grad_()
    layout = layout_for(x_BHWC, 3, 1)
    assert torch.autograd.gradcheck(with_weights(made, layout), (x_BHWC, *made.parameters()))


def test_gradients_of_embedding_and_merging_agree_with_finite_differences():
    embedding = randomised(PatchEmbed(2, 3, 2, torch.nn.LayerNorm)).double()
    image = tokens(1, 2, 3, 5).requires_grad_()
    assert torch.autograd.gradcheck(with_weights(embedding), (image, *embedding.parameters()))
    merging = randomised(PatchMerging(2, torch.nn.LayerNorm)).double()
    x_BHWC = tokens(1, 3, 3, 2).requires_grad_()
    assert torch.autograd.gradcheck(with_weights(merging), (x_BHWC, *merging.parameters()))


def test_drop_path_drops_whole_samples_and_keeps_the_mean():
    drop = DropPath(0.25)
    torch.manual_seed(0)
    kept = drop(torch.ones(4000, 2, 3))
    assert torch.equal(kept.flatten(1).amin(1), kept.flatten(1).amax(1))
    assert kept.unique().tolist() == pytest.approx([0, 4 / 3])
    assert kept.mean().item() == pytest.approx(1, abs=0.03)
    assert torch.equal(drop.eval()(torch.ones(5, 2)), torch.ones(5, 2))


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_a_drop_path_rate_outside_its_range_is_refused(rate):
    with pytest.raises(ValueError, match=f"drop path rate is {rate}; it must be at least 0 and below 1"):
        DropPath(rate)


def test_a_layout_is_built_once_for_each_size_and_old_ones_are_let_go():
    cache = LayoutCache(3)
    first = cache.layout(tokens(1, 4, 4, 2), 1)
    assert cache.layout(tokens(1, 4, 4, 2), 1) is first
    assert cache.layout(tokens(1, 4, 4, 2), 0) is not first
    for width in range(5, 15):
        cache.layout(tokens(1, 4, width, 2), 1)
    assert cache.layout(tokens(1, 4, 4, 2), 1) is not first


def test_a_layout_made_while_predicting_serves_training():
    made, cache, x_BHWC = attention(), LayoutCache(3), tokens(1, 4, 4, 6)
    with torch.inference_mode():
        made(x_BHWC, cache.layout(x_BHWC, 1))
    made(x_BHWC, cache.layout(x_BHWC, 1)).sum().backward()
    assert made.relative_position_bias_table.grad.abs().sum() > 0


def with_weights(module, *rest):
    """The module as a function of its input and its parameters."""
    names = [name for name, _ in module.named_parameters()]

    def call(x, *values):
        return torch.func.functional_call(module, dict(zip(names, values, strict=True)), (x, *rest))

    return call
