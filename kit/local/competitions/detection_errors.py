"""What is wrong in one image: true instances that were missed, split or merged, and false detections.

A detection and a truth are matched by the code that scores a submission (`average_precision.matches`), at the
lowest IoU threshold of the competition's metric.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kit.local.competitions.scores import inside_ignored
from kit.local.masks.iou import Overlaps, overlaps
from kit.local.metrics.average_precision import matches
from kit.masks import mask_set
from kit.predictions import Instances

REGION_IOU = 0.5
"""IoU from which a predicted region of a semantic mask has found a true one; its metric has no threshold."""
_MOSTLY = 0.5
"""A mask with more than this share of its area in another one lies mostly in it."""


@dataclass(frozen=True)
class DetectionErrors:
    """What was right and wrong about the m true instances and n detections of one image.

    Attributes:
        missed: (m,) whether no detection found the truth.
        split: (m,) whether two detections or more lie mostly in the truth, side by side.
        false: (n,) whether the detection found no truth; those in ignored regions are not judged.
        merged: (n,) whether two truths or more lie mostly in the detection.
    """

    missed: NDArray[np.bool_]
    split: NDArray[np.bool_]
    false: NDArray[np.bool_]
    merged: NDArray[np.bool_]


def detection_errors(truth: Instances, found: Instances, iou: float) -> DetectionErrors:
    """Match the detections of one image with its truth, each class with its own, and say what is wrong.

    Args:
        truth: the true instances.
        found: the detections, of the same size.
        iou: a detection has found a truth from this IoU on; above 0.

    Raises:
        KitError: a mask is damaged or of another size than the image.
    """
    # Truths A (10 x 10 pixels) and B beside it (10 x 10), at IoU 0.5:
    #
    #     detections                               missed   false   split   merged
    #     one on A, one on B                       -        -       -       -
    #     the left 6 columns of A, the right 4     B        2nd     A       -       the first has IoU 0.6
    #     one over A and B together                B        -       -       1st     its IoU with A is 0.5
    size = truth.height, truth.width
    pairs = overlaps(found.masks, truth.masks, *size)
    same = found.labels[pairs.a] == truth.labels[pairs.b]
    pairs = Overlaps(pairs.a[same], pairs.b[same], pairs.iou[same])
    truth_of = matches(pairs, np.asarray(found.scores, np.float64), len(truth.masks), iou)
    missed = np.ones(len(truth.masks), bool)
    missed[truth_of[truth_of >= 0]] = False
    areas_found, areas_true = (mask_set.decode(one.masks, *size).areas() for one in (found, truth))
    shared = _shared(pairs, areas_found, areas_true)
    # "In" is a list of (whole, part): the part lies mostly in the whole.
    in_truth = shared > _MOSTLY * areas_found[pairs.a]
    in_found = shared > _MOSTLY * areas_true[pairs.b]
    return DetectionErrors(
        missed=missed,
        split=_holders(pairs.b[in_truth], pairs.a[in_truth], found, len(truth.masks)),
        false=(truth_of < 0) & ~inside_ignored(found, truth),
        merged=_holders(pairs.a[in_found], pairs.b[in_found], truth, len(found.masks)),
    )


def _shared(pairs: Overlaps, areas_a: NDArray[np.int64], areas_b: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the pixels that each pair shares: areas 6 and 10, IoU 1/3: 16 * 1/3 / (4/3) = 4."""
    return np.rint(pairs.iou / (1 + pairs.iou) * (areas_a[pairs.a] + areas_b[pairs.b]))


def _holders(
    wholes: NDArray[np.int64], parts: NDArray[np.int64], of_parts: Instances, count: int
) -> NDArray[np.bool_]:
    """Return which of `count` wholes hold two parts side by side.

    Args:
        wholes: (k,) index of a whole.
        parts: (k,) index of a part that lies mostly in it.
        of_parts: the masks of the parts.
        count: number of wholes.
    """
    parts_of: defaultdict[int, list[int]] = defaultdict(list)
    for whole, part in zip(wholes.tolist(), parts.tolist(), strict=True):
        parts_of[whole].append(part)
    held = np.zeros(count, bool)
    for whole, inside in parts_of.items():
        held[whole] = len(inside) > 1 and _side_by_side(inside, of_parts)
    return held


def _side_by_side(parts: list[int], masks: Instances) -> bool:
    """Return whether two parts do not lie mostly in one another, as a second box on the same spot does."""
    own = [masks.masks[part] for part in parts]
    size = masks.height, masks.width
    areas = mask_set.decode(own, *size).areas()
    pairs = overlaps(own, own, *size)
    over = _shared(pairs, areas, areas) > _MOSTLY * np.minimum(areas[pairs.a], areas[pairs.b])
    on_top = np.zeros((len(own), len(own)), bool)
    on_top[pairs.a[over], pairs.b[over]] = True
    np.fill_diagonal(on_top, val=True)
    return not bool(on_top.all())
