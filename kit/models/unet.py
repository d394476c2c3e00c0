"""U-Net of segmentation_models_pytorch on a timm encoder: the 2nd place of Hacking the Kidney."""

from __future__ import annotations

from collections.abc import Sequence

from kit.errors import KitError
from kit.models.entry import Entry
from kit.models.network import SemanticNetwork
from kit.models.spec import NetworkSpec

SPEC = NetworkSpec(
    name="unet-regnety16",
    system="unet-regnety16",
    kind="semantic",
    output="logit",
    # Of the kidney slides, as published.
    mean=(0.6226 * 255, 0.4284 * 255, 0.6705 * 255),
    std=(0.1246 * 255, 0.1719 * 255, 0.0956 * 255),
    size_divisor=32,
    requires=("segmentation-models-pytorch", "timm"),
)


def build(
    *,
    encoder: str = "tu-regnety_016",
    encoder_depth: int = 5,
    decoder_channels: Sequence[int] = (256, 128, 64, 32, 16),
    attention: str | None = None,
) -> SemanticNetwork:
    """The network with random weights.

    Args:
        encoder: name in segmentation_models_pytorch; "tu-" in front of a timm name.
        encoder_depth: number of times the encoder halves the size.
        decoder_channels: one a decoder stage, deepest first.
        attention: "scse" in the decoder, or None.

    Raises:
        KitError: the parts do not fit together.
    """
    if len(decoder_channels) != encoder_depth:
        raise KitError(
            f"U-Net with encoder depth {encoder_depth} got {len(decoder_channels)} decoder widths",
            where="decoder_channels",
            fix=f"give {encoder_depth} of them, deepest first",
        )
    # Not at the top: an instance ensemble has no use for it and Kaggle would have to install it.
    import segmentation_models_pytorch as smp

    try:
        network = smp.Unet(
            encoder,
            encoder_depth=encoder_depth,
            encoder_weights=None,
            decoder_channels=tuple(decoder_channels),
            decoder_attention_type=attention,
            in_channels=3,
            classes=1,
        )
    except (KeyError, RuntimeError, ValueError) as error:
        raise KitError(
            f"no U-Net with encoder {encoder!r}, depth {encoder_depth}, attention {attention!r}: {error}",
            where="network of the recipe",
            fix="name an encoder of segmentation_models_pytorch, or 'tu-' and a timm model; mind its depth",
        ) from error
    return SemanticNetwork(SPEC, network, size_divisor=2**encoder_depth)


ENTRIES = (
    Entry(
        spec=SPEC,
        build=build,
        tiny={"encoder": "tu-regnety_002", "encoder_depth": 4, "decoder_channels": [64, 32, 16, 16]},
    ),
)
