"""Scores of instance selections: detections are fused image by image, exactly as on Kaggle, and judged."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kit.competitions.competition import Competition
from kit.ensemble import Member
from kit.inference.fusion import PassResult, fuse
from kit.inference.instance_settings import InstanceFusion
from kit.local.competitions.scores import precision_recall_curves
from kit.local.metrics.average_precision import PrecisionRecall, pooled
from kit.predictions import Instances
from kit.typed_json import from_plain, to_plain
from train_local.ensemble import calibrations, instance_tuning
from train_local.ensemble.calibrations import Judged, JudgeRequest, judge_image
from train_local.ensemble.processes import in_processes
from train_local.ensemble.scores import Assigned, Settings
from train_local.ensemble.trial import RecipeView, Selection

WEIGHTS = (1.0, 0.5, 2.0)
"""Weights a new recipe is tried with, relative to the mean of those before it."""
_MOST_CURVES = 50_000
"""Curves of single images that are kept, of some kilobytes each."""

ImageCurves = dict[str, list[PrecisionRecall]]
"""Image id -> curve at each IoU threshold."""


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
class FuseRequest:
    """What `fuse_and_judge` needs: an image, the results of its passes, and what they are fused with."""

    competition: Competition
    image_id: str
    truth: Instances
    results: tuple[PassResult, ...]
    settings: Settings


def fuse_and_judge(request: FuseRequest) -> list[PrecisionRecall]:
    """Fuse an image's detections as predict.py does, and return their curve at each IoU threshold.

    Raises:
        KitError: stored detections are missing or damaged.
    """
    size = (request.truth.height, request.truth.width)
    fused = fuse(request.results, request.settings, size, kind="instance", image_id=request.image_id)
    key = request.image_id
    return precision_recall_curves(request.competition, {key: request.truth}, {key: fused})


class InstanceScores:
    """`train_local.ensemble.scores.Scores` of detections.

    Args:
        competition: its metric is the score.
        images: by id.
        processes: that fuse; None takes one for each CPU.
    """

    def __init__(
        self, competition: Competition, images: Mapping[str, HeldOut], *, processes: int | None = None
    ) -> None:
        self.ids = tuple(sorted(images))
        self._competition, self._images, self._processes = competition, images, processes
        self._curves: OrderedDict[tuple[Selection, str], ImageCurves] = OrderedDict()
        self._judged: dict[tuple[str, tuple[str, ...]], dict[str, Judged]] = {}

    def images(self, recipe_view: RecipeView) -> frozenset[str]:
        """Return the images that some fold of the recipe held out."""
        return frozenset(key for key, image in self._images.items() if recipe_view in image.found)

    def relative_weights(self, selection: Selection, added: RecipeView) -> tuple[float, ...]:
        """Return the weights to try: views of a recipe are merged without weights and share one."""
        for recipe_view, weight in zip(selection.recipe_views, selection.weights, strict=True):
            if recipe_view.recipe == added.recipe:
                return (weight,)
        mean = float(np.mean(selection.weights))
        return tuple(round(mean * weight, 4) for weight in WEIGHTS)

    def prepare(self, selections: Sequence[Selection], settings: Settings) -> None:
        """Fuse and judge all held-out images for some selections, in several processes."""
        wanted = [item for item in dict.fromkeys(selections) if (item, _text(settings)) not in self._curves]
        requests = [
            (selection, image_id, request)
            for selection in wanted
            for image_id in self.ids
            if (request := self._request(selection, image_id, settings)) is not None
        ]
        found: dict[Selection, ImageCurves] = {selection: {} for selection in wanted}
        curves = in_processes(
            fuse_and_judge, [request for *_, request in requests], processes=self._processes
        )
        for (selection, image_id, _), of_image in zip(requests, curves, strict=True):
            found[selection][image_id] = of_image
        for selection, of_selection in found.items():
            self._curves[selection, _text(settings)] = of_selection
        # What was asked for last stays, whatever its number.
        while len(self._curves) > max(_MOST_CURVES // len(self.ids), len(wanted)):
            self._curves.popitem(last=False)

    def _request(self, selection: Selection, image_id: str, settings: Settings) -> FuseRequest | None:
        image = self._images[image_id]
        results = []
        for recipe_view, weight in zip(selection.recipe_views, selection.weights, strict=True):
            if recipe_view in image.found:
                member, path = image.found[recipe_view]
                results.append(PassResult(file=path, weight=weight, member=member))
        if not results:
            return None
        return FuseRequest(self._competition, image_id, image.truth, tuple(results), settings)

    def _of(self, selection: Selection, settings: Settings) -> ImageCurves:
        key = (selection, _text(settings))
        if key not in self._curves:
            self.prepare([selection], settings)
        self._curves.move_to_end(key)
        return self._curves[key]

    def quick(self, selection: Selection, ids: Collection[str], settings: Settings) -> float:
        """Return the metric with the settings of the rung before."""
        return self.score({image_id: Assigned(selection, settings) for image_id in sorted(ids)})

    def tune(self, selection: Selection, ids: Collection[str], settings: Settings) -> Settings:
        """Return the fusion settings and calibrations that score best on these images.

        The search begins at the settings of the rung before. A second view of a recipe among others changes
        little, so the settings stay as they are then.
        """
        *before, last = [recipe_view.recipe for recipe_view in selection.recipe_views]
        if settings and last in before and len({*before, last}) > 1:
            return settings
        plain = replace(from_plain(InstanceFusion, settings), calibration={})

        def scored(tried: Settings) -> float:
            return self.quick(selection, ids, tried)

        tuned = instance_tuning.tune(plain, scored)
        choices = calibrations.choices(self._judge(selection, ids))
        return instance_tuning.tune_calibration(choices, tuned, scored)

    def _judge(self, selection: Selection, ids: Collection[str]) -> list[Judged]:
        """Detections of each member in some images, its views merged, held against the truth.

        Of a metric over several overlaps, such as 0.50 to 0.95, the middle one decides what is a hit.
        """
        ious = self._competition.format.metric.iou
        found: dict[str, list[Judged]] = {}
        for recipe in dict.fromkeys(item.recipe for item in selection.recipe_views):
            views = [item for item in selection.recipe_views if item.recipe == recipe]
            key = (recipe, tuple(item.view for item in views))
            if key not in self._judged:
                there = {
                    image_id: [image.found[item] for item in views if item in image.found]
                    for image_id, image in self._images.items()
                }
                there = {image_id: results for image_id, results in there.items() if results}
                requests = [
                    JudgeRequest(
                        results[0][0],
                        tuple(path for _, path in results),
                        self._images[image_id].truth,
                        ious[len(ious) // 2],
                    )
                    for image_id, results in there.items()
                ]
                judged = in_processes(judge_image, requests, processes=self._processes)
                self._judged[key] = {
                    image_id: Judged(recipe, request.member.name, scores, hits)
                    for image_id, request, (scores, hits) in zip(there, requests, judged, strict=True)
                }
            for image_id, one in self._judged[key].items():
                if image_id in ids:
                    found.setdefault(one.member, []).append(one)
        return [
            Judged(
                listed[0].recipe,
                member,
                np.concatenate([one.scores for one in listed]),
                np.concatenate([one.hits for one in listed]),
            )
            for member, listed in found.items()
        ]

    def score(self, assigned: Mapping[str, Assigned]) -> float:
        """Return the average precision of all images together, each with its own selection and settings."""
        curves = []
        for image_id in sorted(assigned):
            how = assigned[image_id]
            of_image = self._of(how.selection, how.settings).get(image_id)
            if of_image is not None:
                curves.append(of_image)
        if not curves:
            return float("nan")
        return float(np.mean([pooled(of_iou).average_precision for of_iou in zip(*curves, strict=True)]))

    def count(self, wanted: Sequence[Mapping[str, Assigned]]) -> None:
        """Nothing: every score is exact."""


def _text(settings: Settings) -> str:
    return json.dumps({**to_plain(InstanceFusion()), **settings}, sort_keys=True)
