"""U-Net and U-Net++ of segmentation_models_pytorch on timm's RegNets: the 2nd place of Hacking the Kidney.

Its ensemble: `unet-regnety16` (the best single model), `unet-regnety16-scse`, `unet-regnetx32` and
`unetplusplus-regnety16-scse`; the other names complete the table.

It was trained with the encoders that segmentation_models_pytorch then called "timm-regnety_016" and
"timm-regnetx_032"; today's are timm's own, one level deeper in the state dict ("encoder.s1.b1..." became
"encoder.model.s1.b1..."). segmentation_models_pytorch renames an old checkpoint when it loads one.
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
"""Its squeeze keeps one channel in sixteen."""


@dataclass(frozen=True, kw_only=True)
class UnetSize(Checked):
    """What may differ between the published and the tiny form.

    Attributes:
        encoder: name in segmentation_models_pytorch; "tu-" in front of a timm name.
        encoder_depth: number of times the encoder halves the size.
        decoder_channels: one per stage of the decoder, deepest first.
        attention: "scse" in the decoder, or None.
        nested: U-Net++ instead of U-Net.
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
    # Not at the top: an instance ensemble has no use for it and Kaggle would have to install it.
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
            fix="name an encoder of segmentation_models_pytorch, or 'tu-' and a timm model; mind its depth",
        ) from error
    spec = replace(spec, unused_parameters=_unused(size))
    return SemanticNetwork(spec, network, size_divisor=2**size.encoder_depth)


def _unused(size: UnetSize) -> tuple[str, ...]:
    """Return the prefix of the parameters that no image reaches.

    The last stage of the decoder joins no skip connection, so its attention over what it joins is not called.
    Depth 5: "decoder.blocks.4.attention1." in a U-Net, "decoder.blocks.x_0_4.attention1." in a U-Net++.
    """
    if size.attention is None:
        return ()
    last = size.encoder_depth - 1
    stage = f"x_0_{last}" if size.nested else str(last)
    return (f"decoder.blocks.{stage}.attention1.",)


def _entry(name: str, encoder: str, small_encoder: str) -> Entry:
    attention: Literal["scse"] | None = "scse" if name.endswith("-scse") else None
    size = UnetSize(encoder=encoder, attention=attention, nested=name.startswith("unetplusplus-"))
    spec = NetworkSpec(
        name=name,
        system="kidney-2nd",
        kind="semantic",
        output="logit",
        # Of the kidney slides, as published.
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
