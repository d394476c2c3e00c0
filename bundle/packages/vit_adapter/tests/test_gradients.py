"""Gradients of every block, and of whole miniature adapters, against finite differences in float64."""

import pytest
import torch
from mmcv import ConfigDict
from mmdet.models.builder import build_backbone
from vit_adapter.beit import BEiTAttention
from vit_adapter.layers import Block, Mlp
from vit_adapter.necks import ExtraAttention
from vit_adapter.spatial_prior import SpatialPrior
from vit_adapter.uniperceiver import UniPerceiverLayer
from vit_adapter.vit import ViTAttention

SIZE = (2, 3)


def check(layer, inputs, *rest, choose=lambda out: out):
    random = torch.Generator().manual_seed(0)
    for parameter in layer.double().eval().parameters():
        noise = torch.randn(parameter.shape, generator=random, dtype=torch.float64)
        parameter.data = parameter.data + 0.3 * noise
    names, parameters = zip(*layer.named_parameters(), strict=True)

    def run(inputs, *parameters):
        weights = dict(zip(names, parameters, strict=True))
        return choose(torch.func.functional_call(layer, weights, (inputs, *rest)))

    inputs = torch.randn(inputs, generator=random, dtype=torch.float64).requires_grad_()
    return torch.autograd.gradcheck(run, (inputs, *parameters), fast_mode=True)


def block(attention, init_values, gammas=("gamma_1", "gamma_2")):
    return Block(4, attention, Mlp(4, 8), drop_path=0.0, init_values=init_values, gammas=gammas)


@pytest.mark.parametrize(
    "block",
    [
        block(BEiTAttention(4, 2, 2, windowed=True, qkv_bias=True), 0.1),
        block(ViTAttention(4, 2, 2), 1.0, ("gamma1", "gamma2")),
        block(ViTAttention(4, 2), None),
        UniPerceiverLayer(4, 2, 2, mlp_ratio=2.0, drop_path=0.0),
    ],
    ids=["beit", "vit-window", "vit-global", "uni-perceiver"],
)
def test_of_a_transformer_block(block):
    assert check(block, (2, 6, 4), SIZE)


def test_of_the_spatial_prior():
    assert check(SpatialPrior(3, 2, 4, {"type": "BN"}), (1, 3, 32, 32))


def test_of_extra_attention():
    neck = ExtraAttention([4], 2, ffn_ratio=2.0, init_values=0.5)
    assert check(neck, (1, 1, 4, 2, 3), choose=lambda out: out[0])


ADAPTERS = [
    {"type": "BEiTAdapter", "qkv_bias": True, "init_values": 0.1},
    {"type": "ViTAdapter", "img_size": 32, "pretrain_size": 32},
    {"type": "UniPerceiverAdapter", "img_size": 32},
    {"type": "ViTBaseline", "img_size": 32, "depth": 4, "out_indices": (0, 1, 2, 3)},
]


def miniature(words):
    """A backbone in float64 with all parameters away from their start, and an image of an odd size."""
    sizes = {"embed_dim": 4, "depth": 2, "num_heads": 2, "window_attn": True, "window_size": 2}
    adapter = {
        "conv_inplane": 2,
        "deform_num_heads": 2,
        "n_points": 2,
        "interaction_indexes": [[0, 0], [1, 1]],
    }
    own = {} if words["type"] == "ViTBaseline" else adapter
    net = build_backbone(ConfigDict({**sizes, **own, **words})).double().eval()
    random = torch.Generator().manual_seed(0)
    for parameter in net.parameters():
        parameter.data += 0.3 * torch.randn(parameter.shape, generator=random, dtype=torch.float64)
    return net, torch.randn(1, 3, 40, 50, generator=random, dtype=torch.float64)


def pulled(outs, seed=1):
    """A random weighted sum of all outputs: its gradient has a share of every output's."""
    random = torch.Generator().manual_seed(seed)
    return sum((out * torch.randn(out.shape, generator=random, dtype=torch.float64)).sum() for out in outs)


@pytest.mark.parametrize("words", ADAPTERS, ids=lambda words: words["type"])
def test_of_a_whole_backbone_along_a_direction_in_every_parameter(words):
    net, image = miniature(words)
    leaves = {"image": image.requires_grad_(), **dict(net.named_parameters())}
    gradients = torch.autograd.grad(pulled(net(image)), leaves.values())
    random = torch.Generator().manual_seed(2)
    step = 1e-6
    for (name, leaf), gradient in zip(leaves.items(), gradients, strict=True):
        direction = torch.randn(leaf.shape, generator=random, dtype=torch.float64)
        with torch.no_grad():
            leaf.add_(step * direction)
            ahead = pulled(net(image))
            leaf.sub_(2 * step * direction)
            behind = pulled(net(image))
            leaf.add_(step * direction)
        expected = (ahead - behind) / (2 * step)
        torch.testing.assert_close(
            (gradient * direction).sum(),
            expected,
            atol=1e-4,
            rtol=1e-4,
            msg=lambda text, n=name: f"{n}: {text}",
        )


@pytest.mark.parametrize("words", ADAPTERS, ids=lambda words: words["type"])
def test_of_float32_and_a_batch_of_one_are_those_of_float64(words):
    net, image = miniature(words)
    exact = torch.autograd.grad(pulled(net(image)), list(net.parameters()))
    single = net.float()
    ours = torch.autograd.grad(pulled(single(image.float())), list(single.parameters()))
    for (name, _), mine, reference in zip(net.named_parameters(), ours, exact, strict=True):
        assert (mine - reference).norm() <= 1e-3 * reference.norm() + 1e-4, name
