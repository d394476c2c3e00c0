"""Injector, extractor and their feed-forward network, recomputed from their weights."""

import math

import pytest
import torch
from torch.nn import functional as F
from vit_adapter.grids import GridCache
from vit_adapter.interaction import ConvFFN, Extractor, Injector, Interaction
from vit_adapter.layers import Residual
from vit_adapter.vit import ViT

SIZE = (2, 4)
TOKENS, PYRAMID = 8, 42
DIM = 6
ATTENTION = {"num_heads": 2, "num_points": 2, "ratio": 1.0}


def randomised(layer, seed=0):
    random = torch.Generator().manual_seed(seed)
    for parameter in layer.double().parameters():
        parameter.data = torch.randn(parameter.shape, generator=random, dtype=torch.float64) * 0.5
    return layer


def sequences(batch=2, seed=1):
    random = torch.Generator().manual_seed(seed)
    tokens = torch.randn(batch, TOKENS, DIM, generator=random, dtype=torch.float64)
    return tokens, torch.randn(batch, PYRAMID, DIM, generator=random, dtype=torch.float64)


def grids():
    return GridCache().at(SIZE, torch.zeros((), dtype=torch.float64))


def layer_norm(values, layer, eps=1e-6):
    centred = values - values.mean(-1, keepdim=True)
    spread = (centred.square().mean(-1, keepdim=True) + eps).sqrt()
    return centred / spread * layer.weight + layer.bias


def gelu(values):
    return values * 0.5 * (1 + torch.erf(values / math.sqrt(2)))


def feed_forward(pyramid, ffn):
    """Each map convolved by itself, pixel by pixel."""
    hidden = pyramid @ ffn.fc1.weight.T + ffn.fc1.bias
    kernel, bias = ffn.dwconv.dwconv.weight[:, 0], ffn.dwconv.dwconv.bias
    convolved = torch.empty_like(hidden)
    begin = 0
    for height, width in ((4, 8), (2, 4), (1, 2)):
        level = hidden[:, begin : begin + height * width].view(-1, height, width, hidden.shape[2])
        for y in range(height):
            for x in range(width):
                total = bias.expand(len(level), -1).clone()
                for dy in (-1, 0, 1):
                    for dx in (-1, 0, 1):
                        if 0 <= y + dy < height and 0 <= x + dx < width:
                            total += kernel[:, dy + 1, dx + 1] * level[:, y + dy, x + dx]
                convolved[:, begin + y * width + x] = total
        begin += height * width
    return gelu(convolved) @ ffn.fc2.weight.T + ffn.fc2.bias


def test_the_feed_forward_network_convolves_each_of_the_three_maps_by_itself():
    ffn = randomised(ConvFFN(DIM, 4))
    _, pyramid = sequences()
    torch.testing.assert_close(ffn(pyramid, SIZE), feed_forward(pyramid, ffn))


def test_an_injector_adds_what_the_normed_tokens_find_in_the_normed_maps():
    injector = randomised(Injector(DIM, **ATTENTION, init_values=0.0))
    tokens, pyramid = sequences()
    grid, _ = grids()
    found = injector.attn(
        layer_norm(tokens, injector.query_norm), layer_norm(pyramid, injector.feat_norm), grid
    )
    torch.testing.assert_close(injector(tokens, pyramid, grid), tokens + injector.gamma * found)


def test_an_injector_of_gamma_zero_changes_nothing():
    tokens, pyramid = sequences()
    injector = Injector(DIM, **ATTENTION, init_values=0.0).double()
    assert torch.equal(injector(tokens, pyramid, grids()[0]), tokens)


@pytest.mark.parametrize("with_cffn", [True, False])
def test_an_extractor_adds_what_the_normed_maps_find_in_the_normed_tokens(with_cffn):
    extractor = randomised(Extractor(DIM, **ATTENTION, with_cffn=with_cffn, cffn_ratio=0.5))
    tokens, pyramid = sequences()
    _, grid = grids()
    expected = pyramid + extractor.attn(
        layer_norm(pyramid, extractor.query_norm), layer_norm(tokens, extractor.feat_norm), grid
    )
    if with_cffn:
        expected = expected + feed_forward(layer_norm(expected, extractor.ffn_norm), extractor.ffn)
    torch.testing.assert_close(extractor(pyramid, tokens, grid, SIZE), expected)


@pytest.mark.parametrize("eps", [1e-6, 1e-5])
def test_norms_of_both_directions_have_the_eps_they_are_given(eps):
    tokens, pyramid = (values * 1e-3 for values in sequences())  # eps weighs as much as the variance
    injecting, extracting = grids()
    injector = randomised(Injector(DIM, **ATTENTION, init_values=0.0, eps=eps))
    found = injector.attn(
        layer_norm(tokens, injector.query_norm, eps), layer_norm(pyramid, injector.feat_norm, eps), injecting
    )
    assert_alike(injector(tokens, pyramid, injecting), tokens + injector.gamma * found, injector)
    extractor = randomised(Extractor(DIM, **ATTENTION, cffn_ratio=0.5, eps=eps))
    expected = pyramid + extractor.attn(
        layer_norm(pyramid, extractor.query_norm, eps),
        layer_norm(tokens, extractor.feat_norm, eps),
        extracting,
    )
    expected = expected + feed_forward(layer_norm(expected, extractor.ffn_norm, eps), extractor.ffn)
    assert_alike(extractor(pyramid, tokens, extracting, SIZE), expected, extractor)


def assert_alike(found, expected, layer):
    """Outputs and gradients to 1e-6."""
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)
    parameters = list(layer.parameters())
    for mine, theirs in zip(
        *(torch.autograd.grad(out.square().sum(), parameters) for out in (found, expected)), strict=True
    ):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-6)


def test_extractors_run_one_after_another():
    extractors = [randomised(Extractor(DIM, **ATTENTION), seed) for seed in range(3)]
    layer = Interaction(randomised(Injector(DIM, **ATTENTION, init_values=1.0)), extractors)
    tokens, pyramid = sequences()
    _, grid = grids()
    expected = pyramid
    for extractor in extractors:
        expected = extractor(expected, tokens, grid, SIZE)
    torch.testing.assert_close(layer.extract(pyramid, tokens, grid, SIZE), expected)
    names = {name.split(".")[0] for name, _ in layer.named_parameters()}
    assert names == {"injector", "extractor", "extra_extractors"}


def test_injector_and_extractor_have_the_gradients_of_finite_differences():
    tokens, pyramid = sequences(batch=1)
    injecting, extracting = grids()
    injector = randomised(Injector(DIM, **ATTENTION, init_values=0.5))
    extractor = randomised(Extractor(DIM, **ATTENTION, cffn_ratio=0.5))
    for layer, inputs in (
        (injector, (tokens, pyramid, injecting)),
        (extractor, (pyramid, tokens, extracting, SIZE)),
    ):
        names, parameters = zip(*layer.named_parameters(), strict=True)

        def run(query, value, *parameters, layer=layer, rest=inputs[2:], names=names):
            return torch.func.functional_call(
                layer, dict(zip(names, parameters, strict=True)), (query, value, *rest)
            )

        leaves = [tensor.clone().requires_grad_() for tensor in inputs[:2]]
        assert torch.autograd.gradcheck(run, (*leaves, *parameters), fast_mode=True)


def test_a_residual_drops_whole_samples_and_scales_the_others_up():
    torch.manual_seed(0)
    residual = Residual(0.25).train()
    trunk, branch = torch.zeros(4000, 2, 3), torch.ones(4000, 2, 3)
    out = residual(trunk, branch)
    kept = out[:, 0, 0] > 0
    assert torch.equal(out, torch.where(kept[:, None, None], 1 / 0.75, 0.0).expand_as(out))
    assert 0.72 < kept.float().mean() < 0.78
    gamma = torch.tensor([1.0, 2.0, 3.0])
    assert torch.equal(residual.eval()(trunk + 1, branch, gamma), trunk + 1 + gamma)


def test_a_residual_with_layer_scale_is_the_same_under_autocast_types():
    trunk, gamma = torch.randn(2, 3, 4), torch.randn(4)
    branch = torch.randn(2, 3, 4, dtype=torch.bfloat16)
    out = Residual()(trunk, branch, gamma)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, trunk + gamma * branch.float())


def test_drop_path_grows_linearly_over_the_blocks():
    sizes = {"img_size": 32, "embed_dim": 4, "num_heads": 2, "drop_path_rate": 0.3}
    rates = [[layer.residual.rate for layer in ViT(**sizes, depth=depth).blocks] for depth in (4, 1)]
    assert rates == [pytest.approx([0.0, 0.1, 0.2, 0.3]), [0.0]]
    with pytest.raises(ValueError, match=r"drop path rate 1.0 is outside \[0, 1\)"):
        Residual(1.0)


def test_gelu_is_the_exact_one():
    values = torch.linspace(-4, 4, 50, dtype=torch.float64)
    torch.testing.assert_close(F.gelu(values), gelu(values))
