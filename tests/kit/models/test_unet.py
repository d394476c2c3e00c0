import pytest
import segmentation_models_pytorch as smp
import torch

from kit.errors import KitError
from kit.models import build, names, spec

SMALL = {
    "network": "unet-regnety16",
    "encoder": "tu-regnety_002",
    "encoder_depth": 3,
    "decoder_channels": [16, 8, 8],
}


FAMILY = [name for name in names() if name.startswith("unet")]


def full(name):
    with torch.device("meta"):
        return build({"network": name})


@pytest.mark.parametrize("name", FAMILY)
def test_the_name_says_what_is_built(name):
    family, encoder, *attention = name.split("-")
    with torch.device("meta"):
        original = {"unet": smp.Unet, "unetplusplus": smp.UnetPlusPlus}[family](
            {"regnety16": "tu-regnety_016", "regnetx32": "tu-regnetx_032"}[encoder],
            encoder_weights=None,
            decoder_attention_type=attention[0] if attention else None,
        )
    module = full(name)
    ours, theirs = (
        {key: tuple(value.shape) for key, value in network.state_dict().items()}
        for network in (module.network, original)
    )
    assert ours == theirs
    assert module.spec == spec(name)
    assert len({*FAMILY}) == 8


def test_the_last_stage_s_attention_is_declared_unused_at_any_depth():
    shallow = {"encoder": "tu-regnety_002", "encoder_depth": 3, "decoder_channels": [16, 16, 16]}
    for name, prefix in (("unet", "decoder.blocks.2."), ("unetplusplus", "decoder.blocks.x_0_2.")):
        module = build({"network": f"{name}-regnety16-scse", **shallow})
        assert module.spec.unused_parameters == (f"{prefix}attention1.",)
        assert any(key.startswith(module.spec.unused_parameters) for key in module.network.state_dict())
        assert build({"network": f"{name}-regnety16", **shallow}).spec.unused_parameters == ()


def test_checkpoints_of_the_old_encoders_load_under_their_old_names():
    """The kidney solution was published with them."""
    module, generator = build(SMALL), torch.Generator().manual_seed(0)
    values = {
        key: torch.rand(value.shape, generator=generator)
        for key, value in module.network.state_dict().items()
    }
    old = {key.replace("encoder.model.", "encoder."): value for key, value in values.items()}
    assert "encoder.stem.conv.weight" in old
    module.network.load_state_dict(old)
    found = module.network.state_dict()
    assert all(torch.equal(found[key], value.to(found[key].dtype)) for key, value in values.items())


def test_scse_wants_a_channel_to_keep():
    with pytest.raises(KitError, match="keeps one channel in sixteen of a decoder of 8"):
        build({**SMALL, "attention": "scse"})


def test_decoder_widths_have_to_match_the_depth():
    with pytest.raises(KitError, match="depth 3 got 2 decoder widths") as caught:
        build({**SMALL, "decoder_channels": [16, 8]})
    assert caught.value.fix == "give 3 decoder_channels, deepest first"


def test_a_shallower_encoder_needs_less_padding():
    assert build(SMALL).size_divisor == 8


def test_padding_does_not_move_pixels():
    torch.manual_seed(0)
    module = build(SMALL).eval()
    x_NCHW = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        whole, cut = module(x_NCHW), module(x_NCHW[..., :61, :59])
    # Far from the cut the receptive field sees the same pixels.
    torch.testing.assert_close(whole[..., :8, :8], cut[..., :8, :8], rtol=1e-3, atol=1e-3)


def test_scse_attention_adds_its_layers():
    wide = {**SMALL, "decoder_channels": [32, 16, 16]}
    plain, attentive = build(wide), build({**wide, "attention": "scse"})
    added = set(attentive.network.state_dict()) - set(plain.network.state_dict())
    assert added
    assert all("attention" in key for key in added)


def test_an_unknown_encoder_is_told():
    with pytest.raises(KitError, match=r"no U-Net has the encoder 'tu-regnetz_999'[\s\S]*name an encoder"):
        build({"network": "unet-regnety16", "encoder": "tu-regnetz_999"})
