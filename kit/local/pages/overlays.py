"""Draw pictures of tissue with the outlines of truth and prediction."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from kit.images.image_protocols import Reading
from kit.local.masks import polygons
from kit.masks import coco, rle
from kit.predictions import ClassMasks, Masked, Prediction, SemanticMask, Values

TRUTH_RGB = (0, 158, 115)
PREDICTION_RGB = (230, 60, 0)
"""Okabe-Ito green and vermillion: colour-blind readers can distinguish them, and both stand out on H&E."""
_LARGE = 1 << 24
"""Pixels of a mask from which it is shrunk before it is outlined."""
_ROWS = 64
"""Rows that a band of a slide becomes."""


def outline(
    picture_HWC: NDArray[np.uint8],
    factor: float,
    truth: Prediction | None,
    prediction: Prediction,
    *,
    colours: tuple[tuple[int, int, int], tuple[int, int, int]] = (TRUTH_RGB, PREDICTION_RGB),
) -> None:
    """Draw the outlines of truth and prediction into a picture.

    Args:
        picture_HWC: RGB; it is drawn into.
        factor: size of the picture over that of the masks.
        truth: of the image; None if nobody knows it.
        prediction: of the image.
        colours: RGB of the truth and of the prediction.
    """
    height, width = picture_HWC.shape[:2]
    thickness = max(1, round(max(height, width) / 500))
    for drawn, colour in zip((truth, prediction), colours, strict=True):
        if drawn is None or isinstance(drawn, Values):
            continue
        # The outline of a whole slide has millions of corners, and all of them in a few pixels.
        large = drawn.height * drawn.width > _LARGE
        scale, masks = (1.0, shrunk(drawn, height, width)) if large else (factor, masks_of(drawn))
        contours = [
            # Pixel 3 has its centre at 3.5: shrunk by 2 it lies at 1.75, in pixel 1 (1.25 rounded).
            np.round((np.array(ring) + 0.5) * scale - 0.5).astype(np.int32)
            for mask_HW in masks
            for region in polygons.outlines(mask_HW)
            for ring in region
        ]
        cv2.polylines(picture_HWC, contours, True, colour, thickness, cv2.LINE_AA)


def shrunk(prediction: Masked, rows: int, columns: int) -> list[NDArray[np.uint8]]:
    """Return masks of rows x columns pixels; one of them is 1 where at least half of its cell is covered.

    A few columns of the large mask are decoded at a time: that of a slide of 30000 x 30000 has 900 MB.
    """
    height, width = prediction.height, prediction.width
    tops, lefts = (np.arange(cells + 1) * side // cells for cells, side in ((rows, height), (columns, width)))
    shrunk = []
    for runs in _runs_of(prediction):
        mask_HW = np.zeros((rows, columns), np.uint8)
        for column, (left, right) in enumerate(pairwise(lefts.tolist())):
            strip_HW = rle.decode_window(runs, height, (0, left, height, right - left))
            covered_H = np.add.reduceat(strip_HW.sum(axis=1), tops[:-1])
            mask_HW[:, column] = 2 * covered_H >= np.diff(tops) * (right - left)
        shrunk.append(mask_HW)
    return shrunk


def _runs_of(prediction: Masked) -> list[rle.Runs]:
    if isinstance(prediction, ClassMasks):
        return [runs for runs in prediction.masks.values() if len(runs)]
    if isinstance(prediction, SemanticMask):
        return [prediction.runs]
    return [coco.runs_of(counts, prediction.height, prediction.width) for counts in prediction.masks]


def thumbnail(path: Path, reading: Reading, longest: int) -> tuple[NDArray[np.uint8], float]:
    """Read an image at another size; a slide is read band by band and never is in memory as a whole.

    Args:
        path: the image file.
        reading: reads it.
        longest: the longer side of the result in pixels.

    Returns:
        RGB (H, W, 3), and its size over that of the file.

    Raises:
        KitError: the image cannot be read.
    """
    with reading.open(path) as slide:
        factor = longest / max(slide.height, slide.width)
        height, width = (max(1, round(side * factor)) for side in (slide.height, slide.width))
        # A slide of 30000 x 20000 for 520 pixels: every band of 64 * 57 rows becomes 64 rows of 350 pixels.
        whole = max(1, int(1 / factor))
        step = _ROWS * whole if whole > 1 else slide.height
        bands = []
        for top in range(0, slide.height, step):
            band_HWC = slide.read_band(top, min(top + step, slide.height))
            if whole > 1:
                size = (max(1, slide.width // whole), max(1, len(band_HWC) // whole))
                # INTER_AREA averages all pixels; the others would skip most of a slide's pixels.
                band_HWC = cv2.resize(band_HWC, size, interpolation=cv2.INTER_AREA)
            bands.append(band_HWC)
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    picture_HWC = cv2.resize(np.concatenate(bands), (width, height), interpolation=method)
    return np.ascontiguousarray(picture_HWC), factor


def masks_of(prediction: Masked) -> list[NDArray[np.uint8]]:
    """Return every mask of a prediction as a uint8 array (H, W) of 0 and 1."""
    size = prediction.height, prediction.width
    return [rle.decode(runs, *size).astype(np.uint8) for runs in _runs_of(prediction)]
