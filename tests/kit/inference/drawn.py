"""Rectangles as masks and as stored detections."""

import numpy as np

from kit.inference.store import CodedDetections
from kit.local.masks.boxes import of_runs
from kit.masks import coco, rle


def rectangle(size, corners):
    """The mask of an image of `size` with y1, x1, y2, x2 in it."""
    y1, x1, y2, x2 = corners
    mask_HW = np.zeros(size, bool)
    mask_HW[y1:y2, x1:x2] = True
    return mask_HW


def detections(size, found):
    """Of (score, mask) pairs; each box is its mask's."""
    boxes = [of_runs(rle.encode(mask_HW), size[0]) for _, mask_HW in found]
    scores = np.array([score for score, _ in found], np.float64)
    masks = [coco.encode(mask_HW) for _, mask_HW in found]
    return CodedDetections(*size, np.array(boxes, np.float64).reshape(-1, 4), scores, masks)
