"""Draw pictures of tissue with the outlines of truth and prediction."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from kit.images.slide import open_slide
from kit.local.masks import polygons
from kit.masks import coco, rle
from kit.predictions import Instances, Prediction, SemanticMask

TRUTH_RGB = (0, 158, 115)
PREDICTION_RGB = (230, 60, 0)
"""Okabe-Ito green and vermillion: colour-blind readers can distinguish them, and both stand out on H&E."""


@dataclass(frozen=True)
class Overlay:
    """One picture of the page.

    Attributes:
        image_id: of the image.
        caption: the text below it, e.g. counts.
        uri: JPEG as a data URI.
        width: pixels.
        height: pixels.
    """

    image_id: str
    caption: str
    uri: str
    width: int
    height: int


def make_overlay(
    image_id: str, path: Path, truth: Prediction, prediction: Prediction, *, longest: int, caption: str
) -> Overlay:
    """Draw outlines of truth and prediction on the image, shrunk or enlarged to `longest` pixels.

    Args:
        image_id: for the page.
        path: the image file.
        truth: of the same image.
        prediction: of the same image.
        longest: the picture's longer side in pixels.
        caption: for the page.

    Raises:
        KitError: the image cannot be read.
    """
    with open_slide(path) as slide:
        image_HWC = slide.read_band(0, slide.height)
    factor = longest / max(image_HWC.shape[:2])
    height, width = (max(1, round(side * factor)) for side in image_HWC.shape[:2])
    # INTER_AREA averages all pixels when it shrinks; the others would skip most of a slide's pixels.
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    picture_HWC = np.ascontiguousarray(cv2.resize(image_HWC, (width, height), interpolation=method))
    thickness = max(1, round(longest / 500))
    for mask, colour in ((truth, TRUTH_RGB), (prediction, PREDICTION_RGB)):
        contours = [
            # Pixel 3 has its centre at 3.5: shrunk by 2 it lies at 1.75, which is in pixel 1 (1.25 rounded).
            np.round((np.array(ring) + 0.5) * factor - 0.5).astype(np.int32)
            for mask_HW in masks_of(mask)
            for region in polygons.outlines(mask_HW)
            for ring in region
        ]
        cv2.polylines(picture_HWC, contours, True, colour, thickness, cv2.LINE_AA)
    return Overlay(image_id, caption, jpeg_uri(picture_HWC), width, height)


def masks_of(prediction: Prediction) -> list[NDArray[np.uint8]]:
    """Return every mask of a prediction as a uint8 array (H, W) of 0 and 1."""
    match prediction:
        case SemanticMask(height=height, width=width, runs=runs):
            return [rle.decode(runs, height, width).astype(np.uint8)]
        case Instances(height=height, width=width, masks=masks):
            return [coco.decode(counts, height, width).astype(np.uint8) for counts in masks]


def jpeg_uri(image_HWC: NDArray[np.uint8], quality: int = 85) -> str:
    """Return an RGB image as a JPEG data URI."""
    _, data = cv2.imencode(".jpg", image_HWC[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
