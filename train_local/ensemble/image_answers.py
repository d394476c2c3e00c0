"""Fuse and judge the detections of one image for many questions: each file is read once for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kit.competitions.competition import Competition
from kit.ensemble import Member
from kit.errors import KitError
from kit.inference.instance_doubt import doubt_of_scores
from kit.inference.instance_fusion import calibrated, fuse_instances, merge_views, require_detections
from kit.inference.instance_settings import InstanceFusion, InstanceSettings
from kit.inference.store import CodedDetections, load_detections
from kit.local.competitions.scores import precision_recall_curves
from kit.predictions import Instances
from kit.typed_json import from_plain
from train_local.ensemble.ranking import JudgedImage
from train_local.ensemble.scores import Assigned
from train_local.ensemble.trial import RecipeView


@dataclass(frozen=True)
class HeldOut:
    """A held-out image with what was predicted for it.

    Attributes:
        truth: of the image.
        found: recipe view -> the member that held the image out, and its stored detections.
    """

    truth: Instances
    found: Mapping[RecipeView, tuple[Member, Path]]


@dataclass(frozen=True)
class ImageRequest:
    """What `answer` needs: an image, and how its detections shall be fused.

    Attributes:
        competition: its metric judges.
        image_id: of the image.
        image: its truth and detections.
        questions: what to fuse and with which settings.
    """

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
    image, truth = _Detections(request), {request.image_id: request.image.truth}
    answers = []
    for how in request.questions:
        found = {request.image_id: image.fused(how)}
        curves = precision_recall_curves(request.competition, truth, found)
        # Without ignored regions the scores are the same at all thresholds, and are sent and kept once.
        one = curves[0].scores
        answers.append(
            [
                JudgedImage(one if np.array_equal(one, curve.scores) else curve.scores, curve.correct)
                for curve in curves
            ]
        )
    return answers


def doubts_of(request: ImageRequest) -> list[float]:
    """Fuse an image's detections as `answer` does, and return the doubt of each question's instances.

    Raises:
        KitError: as `answer`.
    """
    image = _Detections(request)
    return [doubt_of_scores(image.fused(how).scores) for how in request.questions]


class _Detections:
    """The detections of one image; views of a member are merged once for all questions that have the same."""

    def __init__(self, request: ImageRequest) -> None:
        self._request = request
        self._size = (request.image.truth.height, request.image.truth.width)
        self._loaded: dict[Path, CodedDetections] = {}
        self._merged: dict[tuple[Path, ...], CodedDetections] = {}

    def fused(self, how: Assigned) -> Instances:
        """Return the instances of a selection; none if no recipe view of it held the image out."""
        found: dict[str, tuple[Member, list[Path], list[float]]] = {}
        for recipe_view, weight in zip(how.selection.recipe_views, how.selection.weights, strict=True):
            if recipe_view in self._request.image.found:
                member, path = self._request.image.found[recipe_view]
                _, paths, weights = found.setdefault(member.name, (member, [], []))
                paths.append(path)
                weights.append(weight)
        if not found:
            return Instances(*self._size, np.zeros(0), [])
        settings = from_plain(InstanceFusion, how.settings)
        members = [
            calibrated(self._merge(member, tuple(paths)), settings.calibration.get(name))
            for name, (member, paths, _) in found.items()
        ]
        weight_of = [float(np.mean(weights)) for *_, weights in found.values()]
        return fuse_instances(members, weight_of, settings, self._size, where=self._request.image_id)

    def _merge(self, member: Member, paths: tuple[Path, ...]) -> CodedDetections:
        if paths not in self._merged:
            settings = from_plain(InstanceSettings, member.inference, where=member.name)
            self._merged[paths] = merge_views([self._load(path) for path in paths], settings)
        return self._merged[paths]

    def _load(self, path: Path) -> CodedDetections:
        if path not in self._loaded:
            found = load_detections(path)
            require_detections(found, path)
            if (found.height, found.width) != self._size:
                raise KitError(
                    f"the stored detections are of {found.height} x {found.width} pixels, the truth of their "
                    f"image {self._size[0]} x {self._size[1]}",
                    where=path,
                    fix="delete it and run the `train` command of this run again; it predicts anew",
                )
            self._loaded[path] = found
        return self._loaded[path]
