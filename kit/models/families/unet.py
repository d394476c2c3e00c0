"""U-Net and U-Net++ of segmentation_models_pytorch on timm's RegNets: 2nd place of Hacking the Kidney.

The published ensemble has `unet-regnety16` (the best single model), `unet-regnety16-scse`, `unet-regnetx32`
and `unetplusplus-regnety16-scse`. The other names complete the combinations.

Its encoders were called "timm-regnety_016" and "timm-regnetx_032" in segmentation_models_pytorch. Today's
encoders come from timm, with names one level deeper: "encoder.s1.b1..." became "encoder.model.s1.b1...".
segmentation_models_pytorch renames old checkpoints when it loads them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from kit.errors import KitError
from kit.models.entry import Entry
from kit.models.network import SemanticNetwork
from kit.models.network_spec import NetworkSpec
from kit.typed_json import Checked, at_least

_LEAST_SCSE_CHANNELS = 16
"""scSE's squeeze keeps one channel in sixteen: 8 channels would become none."""


@dataclass(frozen=True, kw_only=True)
class UnetSize(Checked):
    """The settings that the published and the tiny form may choose.

    Attributes:
        encoder: name in segmentation_models_pytorch, or "tu-" and a timm name.
        encoder_depth: how often the encoder halves the size.
        decoder_channels: one per stage of the decoder, deepest first.
        attention: "scse" attention in the decoder, or None.
        nested: whether it is a U-Net++ instead of a U-Net.
    """

    encoder: str = "tu-regnety_016"
    encoder_depth: Annotated[int, at_least(1)] = 5
    decoder_channels: tuple[Annotated[int, at_least(1)], ...] = (256, 128, 64, 32, 16)
    attention: Literal["scse"] | None = None
    nested: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.decoder_channels) != self.encoder_depth:
            raise KitError(
                f"a U-Net of depth {self.encoder_depth} got {len(self.decoder_channels)} decoder widths",
                fix=f"give {self.encoder_depth} decoder_channels, deepest first",
            )
        if self.attention == "scse" and min(self.decoder_channels) < _LEAST_SCSE_CHANNELS:
            raise KitError(
                f"scse attention keeps one channel in sixteen of a decoder of {min(self.decoder_channels)}",
                fix=f"give each stage of decoder_channels {_LEAST_SCSE_CHANNELS} or more",
            )


def _build(spec: NetworkSpec, size: UnetSize) -> SemanticNetwork:
    # Imported here, because an instance ensemble does not have it on Kaggle.
    import segmentation_models_pytorch as smp

    try:
        network = (smp.UnetPlusPlus if size.nested else smp.Unet)(
            size.encoder,
            encoder_depth=size.encoder_depth,
            encoder_weights=None,
            decoder_channels=size.decoder_channels,
            decoder_attention_type=size.attention,
            in_channels=3,
            classes=1,
        )
    except (KeyError, RuntimeError, ValueError) as error:
        raise KitError(
            f"no U-Net has the encoder {size.encoder!r} with depth {size.encoder_depth}: {error}",
            where="network of the recipe",
            fix="name an encoder of segmentation_models_pytorch, or 'tu-' and a timm model; check its depth",
        ) from error
    spec = replace(spec, unused_parameters=_unused(size))
    # Depth 5 halves five times, so sides are padded to multiples of 32; the tiny form of depth 4 needs 16.
    return SemanticNetwork(spec, network, size_divisor=2**size.encoder_depth)


def _unused(size: UnetSize) -> tuple[str, ...]:
    """Return the prefixes of the parameters that the network never uses.

    The last stage of the decoder has no skip connection, so it does not call the attention over it.
    Depth 5: "decoder.blocks.4.attention1." in a U-Net, "decoder.blocks.x_0_4.attention1." in a U-Net++.
    """
    if size.attention is None:
        return ()
    last = size.encoder_depth - 1
    stage = f"x_0_{last}" if size.nested else str(last)
    return (f"decoder.blocks.{stage}.attention1.",)


def _entry(name: str, encoder: str, small_encoder: str) -> Entry:
    # "unetplusplus-regnety16-scse", "tu-regnety_016", "tu-regnety_002": U-Net++, its published encoder, its
    # small encoder, with scSE.
    attention: Literal["scse"] | None = "scse" if name.endswith("-scse") else None
    size = UnetSize(encoder=encoder, attention=attention, nested=name.startswith("unetplusplus-"))
    spec = NetworkSpec(
        name=name,
        system="kidney-2nd",
        kind="semantic",
        output="logit",
        # Mean and deviation of the kidney slides, as published.
        mean=(0.6226 * 255, 0.4284 * 255, 0.6705 * 255),
        std=(0.1246 * 255, 0.1719 * 255, 0.0956 * 255),
        size_divisor=32,
        requires=("segmentation-models-pytorch", "timm"),
        unused_parameters=_unused(size),
    )
    tiny = {"encoder": small_encoder, "encoder_depth": 4, "decoder_channels": [64, 32, 16, 16]}
    return Entry(spec=spec, size=size, build=_build, tiny=tiny)


ENTRIES = tuple(
    _entry(f"{family}-{encoder}{attention}", full, small)
    for family in ("unet", "unetplusplus")
    for encoder, full, small in (
        ("regnety16", "tu-regnety_016", "tu-regnety_002"),
        ("regnetx32", "tu-regnetx_032", "tu-regnetx_002"),
    )
    for attention in ("", "-scse")
)
