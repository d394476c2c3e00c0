"""The two necks."""

import math

import pytest
import torch
from mmcv import ConfigDict
from mmdet.models.builder import build_neck
from torch.nn import functional as F

CHANNELS = [8, 8, 8, 8]


def maps(batch=2):
    random = torch.Generator().manual_seed(0)
    return [torch.randn(batch, 8, 3 * side, 2 * side, generator=random) for side in (8, 4, 2, 1)]


def extra_attention(**words):
    torch.manual_seed(0)
    neck = build_neck(
        ConfigDict(
            {"type": "ExtraAttention", "in_channels": CHANNELS, "num_head": 2, "ffn_ratio": 2.0, **words}
        )
    )
    with torch.no_grad():
        for parameter in neck.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return neck


def test_extra_attention_is_a_transformer_block_on_the_last_map_alone():
    neck = extra_attention().eval()
    inputs = maps()
    *finer, last = neck(inputs)
    assert all(out is given for out, given in zip(finer, inputs[:3], strict=True))
    tokens = inputs[3].flatten(2).transpose(1, 2)
    normed = F.layer_norm(tokens, (8,), neck.norm1.weight, neck.norm1.bias, 1e-5)
    q, k, v = (normed @ neck.attn.qkv.weight.T + neck.attn.qkv.bias).chunk(3, dim=2)
    heads = []
    for part in (slice(0, 4), slice(4, 8)):
        shares = (q[..., part] @ k[..., part].transpose(1, 2) / math.sqrt(4)).softmax(dim=-1)
        heads.append(shares @ v[..., part])
    tokens = tokens + torch.cat(heads, dim=2) @ neck.attn.proj.weight.T + neck.attn.proj.bias
    normed = F.layer_norm(tokens, (8,), neck.norm2.weight, neck.norm2.bias, 1e-5)
    hidden = F.gelu(normed @ neck.ffn.fc1.weight.T + neck.ffn.fc1.bias)
    tokens = tokens + hidden @ neck.ffn.fc2.weight.T + neck.ffn.fc2.bias
    tokens = F.layer_norm(tokens, (8,), neck.final_norm.weight, neck.final_norm.bias, 1e-5)
    torch.testing.assert_close(last, tokens.transpose(1, 2).reshape(2, 8, 3, 2), atol=1e-5, rtol=1e-5)


def test_extra_attention_without_its_optional_parts_has_none_of_their_keys():
    names = set(extra_attention(with_ffn=False, use_final_norm=False, init_values=1.0).state_dict())
    assert {name.split(".")[0] for name in names} == {"norm1", "attn", "gamma_1"}
    assert {"gamma_1", "gamma_2"} <= set(extra_attention(init_values=1e-6).state_dict())


def test_extra_attention_recomputes_without_changing_gradients():
    gradients = []
    for with_cp in (False, True):
        neck = extra_attention(with_cp=with_cp, drop_path=0.4, init_values=0.5).train()
        torch.manual_seed(1)
        neck(maps())[-1].square().sum().backward()
        gradients.append([parameter.grad for parameter in neck.parameters()])
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_extra_attention_names_channels_that_do_not_fit():
    with pytest.raises(ValueError, match="8 channels cannot be split over 3 heads"):
        extra_attention(num_head=3)
    with pytest.raises(ValueError, match=r"takes a last map of 8 channels, not one of \(1, 4, 2, 2\)"):
        extra_attention()([torch.zeros(1, 4, 2, 2)])


def mapper(**words):
    config = {"type": "ChannelMapperWithPooling", "in_channels": CHANNELS, "out_channels": 5, **words}
    return build_neck(ConfigDict(config))


@pytest.mark.parametrize("words", [{}, {"act_cfg": None}], ids=["as_published", "without_activation"])
def test_the_mapper_convolves_each_map_cuts_off_below_zero_and_pools_the_last(words):
    neck = mapper(num_outs=6, **words).double()
    inputs = [level.double() for level in maps()]
    outs = neck(inputs)
    for out, given, layer in zip(outs, inputs, neck.convs, strict=False):
        weight, bias = (value.detach().clone().requires_grad_() for value in layer.conv.parameters())
        expected = torch.einsum("oc,bchw->bohw", weight[:, :, 0, 0], given) + bias[:, None, None]
        if not words:
            assert bool((expected < -0.1).any())
            expected = torch.where(expected > 0, expected, torch.zeros_like(expected))
        torch.testing.assert_close(out, expected, atol=1e-6, rtol=1e-6)
        gradients = torch.autograd.grad(out.square().sum(), list(layer.conv.parameters()), retain_graph=True)
        for mine, theirs in zip(
            gradients, torch.autograd.grad(expected.square().sum(), [weight, bias]), strict=True
        ):
            torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-6)
    assert [tuple(out.shape[2:]) for out in outs] == [(24, 16), (12, 8), (6, 4), (3, 2), (1, 1), (1, 1)]
    assert torch.equal(outs[4][:, :, 0, 0], outs[3][:, :, :2].amax(dim=(2, 3)))
    assert len(mapper().double()(inputs)) == 4


def test_the_mapper_starts_with_xavier_weights_and_takes_other_kernels():
    neck = mapper(kernel_size=3, norm_cfg={"type": "BN"})
    neck.init_weights()
    limit = math.sqrt(6 / ((8 + 5) * 9))
    weight = neck.convs[0].conv.weight
    assert limit * 0.9 < weight.abs().max() <= limit
    assert [tuple(out.shape[2:]) for out in neck(maps())] == [(24, 16), (12, 8), (6, 4), (3, 2)]


def test_the_mapper_names_numbers_of_maps_that_do_not_fit():
    with pytest.raises(ValueError, match="num_outs 3 is below the 4 maps that come in"):
        mapper(num_outs=3)
    with pytest.raises(ValueError, match="3 maps for a neck of 4"):
        mapper()(maps()[:3])
