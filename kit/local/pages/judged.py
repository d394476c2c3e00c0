"""What is right and wrong in an image, in a form that a page can show: objects with their errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kit.competitions.competition import Competition
from kit.local.competitions.detection_errors import REGION_IOU, DetectionErrors, detection_errors
from kit.local.masks import boxes
from kit.local.masks.regions import regions
from kit.local.pages.overlays import masks_of, shrunk
from kit.masks import mask_set
from kit.predictions import Instances, Prediction, SemanticMask

_LONGEST = 4096
"""Longer side in pixels to which a mask of a slide is shrunk before its regions are looked at."""
_MOST_REGIONS = 1000
"""Regions of a mask that are looked at: a mask of noise has a hundred thousand specks."""
ERRORS = ("missed", "false", "split", "merged")
"""Words for what may be wrong with an object, as `DetectionErrors` names them."""


@dataclass(frozen=True)
class Judged:
    """The objects of one image: its instances, or the connected regions of its masks.

    Attributes:
        scale: pixels of the image over those of the masks here; 1 but for slides.
        truth: the true objects; None if nobody knows them.
        found: the predicted objects.
        errors: of both; None without truth.
        masks: true and predicted foreground (H, W) of a semantic image with truth, else None.
    """

    scale: float
    truth: Instances | None
    found: Instances
    errors: DetectionErrors | None
    masks: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the masks; a prediction of nothing may lack them."""
        known = self.truth or self.found
        return known.height, known.width

    def count(self, error: str) -> int:
        """Return how many objects have an error (one of `ERRORS`)."""
        return 0 if self.errors is None else int(getattr(self.errors, error).sum())


def judge(competition: Competition, truth: Prediction | None, prediction: Prediction) -> Judged:
    """Match what was predicted in one image with the truth.

    Instances are matched at the lowest IoU threshold of the metric. A semantic metric has none: there the
    connected regions of both masks are matched at an IoU of 0.5, those of a slide after both masks were
    shrunk to 4096 pixels.

    Args:
        competition: knows the metric.
        truth: of the image; None if nobody knows it.
        prediction: of the image.

    Raises:
        KitError: a mask is damaged.
    """
    if isinstance(prediction, Instances):
        true = truth if isinstance(truth, Instances) else None
        errors = detection_errors(true, prediction, min(competition.format.metric.iou)) if true else None
        return Judged(1.0, true, prediction, errors, None)
    found_HW, scale = _foreground(prediction)
    found = _objects(found_HW)
    if not isinstance(truth, SemanticMask):
        return Judged(scale, None, found, None, None)
    true_HW, scale = _foreground(truth)
    if prediction.height == 0:  # an empty prediction may have no size
        found_HW = np.zeros_like(true_HW)
        found = _objects(found_HW)
    objects = _objects(true_HW)
    errors = detection_errors(objects, found, REGION_IOU)
    return Judged(scale, objects, found, errors, (true_HW, found_HW))


def _foreground(mask: SemanticMask) -> tuple[NDArray[np.uint8], float]:
    """Return a mask of at most 4096 x 4096 pixels or so, and the size of the image over its own."""
    longest = max(mask.height, mask.width)
    if longest <= _LONGEST:
        return masks_of(mask)[0], 1.0
    rows, columns = (max(1, round(side * _LONGEST / longest)) for side in (mask.height, mask.width))
    return shrunk(mask, rows, columns)[0], longest / _LONGEST


def _objects(mask_HW: NDArray[np.uint8]) -> Instances:
    """Return the regions as instances; the largest come first in the matching, as they have equal scores."""
    masks = regions(mask_HW, _MOST_REGIONS)
    return Instances(*mask_HW.shape, np.ones(len(masks)), masks)


def wrong_pixels(judged: Judged, cell: int) -> NDArray[np.float64]:
    """Return how much is wrong in each square cell of an image; without truth, how much was predicted.

    Args:
        judged: the objects of the image.
        cell: pixels of a side of a cell.

    Returns:
        (rows, columns) of cells. Of semantic masks these are the pixels that differ, of instances the pixels
        of all objects with an error, counted where the object has its middle.
    """
    height, width = judged.size
    rows, columns = (max(1, -(-round(side * judged.scale) // cell)) for side in (height, width))
    found_YX = np.zeros((rows, columns))
    if judged.masks is not None:
        true_HW, found_HW = judged.masks
        at = np.argwhere(true_HW != found_HW)
        weights = np.ones(len(at))
    else:
        masks = mask_set.decode(_of_interest(judged), height, width)
        x0, y0, x1, y1 = boxes.of_set(masks, height).T
        at, weights = np.stack([y0 + y1, x0 + x1], axis=1) / 2, masks.areas()
    places = np.minimum((at * judged.scale // cell).astype(np.int64), [rows - 1, columns - 1])
    np.add.at(found_YX, (places[:, 0], places[:, 1]), weights)
    return found_YX


def _of_interest(judged: Judged) -> list[bytes]:
    """Return the masks of what is wrong; without truth all that was predicted."""
    if judged.truth is None or judged.errors is None:
        return judged.found.masks
    wrong_true, wrong_found = (
        judged.errors.missed | judged.errors.split,
        judged.errors.false | judged.errors.merged,
    )
    both = ((judged.truth, wrong_true), (judged.found, wrong_found))
    return [masks.masks[number] for masks, wrong in both for number in np.flatnonzero(wrong).tolist()]
