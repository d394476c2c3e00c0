"""What is right and wrong in an image, in a form that a page can show: objects with their errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kit.competitions.competition import Competition
from kit.local.competitions.detection_errors import REGION_IOU, DetectionErrors, detection_errors
from kit.local.masks import boxes
from kit.local.masks.regions import regions
from kit.local.pages.overlays import shrunk
from kit.masks import mask_set, rle
from kit.predictions import ClassMasks, Instances, Prediction, SemanticMask, Values

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
        differ: pixels (H, W) that the truth has and the prediction lacks, and the other way round, of any
            class; None for instances and without truth.
    """

    scale: float
    truth: Instances | None
    found: Instances
    errors: DetectionErrors | None
    differ: tuple[NDArray[np.bool_], NDArray[np.bool_]] | None

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the masks; a prediction of nothing may lack them."""
        known = self.found if self.truth is None else self.truth
        return known.height, known.width

    def count(self, error: str) -> int:
        """Return how many objects have an error (one of `ERRORS`)."""
        return 0 if self.errors is None else int(getattr(self.errors, error).sum())


def judge(competition: Competition, truth: Prediction | None, prediction: Prediction) -> Judged | None:
    """Match what was predicted in one image with the truth.

    Instances are matched at the lowest IoU threshold of the metric. A semantic metric has none: there the
    connected regions of both masks are matched at an IoU of 0.5, class by class, those of a slide after
    both masks were shrunk to 4096 pixels.

    Args:
        competition: knows the metric.
        truth: of the image; None if nobody knows it.
        prediction: of the image.

    Returns:
        None for values, which have no place in the image.

    Raises:
        KitError: a mask is damaged.
    """
    if isinstance(prediction, Values):
        return None
    if isinstance(prediction, Instances):
        true = truth if isinstance(truth, Instances) else None
        iou = min(competition.format.metric.iou, default=REGION_IOU)
        errors = detection_errors(true, prediction, iou) if true is not None else None
        return Judged(1.0, true, prediction, errors, None)
    found_KHW, scale = _foreground(prediction)
    if truth is None or not isinstance(truth, SemanticMask | ClassMasks):
        return Judged(scale, None, _objects(found_KHW), None, None)
    true_KHW, scale = _foreground(truth)
    if prediction.height == 0:  # an empty prediction may have no size
        found_KHW = np.zeros_like(true_KHW)
    true, found = _objects(true_KHW), _objects(found_KHW)
    lacking_HW, surplus_HW = (
        np.asarray(one.any(axis=0)) for one in (true_KHW & ~found_KHW, found_KHW & ~true_KHW)
    )
    return Judged(scale, true, found, detection_errors(true, found, REGION_IOU), (lacking_HW, surplus_HW))


def _foreground(mask: SemanticMask | ClassMasks) -> tuple[NDArray[np.bool_], float]:
    """Return the masks (K, H, W) of all classes at 4096 pixels or less, and the image's size over theirs."""
    longest = max(mask.height, mask.width)
    scale = max(1.0, longest / _LONGEST)
    rows, columns = (max(1, round(side / scale)) for side in (mask.height, mask.width))
    of_class = [mask.runs] if isinstance(mask, SemanticMask) else list(mask.masks.values())
    size = mask.height, mask.width
    if scale == 1:
        return np.array([rle.decode(runs, *size) for runs in of_class], bool).reshape(
            len(of_class), *size
        ), scale
    small = [shrunk(SemanticMask(*size, runs), rows, columns)[0] for runs in of_class]
    return np.array(small, bool), scale


def _objects(masks_KHW: NDArray[np.bool_]) -> Instances:
    """Return the regions as instances; the largest come first in the matching, as they have equal scores."""
    masks: list[bytes] = []
    labels: list[int] = []
    for label, mask_HW in enumerate(masks_KHW):
        found = regions(mask_HW, _MOST_REGIONS)
        masks += found
        labels += [label] * len(found)
    height, width = masks_KHW.shape[1:]
    return Instances(height, width, np.ones(len(masks)), masks, labels=np.array(labels, np.int64))


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
    if judged.differ is not None:
        at = np.argwhere(judged.differ[0] | judged.differ[1]).astype(np.float64)
        weights = np.ones(len(at))
    else:
        masks = mask_set.decode(_of_interest(judged), height, width)
        x0, y0, x1, y1 = boxes.of_set(masks, height).T
        at, weights = np.stack([y0 + y1, x0 + x1], axis=1) / 2, masks.areas().astype(np.float64)
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
