"""Scores of instance selections: detections are fused image by image, exactly as on Kaggle, and judged.

Five detectors under four views in 1,600 tiles have a thousand selections that a search may ask for, and each
takes some milliseconds a tile. So the search asks for a sample of the tiles, a batch of questions at a time,
and compares additions with the published settings of the fusion: the searches that leave out a part of the
images ask the same questions, and the answers are kept. What the search ends with is scored on all images.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from kit.competitions.competition import Competition
from kit.inference.instance_settings import InstanceFusion
from kit.typed_json import from_plain, to_plain
from train_local.ensemble import calibrations, instance_tuning
from train_local.ensemble.answers import Answers, questions_of
from train_local.ensemble.calibrations import Judged, JudgeRequest, judge_image
from train_local.ensemble.image_answers import ImageRequest, doubts_of
from train_local.ensemble.kept_images import HeldOut
from train_local.ensemble.processes import Helpers
from train_local.ensemble.scores import Assigned, Settings
from train_local.ensemble.trial import RecipeView, Selection

WEIGHTS = (1.0, 0.5, 2.0)
"""Weights a new recipe is tried with, relative to the mean of those before it."""
SEARCHED_IMAGES = 256
"""Images that the search asks for, at most."""


class InstanceScores:
    """`train_local.ensemble.scores.Scores` of detections.

    Args:
        competition: its metric is the score.
        images: by id.
        processes: that fuse; None takes one for each CPU.
        searched: images that the search asks for, at most.
    """

    def __init__(
        self,
        competition: Competition,
        images: Mapping[str, HeldOut],
        *,
        processes: int | None = None,
        searched: int = SEARCHED_IMAGES,
    ) -> None:
        self.ids = tuple(sorted(images))
        self._competition, self._images = competition, images
        # Evenly over the sorted ids: of 1,000 images and 250 wanted every fourth one.
        places = np.linspace(0, len(self.ids) - 1, min(searched, len(self.ids))).astype(int)
        self.searched = frozenset(self.ids[place] for place in places)
        self._counted = False
        self._helpers = Helpers(processes)
        self._owner = uuid.uuid4().hex
        self._answers = Answers(competition, images, self._helpers, self._owner)
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
        """Fuse and judge the sample for some selections, in several processes."""
        del settings
        published = _published()
        self._answers.ask([(Assigned(item, published), self.searched) for item in selections])

    def quick(self, selection: Selection, ids: Collection[str], settings: Settings) -> float:
        """Return the metric with the published settings of the fusion, of those images in the sample.

        With the settings of the rung before, a network that is added would be alone with scores that are not
        calibrated.
        """
        del settings
        how = Assigned(selection, _published())
        return self._answers.score(dict.fromkeys(self.searched & frozenset(ids), how))

    def tune(self, selection: Selection, ids: Collection[str], settings: Settings) -> Settings:
        """Return the fusion settings and calibrations that score best on those images in the sample.

        The search begins at the settings of the rung before. A second view of a recipe among others changes
        little, so the settings stay as they are then.
        """
        *before, last = [recipe_view.recipe for recipe_view in selection.recipe_views]
        if settings and last in before and len({*before, last}) > 1:
            return settings
        seen = self.searched & frozenset(ids)
        plain = replace(from_plain(InstanceFusion, settings), calibration={})

        def scored(tried: Sequence[Settings]) -> list[float]:
            # Calibrations are fitted without the images of a part, and no other search asks for them.
            self._answers.ask(
                [(Assigned(selection, one), seen if one["calibration"] else self.searched) for one in tried]
            )
            return [self._answers.score(dict.fromkeys(seen, Assigned(selection, one))) for one in tried]

        tuned = instance_tuning.tune(plain, scored)
        choices = calibrations.choices(self._judge(selection, seen))
        return instance_tuning.tune_calibration(choices, tuned, scored)

    def score(self, assigned: Mapping[str, Assigned]) -> float:
        """Return the average precision of all images together, each with its own selection and settings.

        Before `count`, it is that of the images in the sample.
        """
        if not self._counted:
            assigned = {key: how for key, how in assigned.items() if key in self.searched}
        return self._answers.score(assigned)

    def doubts(self, assigned: Mapping[str, Assigned]) -> dict[str, float]:
        """Return the doubts of some images' instances: they are fused once more, as on Kaggle."""
        requests = [
            ImageRequest(self._owner, self._competition, image_id, self._images[image_id], (how,))
            for image_id, how in sorted(assigned.items())
        ]
        found = self._helpers.map(doubts_of, requests)
        return {request.image_id: doubt for request, [doubt] in zip(requests, found, strict=True)}

    def count(self, wanted: Sequence[Mapping[str, Assigned]]) -> None:
        """Fuse and judge all images of these, so that scores are of all images from now on."""
        self._counted = True
        self._answers.ask(questions_of(wanted))

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
                    if image_id in self.searched
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
                judged = self._helpers.map(judge_image, requests)
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


def _published() -> Settings:
    plain: Settings = to_plain(InstanceFusion())
    return plain
