"""Calibrations of detectors' scores, each fitted on detections its member had no part in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from kit.ensemble import Member
from kit.errors import KitError
from kit.inference.instance_fusion import merge_views
from kit.inference.instance_settings import InstanceSettings
from kit.inference.store import load_detections
from kit.local import calibration_fit
from kit.local.metrics.average_precision import precision_recall
from kit.predictions import Instances
from kit.typed_json import from_plain


@dataclass(frozen=True)
class JudgeRequest:
    """What `judge_image` needs.

    Attributes:
        member: whose detections they are.
        files: stored detections of one image, one file for each view.
        truth: of the image.
        iou: a detection that overlaps an instance by this or more is a hit.
    """

    member: Member
    files: tuple[Path, ...]
    truth: Instances
    iou: float


@dataclass(frozen=True)
class Judged:
    """A member's detections in images its fold held out.

    Attributes:
        recipe: of the member.
        member: its name.
        scores: float64 (n,), its views merged.
        hits: bool (n,), whether each found an instance of the truth.
    """

    recipe: str
    member: str
    scores: NDArray[np.float64]
    hits: NDArray[np.bool_]


def judge_image(request: JudgeRequest) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the scores of a member's detections in an image, best first, and which of them are right.

    Raises:
        KitError: stored detections are missing or damaged.
    """
    settings = from_plain(InstanceSettings, request.member.inference, where=request.member.name)
    # Views are merged first, as on Kaggle: calibration sees the scores that the fusion will see.
    merged = merge_views([load_detections(path) for path in request.files], settings)
    found = Instances(merged.height, merged.width, merged.scores, merged.masks)
    curve = precision_recall({"": request.truth}, {"": found}, request.iou)
    return curve.scores, curve.correct


def choices(judged: Sequence[Judged]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the calibrations to try: method -> member -> calibration.

    The calibration of a member is fitted on what the other folds' members of its recipe found in the images
    they held out: that of fold 0 on the detections of the folds 1 to 4. So the metric with it is an
    out-of-fold one like all others. A recipe with one fold has no such detections and stays as it is. A
    method that cannot be fitted for some member is left out.

    Args:
        judged: of all members of a rung.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for method in get_args(calibration_fit.Method):
        fitted: dict[str, dict[str, Any]] = {}
        try:
            for item in judged:
                others = [
                    other for other in judged if other.recipe == item.recipe and other.member != item.member
                ]
                # With folds 0, 1 and 2, the calibration of fold 0's member is fitted on what the members of
                # folds 1 and 2 detected in the images that they did not train on.
                if others:
                    scores = np.concatenate([other.scores for other in others])
                    hits = np.concatenate([other.hits for other in others])
                    fitted[item.member] = calibration_fit.fit(method, scores, hits)
        except KitError:
            continue  # too few detections, or all of them right or wrong
        if fitted:
            found[method] = fitted
    return found
