"""U-Net and U-Net++ of segmentation_models_pytorch on timm's RegNets: the 2nd place of Hacking the Kidney.

Its ensemble: `unet-regnety16` (the best single model), `unet-regnety16-scse`, `unet-regnetx32` and
`unetplusplus-regnety16-scse`; the other names complete the table.

It was trained with the encoders that segmentation_models_pytorch then called "timm-regnety_016" and
"timm-regnetx_032"; today's are timm's own, one level deeper in the state dict. `modern_key` translates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from kit.errors import KitError
from kit.models.entry import Entry
from kit.models.network import SemanticNetwork
from kit.models.spec import NetworkSpec

_LEAST_SCSE_CHANNELS = 16
"""Its squeeze keeps one channel in sixteen."""


def build(
    spec: NetworkSpec,
    /,
    *,
    encoder: str = "tu-regnety_016",
    encoder_depth: int = 5,
    decoder_channels: Sequence[int] = (256, 128, 64, 32, 16),
    attention: str | None = None,
    nested: bool = False,
) -> SemanticNetwork:
    """The network with random weights.

    Args:
        spec: its declaration.
        encoder: name in segmentation_models_pytorch; "tu-" in front of a timm name.
        encoder_depth: number of times the encoder halves the size.
        decoder_channels: one a decoder stage, deepest first.
        attention: "scse" in the decoder, or None.
        nested: U-Net++ instead of U-Net.

    Raises:
        KitError: the parts do not fit together.
    """
    if len(decoder_channels) != encoder_depth:
        raise KitError(
            f"U-Net with encoder depth {encoder_depth} got {len(decoder_channels)} decoder widths",
            where="decoder_channels",
            fix=f"give {encoder_depth} of them, deepest first",
        )
    if attention == "scse" and min(decoder_channels) < _LEAST_SCSE_CHANNELS:
        raise KitError(
            f"scse attention got a decoder of {min(decoder_channels)} channels and keeps one in sixteen",
            where="decoder_channels",
            fix=f"give each stage {_LEAST_SCSE_CHANNELS} or more",
        )
    # Not at the top: an instance ensemble has no use for it and Kaggle would have to install it.
    import segmentation_models_pytorch as smp

    try:
        network = (smp.UnetPlusPlus if nested else smp.Unet)(
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
    spec = replace(spec, unused_parameters=_unused(attention, encoder_depth, nested=nested))
    return SemanticNetwork(spec, network, size_divisor=2**encoder_depth)


def _unused(attention: str | None, encoder_depth: int, *, nested: bool) -> tuple[str, ...]:
    """The last stage joins no skip connection, and the attention over what it would join is never called."""
    if attention is None:
        return ()
    stage = f"x_0_{encoder_depth - 1}" if nested else str(encoder_depth - 1)
    return (f"decoder.blocks.{stage}.attention1.",)


def modern_key(key: str) -> str:
    """Name, in these networks, of an entry of a checkpoint made with a "timm-regnet..." encoder.

    Only the encoder moved: "encoder.s1.b1..." became "encoder.model.s1.b1..."; stages, blocks, decoder and
    head kept their names and shapes (segmentation_models_pytorch 0.6 renames in the same way on loading, in
    `SegmentationModel.load_state_dict`). Names that are modern already stay.
    """
    old, modern = "encoder.", "encoder.model."
    return modern + key.removeprefix(old) if key.startswith(old) and not key.startswith(modern) else key


def _entry(name: str, encoder: str, small_encoder: str) -> Entry:
    attention = "scse" if name.endswith("-scse") else None
    nested = name.startswith("unetplusplus-")
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
        unused_parameters=_unused(attention, 5, nested=nested),
    )
    return Entry(
        spec=spec,
        build=partial(
            build,
            spec,
            encoder=encoder,
            attention=attention,
            nested=nested,
        ),
        tiny={"encoder": small_encoder, "encoder_depth": 4, "decoder_channels": [64, 32, 16, 16]},
    )


ENTRIES = tuple(
    _entry(f"{family}-{encoder}{attention}", full, small)
    for family in ("unet", "unetplusplus")
    for encoder, full, small in (
        ("regnety16", "tu-regnety_016", "tu-regnety_002"),
        ("regnetx32", "tu-regnetx_032", "tu-regnetx_002"),
    )
    for attention in ("", "-scse")
)
