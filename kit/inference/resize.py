"""Change the size of images and masks, in the same way for training and inference."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def resize_image(image_HWC: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Resize an image: by the average over areas if it shrinks on both axes, else bilinear.

    Args:
        image_HWC: uint8, rows x columns x channels.
        height: wanted rows, at least 1.
        width: wanted columns, at least 1.
    """
    if image_HWC.shape[:2] == (height, width):
        return image_HWC
    import cv2  # needed for predicting alone

    shrinks = height <= image_HWC.shape[0] and width <= image_HWC.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized: NDArray[np.uint8] = cv2.resize(image_HWC, (width, height), interpolation=method)
    return resized


def resize_mask(mask_HW: NDArray[np.bool_], height: int, width: int, threshold: float) -> NDArray[np.bool_]:
    """Resize a mask: resample its coverage like an image and keep pixels from the threshold on.

    Args:
        mask_HW: bool (rows, columns).
        height: wanted rows.
        width: wanted columns.
        threshold: coverage in (0, 1) from which a pixel belongs to the mask.
    """
    if mask_HW.shape == (height, width):
        return mask_HW
    import cv2  # needed for predicting alone

    shrinks = height <= mask_HW.shape[0] and width <= mask_HW.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    coverage = cv2.resize(mask_HW.astype(np.float32), (width, height), interpolation=method)
    inside: NDArray[np.bool_] = coverage >= threshold
    return inside


def fit(height: int, width: int, longer: int) -> tuple[int, int]:
    """Return height and width of an image whose longer side becomes `longer`; its ratio is kept.

    Halves are rounded up, and no side is less than 1.

    >>> fit(300, 400, 100)
    (75, 100)
    """
    ratio = longer / max(height, width)
    return max(1, int(height * ratio + 0.5)), max(1, int(width * ratio + 0.5))
