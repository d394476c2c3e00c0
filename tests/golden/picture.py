"""What a submission has other than the golden one, as a page: expected, found, and where both differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from kit.artefacts import write_text
from kit.competitions.competition import Competition
from kit.images.image_protocols import Reading
from kit.local.pages.overlays import PREDICTION_RGB, TRUTH_RGB, masks_of, outline, thumbnail
from kit.local.pages.pyramid import jpeg
from kit.local.pages.render import render
from kit.predictions import Masked, Prediction

_LONGEST = 640
"""Longer side of a picture in pixels."""
_MOST = 12
"""Images that are drawn."""


@dataclass(frozen=True)
class Differing:
    """One image whose masks are not the expected ones.

    Attributes:
        image_id: of the image.
        lacking: pixels that the expected masks have and the found ones lack.
        surplus: the other way round.
        panels: (title, JPEG as a data URI): expected, found, difference.
        width: of each picture in pixels.
        height: of each picture in pixels.
    """

    image_id: str
    lacking: int
    surplus: int
    panels: list[tuple[str, str]]
    width: int
    height: int


def write_difference(
    out: Path,
    *,
    problems: Sequence[str],
    competition: Competition,
    data: Path,
    predictions: tuple[dict[str, Prediction], dict[str, Prediction]],
) -> None:
    """Write the page about the images that a problem names.

    Args:
        out: the HTML file.
        problems: what is outside the tolerance; each begins with the id of an image, if it is about one.
        competition: of both submissions.
        data: its folder.
        predictions: the expected ones and those found, by image.

    Raises:
        KitError: an image cannot be read, or the page cannot be written.
    """
    wanted, found = predictions
    named = [
        key
        for key in wanted
        if key in found and any(item.startswith((f"{key}:", f"{key} ")) for item in problems)
    ]
    images = [
        _differing(
            key, competition.image_path(data, key, "test"), competition.reading, wanted[key], found[key]
        )
        for key in named[:_MOST]
    ]
    template = Path(__file__).with_name("difference.html")
    write_text(out, render(template, name=competition.name, problems=list(problems), images=images))


def _differing(image_id: str, path: Path, reading: Reading, wanted: Masked, found: Masked) -> Differing:
    picture_HWC, factor = thumbnail(path, reading, _LONGEST)
    panels = []
    for title, one, colour in (("expected", wanted, TRUTH_RGB), ("found", found, PREDICTION_RGB)):
        drawn_HWC = picture_HWC.copy()
        outline(drawn_HWC, factor, None, one, colours=(colour, colour))
        panels.append((title, _uri(drawn_HWC)))
    true_HW, found_HW = (_all_masks(one) for one in (wanted, found))
    lacking_HW, surplus_HW = true_HW & ~found_HW, found_HW & ~true_HW
    # Faint tissue below full colours: a few pixels are to be seen.
    drawn_HWC = (0.35 * picture_HWC + 0.65 * 255).astype(np.uint8)
    height, width = drawn_HWC.shape[:2]
    for part_HW, colour in ((lacking_HW, TRUTH_RGB), (surplus_HW, PREDICTION_RGB)):
        drawn_HWC[_shrunk(part_HW, height, width)] = colour
    panels.append(("difference: green is lacking, red is surplus", _uri(drawn_HWC)))
    return Differing(image_id, int(lacking_HW.sum()), int(surplus_HW.sum()), panels, width, height)


def _all_masks(prediction: Masked) -> NDArray[np.bool_]:
    """Return the pixels that any mask holds."""
    masks = masks_of(prediction)
    return np.any(masks, axis=0) if masks else np.zeros((prediction.height, prediction.width), bool)


def _shrunk(mask_HW: NDArray[np.bool_], height: int, width: int) -> NDArray[np.bool_]:
    """Return the mask at another size; a pixel that has any foreground stays, so that nothing gets lost."""
    share_HW = cv2.resize(mask_HW.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(share_HW > 0)


def _uri(image_HWC: NDArray[np.uint8]) -> str:
    return f"data:image/jpeg;base64,{jpeg(image_HWC, 88)}"
