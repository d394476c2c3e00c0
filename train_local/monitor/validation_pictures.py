"""Pictures of a few held-out images with the outlines of truth and present prediction, for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from kit.local.pages.held_out import confident
from kit.local.pages.overlays import outline, thumbnail
from kit.predictions import Prediction
from train_local.data.prepared import Prepared

COUNT, LONGEST = 2, 320
"""Pictures of a validation, and their longer side in pixels."""


class ValidationPictures:
    """Draws the same images at every validation.

    Args:
        prepared: where the images are.
        ids: of the held-out images.
        truth: of them, at least.
    """

    def __init__(self, prepared: Prepared, ids: Sequence[str], truth: Mapping[str, Prediction]) -> None:
        self._prepared, self._truth = prepared, truth
        # The first and the last of the held-out images: often of two slides.
        self._ids = list(dict.fromkeys([*ids[:1], *ids[-1:]]))[:COUNT]
        self._thumbnails: dict[str, tuple[NDArray[np.uint8], float]] = {}

    def draw(self, predictions: Mapping[str, Prediction]) -> dict[str, NDArray[np.uint8]]:
        """Return name -> RGB picture (H, W, 3).

        Args:
            predictions: by image id.

        Raises:
            KitError: an image cannot be read.
        """
        pictures = {}
        for image_id in self._ids:
            if image_id not in self._thumbnails:  # a slide is read once, not at every validation
                path = self._prepared.image_path(image_id)
                self._thumbnails[image_id] = thumbnail(path, self._prepared.source.reading, LONGEST)
            picture_HWC, factor = self._thumbnails[image_id]
            truth = self._truth[image_id]
            drawn_HWC = picture_HWC.copy()
            outline(drawn_HWC, factor, truth, confident(predictions[image_id], truth))
            pictures[f"held out/{image_id}"] = drawn_HWC
        return pictures
