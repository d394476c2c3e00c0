"""Compare masks with those of the training images, coarsely: enough to notice a broken run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kit.competitions import submissions
from kit.competitions.report import Report
from kit.masks import rle
from kit.predictions import ClassMasks, Instances, Masked, Prediction, Values

_MOST = 200
"""Number of training images that are looked at."""
_FACTOR = 4.0
"""The mean share of a submission may lie outside the shares of single training images by this factor."""
_AREA_FACTOR = 10.0
"""The median area of an instance may differ from that in training by this factor."""
_FULL = 0.99
"""A mask that covers this share of its image covers all of it; JPEG's noise may leave a few pixels out."""
_MANY_FULL = 0.5
"""With this share of the training images full, their masks were hardly meant so."""
_CONFIDENT = 0.5
"""Detections with a lower score are left out: they matter for the ranking only."""


@dataclass(frozen=True)
class Plausibility:
    """What the masks of some images are like.

    Attributes:
        images: number of images.
        empty: share of images without a mask.
        shares: smallest and largest share of an image that masks cover, among images with masks.
        mean_share: of the pixels of all images with masks together, the share that those cover.
        area: median pixels of an instance; None for masks of whole images.
    """

    images: int
    empty: float
    shares: tuple[float, float]
    mean_share: float
    area: float | None


def sample(ids: Sequence[str]) -> list[str]:
    """Return a sample of the ids, evenly spread: every 6th of 1001."""
    # Rounded up: 1001 ids in steps of 6 are 167; in steps of 5 they would be 201, more than allowed.
    step = max(1, -(-len(ids) // _MOST))
    return list(ids[::step])


def describe(predictions: Iterable[Prediction]) -> Plausibility | None:
    """Describe masks; of instances, only those with a score of 0.5 or more. Return None without images."""
    shares, areas, covered, pixels = [], [], 0, 0
    semantic = True
    for prediction in predictions:
        if isinstance(prediction, Values):
            continue
        area = sum(found := _confident_areas(prediction))
        semantic = semantic and not isinstance(prediction, Instances)
        # Overlapping instances may cover more than the image; an empty row of unknown size has 0 pixels.
        size = prediction.height * prediction.width
        shares.append(min(area / max(size, 1), 1.0))
        areas += found
        covered, pixels = covered + area, pixels + (size if area else 0)
    if not shares:
        return None
    some = [share for share in shares if share > 0] or [0.0]
    return Plausibility(
        images=len(shares),
        empty=sum(share == 0 for share in shares) / len(shares),
        shares=(min(some), max(some)),
        mean_share=min(covered / max(pixels, 1), 1.0),
        area=None if semantic or not areas else float(np.median(areas)),
    )


def compare(report: Report, found: Plausibility | None, expected: Plausibility) -> None:
    """Raise alarms for masks that are far from those of the training images.

    Args:
        report: gets the alarms.
        found: what the masks of a submission are like.
        expected: what those of the training images are like.
    """
    if found is None or found.empty == 1 or expected.empty == 1:
        return
    least, most = expected.shares
    report.facts["foreground where there is any"] = found.mean_share
    report.facts["the same in training"] = expected.mean_share
    # If masks cover 2 % to 10 % of single training images, a submission's mean share may be 0.5 % to 40 %. If
    # they cover up to 60 %, the upper limit is 80 %, halfway to the whole image, and not 240 %.
    if not least / _FACTOR <= found.mean_share <= min(_FACTOR * most, (1 + most) / 2):
        report.alarm(
            f"masks cover {found.mean_share:.2%} of their images, but {least:.2%} to {most:.2%} in training",
            report.subject,
            "check the threshold and the scale of the images",
        )
    # If 20 % of the training images are empty, up to 60 % of the rows may be, halfway to all of them.
    if found.empty > (1 + expected.empty) / 2:
        report.alarm(
            f"{found.empty:.0%} of the rows are empty, but {expected.empty:.0%} of the training images",
            report.subject,
            "were some images not predicted, or is the threshold too high for them?",
        )
    if found.area and expected.area and not 1 / _AREA_FACTOR <= found.area / expected.area <= _AREA_FACTOR:
        report.alarm(
            f"the median instance has {found.area:g} pixels, but {expected.area:g} in training",
            report.subject,
            "check the scale of the images, and whether masks were pasted at the right size",
        )


def check_truth(report: Report, truth: Iterable[Prediction], where: str) -> None:
    """Raise an alarm if truth looks as if it was read wrongly: no image has a mask, or masks fill the images.

    Args:
        report: gets the alarm.
        truth: of some images.
        where: its file.
    """
    shares = [_largest_share(prediction) for prediction in truth if not isinstance(prediction, Values)]
    full = sum(share >= _FULL for share in shares)
    if shares and not any(shares):
        report.alarm("no training image has a mask", where, "does the definition name what is scored?")
    elif full and full >= _MANY_FULL * len(shares):
        what = f"{full} of {len(shares)} training images have a mask that covers the whole image"
        fix = "is 0 the background? were mask and background swapped, or were images given as masks?"
        report.alarm(what, where, fix)
    elif full:
        what = f"{full} of {len(shares)} training images have a mask that covers the whole image"
        report.note(what, where)


def _largest_share(prediction: Masked) -> float:
    """Return the share of its image that the largest mask covers."""
    areas = _areas(prediction)
    return float(areas.max()) / (prediction.height * prediction.width) if len(areas) else 0.0


def _confident_areas(prediction: Masked) -> list[int]:
    areas = _areas(prediction)
    sure = areas[prediction.scores >= _CONFIDENT] if isinstance(prediction, Instances) else areas
    return list(sure.tolist())


def _areas(prediction: Masked) -> NDArray[np.int64]:
    if isinstance(prediction, ClassMasks):
        return np.array([rle.area(runs) for runs in prediction.masks.values() if len(runs)], np.int64)
    return submissions.areas_of(prediction)
