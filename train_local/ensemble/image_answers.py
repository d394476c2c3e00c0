"""Fuse and judge the detections of one image for many questions: each file is read once for all of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from kit.competitions.competition import Competition
from kit.inference.instance_doubt import doubt_of_scores
from kit.inference.instance_fusion import fuse_instances
from kit.inference.instance_settings import InstanceFusion
from kit.local.competitions.scores import precision_recall_curves
from kit.predictions import Instances
from kit.typed_json import from_plain
from train_local.ensemble import cluster_judge
from train_local.ensemble.kept_images import HeldOut, KeptImage, Part, kept
from train_local.ensemble.ranking import JudgedImage
from train_local.ensemble.scores import Assigned


@dataclass(frozen=True)
class ImageRequest:
    """What `answer` needs: an image, and how its detections shall be fused.

    Attributes:
        owner: of the images (`train_local.ensemble.kept_images.kept`).
        competition: its metric judges.
        image_id: of the image.
        image: its truth and detections.
        questions: what to fuse and with which settings.
    """

    owner: str
    competition: Competition
    image_id: str
    image: HeldOut
    questions: tuple[Assigned, ...]


def answer(request: ImageRequest) -> list[list[JudgedImage]]:
    """Fuse an image's detections as `kit.inference.instance_engine.fuse` does, once for each question.

    Returns:
        For each question the detections at each IoU threshold of the metric.

    Raises:
        KitError: stored detections are missing, damaged or of another size than the image.
    """
    image = kept(request.owner, request.image_id, request.image)
    ious = request.competition.format.metric.iou
    answers: list[list[JudgedImage] | None] = []
    quick: list[cluster_judge.Question] = []
    for how in request.questions:
        own = _settings(json.dumps(how.settings))
        parts = image.parts(how, own)
        if parts and _is_quick(request, own):
            quick.append(cluster_judge.Question(parts, own))
            answers.append(None)
        else:
            answers.append(_judged(request, image, parts, own))
    judged = iter(cluster_judge.judge(image, quick, ious))
    return [next(judged) if one is None else one for one in answers]


def doubts_of(request: ImageRequest) -> list[float]:
    """Fuse an image's detections as `answer` does, and return the doubt of each question's instances.

    Raises:
        KitError: as `answer`.
    """
    image = kept(request.owner, request.image_id, request.image)
    doubts = []
    for how in request.questions:
        settings = _settings(json.dumps(how.settings))
        found = _fused(request, image, image.parts(how, settings), settings)
        doubts.append(doubt_of_scores(found.scores))
    return doubts


@lru_cache(maxsize=64)
def _settings(text: str) -> InstanceFusion:
    return from_plain(InstanceFusion, json.loads(text))


def _is_quick(request: ImageRequest, settings: InstanceFusion) -> bool:
    """Return whether clusters can be judged one by one, each as right or wrong."""
    classes = request.competition.format.classes
    return not request.image.truth.ignored and not classes and settings.overlap == "keep"


def _fused(
    request: ImageRequest, image: KeptImage, parts: Sequence[Part], settings: InstanceFusion
) -> Instances:
    if not parts:
        return Instances(*image.size, np.zeros(0), [])
    members, weights = [part.detections for part in parts], [part.weight for part in parts]
    return fuse_instances(members, weights, settings, image.size, where=request.image_id)


def _judged(
    request: ImageRequest, image: KeptImage, parts: Sequence[Part], settings: InstanceFusion
) -> list[JudgedImage]:
    """Fuse all masks and ask the metric."""
    truth, found = {request.image_id: image.truth}, _fused(request, image, parts, settings)
    curves = precision_recall_curves(request.competition, truth, {request.image_id: found})
    # Without ignored regions the scores are the same at all thresholds, and are sent and kept once.
    one = curves[0].scores
    return [
        JudgedImage(one if np.array_equal(one, curve.scores) else curve.scores, curve.correct)
        for curve in curves
    ]
