"""The other two decoders on MiT-b2, computed again from their weights in plain torch."""

import pytest
import torch
from torch.nn import functional as F

from kit.errors import KitError
from kit.models import build
from kit.models.mit import HEADS
from tests.kit.models import naive_mit

MIXUPSAMPLE = {
    "network": "segformer-b2-mixupsample",
    "embed_dims": 8,
    "depths": [1, 1, 1, 1],
    "channels": 16,
}
DAFORMER = {**MIXUPSAMPLE, "network": "segformer-b2-daformer"}


def settled(config):
    """A network in eval mode whose batch norms and learned numbers are not those of the start."""
    torch.manual_seed(0)
    module = build(config).eval()
    with torch.no_grad():
        for key, value in module.network.decode_head.state_dict().items():
            if value.is_floating_point() and ("bn" in key or "mixing" in key):
                value.uniform_(0.3, 1.5)
    return module


def images(height, width):
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (2, 3, height, width), dtype=torch.uint8, generator=generator)


def bilinear(x_NCHW, size):
    return F.interpolate(x_NCHW, size, mode="bilinear", align_corners=False)


class Weights:
    """Layers by the names of a state dict."""

    def __init__(self, module):
        self.values = module.network.state_dict()

    def __getitem__(self, key):
        return self.values[f"decode_head.{key}"]

    def conv_norm_relu(self, x_NCHW, key, **how):
        x_NCHW = F.conv2d(x_NCHW, self[f"{key}.conv.weight"], **how)
        norm = [self[f"{key}.bn.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        return F.relu(F.batch_norm(x_NCHW, *norm, eps=1e-5))


@pytest.mark.parametrize(
    ("config", "eps"),
    [
        (MIXUPSAMPLE, 1e-5),
        (DAFORMER, 1e-5),
        ({"network": "segformer-b2", "embed_dims": 8, "depths": [1, 1, 1, 1], "channels": 32}, 1e-6),
    ],
    ids=["mixupsample", "daformer", "mmseg"],
)
def test_the_encoder_s_norms_have_the_eps_of_its_publication(config, eps):
    """In outputs and gradients, where the variance is about as small as eps."""
    torch.manual_seed(0)
    encoder = build(config).network.backbone.double().eval()
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            if "projection" in name or ".sr." in name:
                parameter.mul_(0.01)
    x_NCHW = 0.1 * torch.randn(2, 3, 70, 45, dtype=torch.float64)
    named = dict(encoder.named_parameters())
    copies = {name: value.detach().clone().requires_grad_() for name, value in named.items()}
    found = encoder(x_NCHW)
    expected = naive_mit.levels(copies, x_NCHW, embedding_eps=eps)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-6)
    mine = torch.autograd.grad(sum(level.pow(3).mean() for level in found), list(named.values()))
    theirs = torch.autograd.grad(sum(level.pow(3).mean() for level in expected), list(copies.values()))
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(("config", "single"), [(MIXUPSAMPLE, True), (DAFORMER, False)])
def test_dropout_takes_single_values_of_the_one_and_channels_of_the_other(config, single):
    torch.manual_seed(0)
    dropped = build({**config, "dropout": 0.5}).network.decode_head.train().dropout(torch.ones(1, 16, 8, 8))
    mixed = [bool(channel.any()) and not bool(channel.all()) for channel in dropped[0]]
    assert all(mixed) if single else not any(mixed)


def test_the_mix_upsample_decoder_starts_with_torch_s_own_weights():
    torch.manual_seed(0)
    head = build({**MIXUPSAMPLE, "channels": 64}).network.decode_head
    for layer in (head.fusion_conv.conv, head.conv_seg):
        limit = layer.in_channels**-0.5  # uniform up to 1 / sqrt(fan in)
        assert 0.8 * limit < float(layer.weight.detach().abs().max()) <= limit


@torch.no_grad()
def test_the_daformer_takes_any_size_as_published():
    module = settled(DAFORMER)
    x_NCHW = images(70, 93)
    levels = module.network.backbone(module.normalise(x_NCHW))
    assert [tuple(level.shape[2:]) for level in levels] == [(18, 24), (9, 12), (5, 6), (3, 3)]
    expected = bilinear(module.network.decode_head(levels), (70, 93))
    torch.testing.assert_close(module(x_NCHW), expected, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_the_mix_upsample_decoder_is_what_its_weights_say():
    module = settled(MIXUPSAMPLE)
    weights = Weights(module)
    x_NCHW = images(64, 96)
    levels = module.network.backbone(module.normalise(x_NCHW))
    size = (16, 24)
    enlarged = []
    for index, level in enumerate(levels):
        projected = weights.conv_norm_relu(level, f"convs.{index}")
        share = weights["mixing"][index - 1] if index > 0 else 1
        enlarged.append(share * bilinear(projected, size) + (1 - share) * F.interpolate(projected, size))
    joined = weights.conv_norm_relu(torch.cat(enlarged, dim=1), "fusion_conv")
    logit = F.conv2d(joined, weights["conv_seg.weight"], weights["conv_seg.bias"])
    torch.testing.assert_close(module(x_NCHW), bilinear(logit, (64, 96)), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_daformer_decoder_is_what_its_weights_say():
    module = settled(DAFORMER)
    weights = Weights(module)
    x_NCHW = images(64, 96)
    levels = module.network.backbone(module.normalise(x_NCHW))
    embedded = []
    for index, level in enumerate(levels):
        key = f"embed_layers.{index}.proj"
        level_NHWC = F.linear(level.permute(0, 2, 3, 1), weights[f"{key}.weight"], weights[f"{key}.bias"])
        embedded.append(bilinear(level_NHWC.permute(0, 3, 1, 2), (16, 24)))
    joined = torch.cat(embedded, dim=1)
    branches = [weights.conv_norm_relu(joined, "fuse_layer.aspp_modules.0")]
    for index, dilation in ((1, 6), (2, 12), (3, 18)):
        key = f"fuse_layer.aspp_modules.{index}"
        around = {"padding": dilation, "dilation": dilation, "groups": joined.shape[1]}
        depthwise = weights.conv_norm_relu(joined, f"{key}.depthwise_conv", **around)
        branches.append(weights.conv_norm_relu(depthwise, f"{key}.pointwise_conv"))
    joined = weights.conv_norm_relu(torch.cat(branches, dim=1), "fuse_layer.bottleneck", padding=1)
    logit = F.conv2d(joined, weights["conv_seg.weight"], weights["conv_seg.bias"])
    torch.testing.assert_close(module(x_NCHW), bilinear(logit, (64, 96)), rtol=1e-4, atol=1e-5)


def test_full_size_decoders_have_the_published_shapes():
    with torch.device("meta"):
        mix = build({"network": "segformer-b2-mixupsample"}).network
        daformer = build({"network": "segformer-b2-daformer"}).network
    found = {key: tuple(value.shape) for key, value in mix.decode_head.named_parameters()}
    assert found["convs.3.conv.weight"] == (320, 512, 1, 1)
    assert found["fusion_conv.conv.weight"] == (320, 1280, 1, 1)
    assert found["conv_seg.weight"] == (1, 320, 1, 1)
    assert not any(key.endswith("conv.bias") for key in found)
    assert [head.in_channels for head in mix.auxiliary_heads] == [64, 128, 320, 512]
    found = {key: tuple(value.shape) for key, value in daformer.decode_head.named_parameters()}
    assert [found[f"embed_layers.{index}.proj.weight"] for index in range(4)] == [
        (256, width) for width in (64, 128, 320, 512)
    ]
    assert found["fuse_layer.aspp_modules.0.conv.weight"] == (256, 1024, 1, 1)
    assert found["fuse_layer.aspp_modules.2.depthwise_conv.conv.weight"] == (1024, 1, 3, 3)
    assert found["fuse_layer.aspp_modules.2.pointwise_conv.conv.weight"] == (256, 1024, 1, 1)
    assert found["fuse_layer.bottleneck.conv.weight"] == (256, 1024, 3, 3)
    assert not any("image_pool" in key for key in found)


def test_upsampling_starts_halfway_between_bilinear_and_nearest():
    module = build(MIXUPSAMPLE)
    assert module.network.decode_head.mixing.tolist() == [0.5, 0.5, 0.5]


@pytest.mark.parametrize("config", [MIXUPSAMPLE, DAFORMER])
def test_gradients_of_the_decoder_are_those_of_finite_differences(config):
    head = settled({**config, "channels": 4}).network.decode_head.double()
    levels = [
        torch.randn(1, 8 * heads, 8 >> index, 8 >> index, dtype=torch.float64, requires_grad=True)
        for index, heads in enumerate(HEADS)
    ]
    learned = dict(head.named_parameters())
    last = learned.get("mixing", learned["conv_seg.weight"])
    assert torch.autograd.gradcheck(lambda *given: head(given[:4]), (*levels, last), fast_mode=True)


class TestAuxiliaryHeads:
    @torch.no_grad()
    def test_the_third_stage_s_is_given_to_the_loss_at_a_sixteenth(self):
        module = settled(MIXUPSAMPLE)
        x_NCHW = images(64, 96)
        logits = module(x_NCHW, logits=True)
        assert list(logits.auxiliary) == ["stage2"]
        (auxiliary,) = logits.auxiliary.values()
        level = module.network.backbone(module.normalise(x_NCHW))[2]
        head = module.network.auxiliary_heads[2]
        torch.testing.assert_close(auxiliary.logit, F.conv2d(level, head.weight, head.bias))
        assert auxiliary.stride == 16

    @torch.no_grad()
    @pytest.mark.parametrize(("side", "count"), [(64, 4), (65, 5), (79, 5), (80, 5), (81, 6)])
    def test_of_padded_images_it_covers_just_the_image(self, side, count):
        module = settled(MIXUPSAMPLE)
        logits = module(images(side, 64), logits=True)
        auxiliary = logits.auxiliary["stage2"]
        assert logits.main.shape[-2:] == (side, 64)
        assert auxiliary.logit.shape[-2:] == (count, 4)
        assert len(range(0, side, auxiliary.stride)) == count

    def test_prediction_does_without(self):
        module = build(MIXUPSAMPLE)
        module(images(32, 32)).sum().backward()
        assert all(parameter.grad is None for parameter in module.network.auxiliary_heads.parameters())

    def test_the_daformer_has_none(self):
        assert build(DAFORMER)(images(32, 32), logits=True).auxiliary == {}


@pytest.mark.parametrize("config", [MIXUPSAMPLE, DAFORMER])
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"channels": 0}, "channels is 0; it has to be at least 1"),
        ({"depths": [3, 4, 6]}, r"depths is \[3, 4, 6\], not a list of 4"),
        ({"dropout": 2.0}, r"dropout is 2\.0; it has to be at least 0 and below 1"),
        ({"score": "sigmoid"}, "unknown key score"),
    ],
)
def test_words_that_cannot_be_are_told(config, words, message):
    with pytest.raises(KitError, match=message):
        build({**config, **words})
