"""Window attention and relative position bias against loops over windows, queries and keys."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from vit_adapter.beit import BEiTAttention, relative_bias
from vit_adapter.uniperceiver import UniPerceiverAttention
from vit_adapter.vit import ViTAttention
from vit_adapter.windows import attend, attend_in_windows, fill_windows


def softmax_attention(q, k, v, bias=0.0):
    """One head, one window: (queries, d), (keys, d), (keys, d) -> (queries, d)."""
    logits = q @ k.T / math.sqrt(q.shape[1]) + bias
    shares = (logits - logits.amax(dim=1, keepdim=True)).exp()
    return shares / shares.sum(dim=1, keepdim=True) @ v


def bias_by_loop(table, window, head):
    """Row (yq - yk + w - 1)(2w - 1) + xq - xk + w - 1 of the table for every query and key."""
    tokens = [(y, x) for y in range(window) for x in range(window)]
    rows = [
        [(yq - yk + window - 1) * (2 * window - 1) + xq - xk + window - 1 for yk, xk in tokens]
        for yq, xq in tokens
    ]
    return table[torch.tensor(rows), head]


def attend_by_loop(q, k, v, window, *, heads=2, biases=(0.0, 0.0)):
    """Every window of filled (B, H, W, C) maps by itself, padded tokens unmasked."""
    out = torch.empty_like(q)
    width = q.shape[3] // heads
    for b in range(q.shape[0]):
        for top in range(0, q.shape[1], window):
            for left in range(0, q.shape[2], window):
                cut = (b, slice(top, top + window), slice(left, left + window))
                for head in range(heads):
                    part = slice(head * width, (head + 1) * width)
                    tokens = [t[cut][..., part].reshape(window * window, width) for t in (q, k, v)]
                    done = softmax_attention(*tokens, biases[head])
                    out[cut][..., part] = done.view(window, window, width)
    return out


def filled(tokens_BHWC, window):
    b, h, w, c = tokens_BHWC.shape
    map_BHWC = torch.zeros(b, math.ceil(h / window) * window, math.ceil(w / window) * window, c).double()
    map_BHWC[:, :h, :w] = tokens_BHWC
    return map_BHWC


def randomised(layer, seed=0):
    random = torch.Generator().manual_seed(seed)
    for parameter in layer.double().parameters():
        parameter.data = torch.randn(parameter.shape, generator=random, dtype=torch.float64) * 0.5
    return layer


def tokens_of(size, dim, batch=2):
    return torch.randn(batch, *size, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(7))


@pytest.mark.parametrize("window", [1, 2, 3, 7])
def test_relative_bias_is_the_tables_row_of_each_offset(window):
    table = torch.randn((2 * window - 1) ** 2, 3, dtype=torch.float64)
    bias = relative_bias(table, window, (window, window))
    for head in range(3):
        assert torch.equal(bias[head], bias_by_loop(table, window, head))


def test_relative_bias_of_a_global_blocks_window_at_places_all_over_it():
    window, heads = 56, 2
    table = torch.arange(111**2 * heads, dtype=torch.float32).view(111**2, heads)
    bias = relative_bias(table, window, (window, window))
    assert bias.shape == (heads, 3136, 3136)
    random = torch.Generator().manual_seed(0)
    for query, key in torch.randint(3136, (500, 2), generator=random).tolist():
        dy, dx = query // 56 - key // 56, query % 56 - key % 56
        row = (dy + 55) * 111 + dx + 55
        assert bias[:, query, key].tolist() == table[row].tolist()


@pytest.mark.parametrize("queries", [(1, 4), (4, 1), (3, 2)])
def test_relative_bias_of_a_cut_window_is_that_of_its_real_queries(queries):
    table = torch.randn(49, 2)
    whole = relative_bias(table, 4, (4, 4)).view(2, 4, 4, 16)
    cut = whole[:, : queries[0], : queries[1]].reshape(2, -1, 16)
    assert torch.equal(relative_bias(table, 4, queries), cut)


def test_relative_bias_hands_gradients_back_to_the_table():
    table = torch.randn(25, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda table: relative_bias(table, 3, (2, 3)), table)


@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)), window=st.integers(1, 5), heads=st.integers(1, 3)
)
def test_windows_of_equal_logits_average_each_window_and_come_back_to_their_place(size, window, heads):
    # With queries of 0 a window's output is the mean of its values: partition and merge must be inverse.
    values = filled(tokens_of(size, 2 * heads, batch=1), window)
    q = k = torch.zeros_like(values)
    out = attend_in_windows(torch.cat((q, k, values), dim=3), size, window, heads)
    assert out.shape == (1, *size, 2 * heads)
    for y in range(size[0]):
        for x in range(size[1]):
            top, left = y // window * window, x // window * window
            mean = values[0, top : top + window, left : left + window].mean(dim=(0, 1))
            torch.testing.assert_close(out[0, y, x], mean)


def test_filling_adds_zeros_below_and_to_the_right_only_where_needed():
    tokens = tokens_of((3, 4), 2)
    assert torch.equal(fill_windows(tokens, 4), filled(tokens, 4))
    assert fill_windows(tokens_of((4, 8), 2), 4).shape == (2, 4, 8, 2)


SIZES = [(6, 6), (5, 7), (2, 8), (3, 3), (7, 2)]


@pytest.mark.parametrize("size", SIZES)
def test_beit_fills_windows_before_the_projection_and_masks_nothing(size):
    layer, window, dim = randomised(BEiTAttention(6, 2, 3, windowed=True, qkv_bias=True)), 3, 6
    tokens = tokens_of(size, dim)
    bias = torch.cat((layer.q_bias, torch.zeros(dim), layer.v_bias))
    q, k, v = (filled(tokens, window) @ layer.qkv.weight.T + bias).chunk(3, dim=3)
    biases = [bias_by_loop(layer.relative_position_bias_table, window, head) for head in range(2)]
    attended = attend_by_loop(q, k, v, window, biases=biases)[:, : size[0], : size[1]]
    expected = attended @ layer.proj.weight.T + layer.proj.bias
    torch.testing.assert_close(layer(tokens.flatten(1, 2), size), expected.flatten(1, 2))


@pytest.mark.parametrize("size", SIZES)
def test_vit_fills_windows_behind_the_projection_with_zeros(size):
    layer, window = randomised(ViTAttention(6, 2, 3)), 3
    tokens = tokens_of(size, 6)
    q, k, v = filled(tokens @ layer.qkv.weight.T + layer.qkv.bias, window).chunk(3, dim=3)
    attended = attend_by_loop(q, k, v, window)[:, : size[0], : size[1]]
    expected = attended @ layer.proj.weight.T + layer.proj.bias
    torch.testing.assert_close(layer(tokens.flatten(1, 2), size), expected.flatten(1, 2))


@pytest.mark.parametrize("size", SIZES)
def test_uni_perceiver_fills_windows_before_the_projection_keys_biased(size):
    layer, window = randomised(UniPerceiverAttention(6, 2, 3)), 3
    tokens = tokens_of(size, 6)
    q, k, v = (filled(tokens, window) @ layer.in_proj.weight.T + layer.in_proj.bias).chunk(3, dim=3)
    attended = attend_by_loop(q, k, v, window)[:, : size[0], : size[1]]
    expected = attended @ layer.out_proj.weight.T + layer.out_proj.bias
    torch.testing.assert_close(layer(tokens.flatten(1, 2), size), expected.flatten(1, 2))


def test_attention_over_the_whole_map_is_one_window_of_all_tokens():
    qkv = torch.randn(2, 10, 12, dtype=torch.float64)
    q, k, v = qkv.chunk(3, dim=2)
    out = attend(qkv, 2)
    for b in range(2):
        for part in (slice(0, 2), slice(2, 4)):
            expected = softmax_attention(q[b, :, part], k[b, :, part], v[b, :, part])
            torch.testing.assert_close(out[b, :, part], expected)


@pytest.mark.parametrize(
    "layer",
    [
        BEiTAttention(4, 2, 2, windowed=True, qkv_bias=True),
        ViTAttention(4, 2, 2),
        ViTAttention(4, 2),
        UniPerceiverAttention(4, 2, 2),
    ],
    ids=["beit", "vit-window", "vit-global", "uni-perceiver"],
)
def test_attention_has_the_gradients_of_finite_differences(layer):
    randomised(layer)
    names, values = zip(*layer.named_parameters(), strict=True)
    tokens = torch.randn(1, 6, 4, dtype=torch.float64, requires_grad=True)

    def run(tokens, *parameters):
        return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), (tokens, (2, 3)))

    assert torch.autograd.gradcheck(run, (tokens, *values))


def test_beit_attention_without_windows_takes_one_window_and_says_so():
    layer = BEiTAttention(4, 2, 3, windowed=False, qkv_bias=False)
    assert layer(torch.randn(1, 9, 4), (3, 3)).shape == (1, 9, 4)
    with pytest.raises(
        ValueError, match=r"positions for 3 x 3 tokens, the map has 3 x 4; set window_attn=True"
    ):
        layer(torch.randn(1, 12, 4), (3, 4))
