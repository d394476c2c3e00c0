"""SegFormer against mmseg: its shipped configs, its modules, its results."""

from pathlib import Path

import mmseg
import pytest
import torch
from mmcv import Config
from mmseg.models import build_segmentor
from mmseg.ops import resize

from kit.errors import KitError
from kit.models import build, spec
from kit.models.families.segformer import SIZES
from kit.models.mit import HEADS, MixTransformer

CONFIGS = Path(mmseg.__file__).parent / ".mim/configs/segformer"
GROUP_NORM = {"type": "GN", "num_groups": 8}
MINIATURE = {"embed_dims": 8, "channels": 32, "norm_groups": 8}

pytestmark = [  # mmseg's advice on other ways to build it
    pytest.mark.filterwarnings("ignore:For binary segmentation, we suggest using"),
    pytest.mark.filterwarnings("ignore:.*Default ``avg_non_ignore`` is False"),
]


def published(size):
    """The model of mmseg's own config."""
    return Config.fromfile(CONFIGS / f"segformer_mit-{size}_512x512_160k_ade20k.py").model


def miniature_of_mmseg(size, norm=GROUP_NORM):
    """mmseg's network as its config says, but narrow, with two classes and another norm in the head."""
    model = published(size)
    model.pretrained = None
    model.backbone.embed_dims = MINIATURE["embed_dims"]
    model.decode_head.update(
        in_channels=[MINIATURE["embed_dims"] * heads for heads in HEADS],
        channels=MINIATURE["channels"],
        num_classes=2,
        norm_cfg=norm,
    )
    return build_segmentor(model)


def shapes(network):
    return {key: tuple(value.shape) for key, value in network.state_dict().items()}


def images(height, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (2, 3, height, width), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("size", SIZES)
class TestAgainstMmseg:
    def test_sizes_are_those_of_its_config(self, size):
        model = published(size)
        with torch.device("meta"):
            ours = build({"network": f"segformer-{size}"})
        backbone, head = ours.network.backbone, ours.network.decode_head
        assert SIZES[size] == (model.backbone.embed_dims, tuple(model.backbone.num_layers))
        assert list(HEADS) == model.backbone.num_heads
        for (embed, blocks, _), kernel, ratio in zip(
            backbone.layers, model.backbone.patch_sizes, model.backbone.sr_ratios, strict=True
        ):
            assert embed.projection.kernel_size == (kernel, kernel)
            assert {block.attn.sr_ratio for block in blocks} == {ratio}
        assert [conv.in_channels for conv in head.convs] == model.decode_head.in_channels
        assert head.conv_seg.in_channels == model.decode_head.channels == 256
        assert head.dropout.p == model.decode_head.dropout_ratio
        rates = [block.ffn.dropout_layer.drop_prob for _, blocks, _ in backbone.layers for block in blocks]
        assert rates == pytest.approx(
            torch.linspace(0, model.backbone.drop_path_rate, len(rates)).tolist(), abs=1e-7
        )

    @pytest.mark.parametrize(("height", "width"), [(64, 96), (70, 93), (29, 131)])
    def test_its_weights_fit_and_give_its_logits_at_any_size(self, size, height, width):
        torch.manual_seed(0)
        original = miniature_of_mmseg(size).eval()
        original.init_weights()
        ours = build({"network": f"segformer-{size}", **MINIATURE}).eval()
        assert shapes(ours.network) == shapes(original)
        ours.network.load_state_dict(original.state_dict())
        x_NCHW = images(height, width)
        with torch.no_grad():
            expected = original.encode_decode(ours.normalise(x_NCHW), None)
            found = ours(x_NCHW, logits=True).main
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)

    def test_with_batch_norm_in_the_head_it_has_the_keys_of_the_released_checkpoints(self, size):
        ours = build({"network": f"segformer-{size}", **MINIATURE, "norm": "batch"})
        assert shapes(ours.network) == shapes(miniature_of_mmseg(size, norm={"type": "BN"}))


@pytest.mark.parametrize(
    ("size", "channels", "millions"),
    [
        # Table 1 of the SegFormer paper: 150 classes, 768 channels in the head from b2 on.
        ("b0", 256, 3.8),
        ("b1", 256, 13.7),
        ("b2", 768, 27.5),
        ("b3", 768, 47.3),
        ("b4", 768, 64.1),
        ("b5", 768, 84.7),
    ],
)
def test_the_number_of_parameters_is_the_paper_s(size, channels, millions):
    with torch.device("meta"):
        ours = build({"network": f"segformer-{size}", "channels": channels})
    count = sum(parameter.numel() for parameter in ours.parameters())
    more_classes = 148 * (channels + 1)
    assert (count + more_classes) / 1e6 == pytest.approx(millions, abs=0.1)


def test_a_size_that_mmseg_cannot_take_is_padded_with_its_border():
    ours = build({"network": "segformer-b0", **MINIATURE}).eval()
    x_NCHW = images(5, 40)
    padded_NCHW = torch.cat([x_NCHW, x_NCHW[..., -1:, :].expand(-1, -1, 24, -1)], dim=2)
    with torch.no_grad():
        torch.testing.assert_close(ours(x_NCHW), ours(padded_NCHW)[..., :5, :])
        with pytest.raises(RuntimeError, match="Kernel size can't be greater than actual input size"):
            ours.network.backbone(torch.zeros(1, 3, 28, 64))


def test_gradients_at_a_size_of_no_multiple_are_mmseg_s():
    torch.manual_seed(0)
    original = miniature_of_mmseg("b0").train()
    original.init_weights()
    ours = build({"network": "segformer-b0", **MINIATURE}).train()
    ours.network.load_state_dict(original.state_dict())
    for network in (original, ours):
        for layer in network.modules():
            if type(layer).__name__ in {"Dropout", "Dropout2d", "DropPath"}:
                layer.eval()
    x_NCHW = images(45, 58)
    logits = ours(x_NCHW, logits=True).main
    expected = resize(
        original._decode_head_forward_test(original.extract_feat(ours.normalise(x_NCHW)), None),
        (45, 58),
        mode="bilinear",
        align_corners=False,
    )
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-6)
    logits.square().sum().backward()
    expected.square().sum().backward()
    theirs = dict(original.named_parameters())
    for name, parameter in ours.network.named_parameters():
        scale = theirs[name].grad.abs().max()
        torch.testing.assert_close(parameter.grad / scale, theirs[name].grad / scale, rtol=1e-4, atol=1e-4)


class TestScore:
    def test_by_default_it_is_the_sigmoid_of_the_foreground_s_logit_as_published(self):
        module = build({"network": "segformer-b0", **MINIATURE}).eval()
        x_NCHW = images(70, 90)
        with torch.no_grad():
            two = module(x_NCHW, logits=True).main
            score = module(x_NCHW)
        assert two.shape == (2, 2, 70, 90)
        assert module.spec.output == spec("segformer-b0").output == "sigmoid"
        torch.testing.assert_close(score, two[:, 1:].sigmoid())

    def test_softmax_can_be_had_and_is_then_declared(self):
        module = build({"network": "segformer-b0", **MINIATURE, "score": "softmax"}).eval()
        x_NCHW = images(70, 90)
        with torch.no_grad():
            two = module(x_NCHW, logits=True).main
            score = module(x_NCHW)
        assert module.spec.output == "softmax"
        torch.testing.assert_close(score, two.softmax(1)[:, 1:])


def test_gradients_of_the_encoder_are_those_of_finite_differences():
    torch.manual_seed(0)
    encoder = MixTransformer(6, [1, 1, 1, 1], drop_path=0.0, checkpointing=False).double()
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    first = encoder.layers[0]
    x_NCHW = torch.randn(1, 3, 64, 64, dtype=torch.float64)  # four keys for each query to choose from
    weights = list(first.parameters())

    def output(*_):
        return torch.cat([level.flatten() for level in encoder(x_NCHW)])

    assert torch.autograd.gradcheck(output, weights, fast_mode=True)


def test_checkpointing_changes_no_gradient():
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        module = build({"network": "segformer-b0", **MINIATURE, "checkpointing": checkpointing}).train()
        module(images(64, 64)).sum().backward()
        gradients.append([parameter.grad for parameter in module.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


def test_checkpointing_keeps_less_for_the_backward_pass():
    kept = []
    for checkpointing in (False, True):
        module = build({"network": "segformer-b0", **MINIATURE, "checkpointing": checkpointing}).train()
        stored = []

        def store(tensor, stored=stored):
            stored.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(store, lambda tensor: tensor):
            module(images(64, 64))
        kept.append(sum(stored))
    assert kept[1] < 0.5 * kept[0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"depths": [2, 2, 2]}, r"depths is \[2, 2, 2\], not a list of 4"),
        ({"depths": [2, 2, 0, 2]}, r"depths\[2\] is 0; it has to be at least 1"),
        ({"depths": "b3"}, "depths is 'b3', not a list of 4"),
        ({"embed_dims": 0}, "embed_dims is 0; it has to be at least 1"),
        ({"embed_dims": "64"}, "embed_dims is '64', not an integer"),
        ({"channels": 0}, "channels is 0; it has to be at least 1"),
        ({"norm_groups": 7}, "32 channels cannot be split into 7 groups"),
        ({"norm": "layer"}, "norm is 'layer'"),
        ({"dropout": 1.0}, r"dropout is 1\.0; it has to be at least 0 and below 1"),
        ({"drop_path": -0.1}, r"drop_path is -0\.1; it has to be at least 0 and below 1"),
        ({"score": "logit"}, "score is 'logit'"),
        ({"attention": "scse"}, "unknown key attention"),
    ],
)
def test_words_that_cannot_be_are_told(words, message):
    with pytest.raises(KitError, match=message):
        build({"network": "segformer-b0", **MINIATURE, **words})
