"""The engine of values: numbers or words about a whole image, one JSON file per pass."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kit.artefacts import read_json, write_json
from kit.errors import KitError
from kit.images.info import ImageInfo
from kit.inference import views
from kit.inference.band_source import require_pixels
from kit.inference.fusion import Fused, KeepConfident, PassResult
from kit.inference.resize import fit, resize_image
from kit.inference.values_fusion import Value, doubt_of_values, fuse_values
from kit.inference.values_settings import ValuesFusion, ValuesSettings
from kit.predictions import Values
from kit.typed_json import from_plain

if TYPE_CHECKING:
    from kit.inference.band_source import BandSource
    from kit.inference.image_pass import ImagePass
    from kit.models import Network


def run_pass(module: Network, pass_: ImagePass) -> None:
    """Write the values of one pass over one image.

    Errors are those of `kit.inference.runner.run_pass`.
    """
    from kit.inference.forward import inference  # needs torch, which fusing does not need

    source, where = pass_.source, pass_.where
    require_pixels(source, where)
    settings = from_plain(ValuesSettings, pass_.member.inference, where=pass_.member.name)
    image = image_of(source)
    shown = views.get_set(pass_.view)
    found: list[dict[str, Value]] = []
    for number, one in enumerate(shown, 1):
        with inference(pass_.device, autocast=settings.autocast):
            found.append(numbers_of(module(seen(image, one, settings)), where))
        if pass_.on_batch is not None:
            pass_.on_batch(number, len(shown))
    write_json(pass_.target, fuse_values(found, [1.0] * len(found), ValuesFusion(), where=where))


def image_of(source: BandSource) -> Any:
    """Return a whole image, uint8 (H, W, 3); of a folder of slices the slices, none of which is read yet."""
    return source if isinstance(source, Sequence) else source.read_band(0, source.height)


def seen(image: Any, view: views.View, settings: ValuesSettings) -> Any:
    """Return an image of `image_of` as a model sees it under a view: uint8 (H, W, 3), contiguous, a copy.

    Slices stay a sequence; each becomes so when the model reads it.
    """
    change = partial(_turned, view=view, settings=settings)
    return change(image) if isinstance(image, np.ndarray) else image.mapped(change)


def _turned(image_HWC: NDArray[np.uint8], view: views.View, settings: ValuesSettings) -> NDArray[np.uint8]:
    height, width = image_HWC.shape[:2]
    longer = (settings.size or max(height, width)) * view.scale
    shown_HWC = resize_image(image_HWC, *fit(height, width, max(1, int(longer + 0.5))))
    if view.swap:
        shown_HWC = shown_HWC.transpose(1, 0, 2)
    turned = shown_HWC[:: -1 if view.flip_rows else 1, :: -1 if view.flip_columns else 1]
    return np.array(turned, order="C")  # a model may write into it


def numbers_of(found: Mapping[str, Any], where: str) -> dict[str, Value]:
    """Check what a model returned for an image.

    Raises:
        KitError: a number is NaN or infinite, or there is no value at all.
    """
    if not found:
        raise KitError("the model returned no value", where=where, fix="correct its `predict`")
    for name, value in found.items():
        if not isinstance(value, str) and not math.isfinite(value):
            raise KitError(
                f"the model returned {value} for {name}, which is no number",
                where=where,
                fix="weights are damaged or overflow in float16: see the training log or set autocast false",
            )
    return dict(found)


def fuse(
    results: Sequence[PassResult],
    settings: Mapping[str, Any],
    size: tuple[int, int],
    *,
    image_id: str,
    info: ImageInfo | None,
    keep: KeepConfident | None,
) -> Fused:
    """Return the values of one rung for one image; arguments as `kit.inference.fusion.fuse`."""
    del size, info, keep  # values have no pixels
    fusion = from_plain(ValuesFusion, settings, where="settings of the rung", fix="run `ensemble` again")
    found, weights = [load(result.file) for result in results], [result.weight for result in results]
    fused = fuse_values(found, weights, fusion, where=image_id)
    return Fused(Values(fused), doubt_of_values(found, weights))


def load(path: Path) -> dict[str, Value]:
    """Read the values of a pass.

    Raises:
        KitError: the file is missing or damaged.
    """
    found = read_json(path)
    if not isinstance(found, dict) or not all(
        isinstance(value, str | int | float) for value in found.values()
    ):
        raise KitError("the result of a pass is damaged", where=path, fix="delete it and run again")
    return {name: value if isinstance(value, str) else float(value) for name, value in found.items()}
