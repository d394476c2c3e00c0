import pytest
import torch

from kit.errors import KitError
from kit.models import build

SMALL = {
    "network": "unet-regnety16",
    "encoder": "tu-regnety_002",
    "encoder_depth": 3,
    "decoder_channels": [16, 8, 8],
}


def test_decoder_widths_have_to_match_the_depth():
    with pytest.raises(KitError, match="depth 3 got 2 decoder widths") as caught:
        build({**SMALL, "decoder_channels": [16, 8]})
    assert caught.value.fix == "give 3 of them, deepest first"


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
    with pytest.raises(KitError, match=r"no U-Net with encoder 'tu-regnetz_999'[\s\S]*name an encoder"):
        build({"network": "unet-regnety16", "encoder": "tu-regnetz_999"})
