"""Metrics that count, image by image, how many instances were found: no scores, no ranking.

Data Science Bowl 2018 and Sartorius score the mean of TP / (TP + FP + FN), Airbus ships the mean F2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from kit.local.masks.iou import overlaps
from kit.predictions import Instances


def found_at(truth: Instances, prediction: Instances, ious: Sequence[float]) -> NDArray[np.int64]:
    """Return how many true instances have a detection of their own with an IoU above each threshold, (n,).

    Each truth is found once and each detection finds one truth of its class; of all ways to match them the
    one with the most matches counts. (From an IoU of 0.5 on, and without overlap in the truth and in the
    prediction, there is one way only.)

    Args:
        truth: of an image.
        prediction: for it; scores do not matter.
        ious: thresholds. The IoU has to be above, as the pages of both competitions say.

    Raises:
        KitError: a mask is damaged or of another size than its image.
    """
    pairs = overlaps(prediction.masks, truth.masks, truth.height, truth.width, at_least=min(ious))
    same = prediction.labels[pairs.a] == truth.labels[pairs.b]
    found = np.zeros(len(ious), np.int64)
    for place, iou in enumerate(ious):
        kept = same & (pairs.iou > iou)
        a, b = pairs.a[kept], pairs.b[kept]
        if len(np.unique(a)) == len(a) and len(np.unique(b)) == len(b):
            found[place] = len(a)
            continue
        fits = np.zeros((len(prediction.masks), len(truth.masks)))
        fits[a, b] = 1
        rows, columns = linear_sum_assignment(fits, maximize=True)
        found[place] = round(fits[rows, columns].sum())
    return found


def precision_of_image(truth: Instances, prediction: Instances, ious: Sequence[float]) -> float:
    """Return the mean over thresholds of TP / (TP + FP + FN); 1 if nothing is there and nothing was found.

    Arguments and errors are those of `found_at`.
    """
    # 3 true cells, 4 detections, of which 2 fit a cell: 2 / (2 + 2 + 1) = 0.4.
    hits = found_at(truth, prediction, ious)
    either = len(truth.masks) + len(prediction.masks) - hits
    return float(np.mean(np.where(either > 0, hits / np.maximum(either, 1), 1.0)))


def f_beta_of_image(truth: Instances, prediction: Instances, ious: Sequence[float], beta: float) -> float:
    """Return the mean over thresholds of (1 + b^2) TP / ((1 + b^2) TP + b^2 FN + FP); 1 if both are empty.

    Arguments and errors are those of `found_at`; recall is `beta` times as important as precision.
    """
    # With beta = 2, 3 true ships, 4 detections and 2 hits: 5 * 2 / (5 * 2 + 4 * 1 + 2) = 0.625.
    hits = found_at(truth, prediction, ious)
    square = beta * beta
    total = square * len(truth.masks) + len(prediction.masks)
    return float(np.mean((1 + square) * hits / total)) if total else 1.0


def mean_of_images(
    truths: Mapping[str, Instances],
    predictions: Mapping[str, Instances],
    ious: Sequence[float],
    beta: float | None,
) -> dict[str, float]:
    """Return the score of each image of `truths`: its F-beta, or TP / (TP + FP + FN) where `beta` is None.

    Args:
        truths: id -> true instances; ignored regions are not used.
        predictions: id -> detections; a missing one found nothing.
        ious: thresholds.
        beta: of F-beta.

    Raises:
        KitError: a mask is damaged or of another size than its image.
    """
    scores = {}
    for image, truth in truths.items():
        found = predictions.get(image, Instances(truth.height, truth.width, np.zeros(0), []))
        if beta is None:
            scores[image] = precision_of_image(truth, found, ious)
        else:
            scores[image] = f_beta_of_image(truth, found, ious, beta)
    return scores
