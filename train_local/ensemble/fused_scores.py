"""Scores of selections for every kind: images are fused by the engine of Kaggle and scored by the metric.

What the two older kinds have is faster and made for theirs: counts of pixels for one mask, rankings for
detections of one class. Values, masks of several classes and labelled detections come here: each question is
fused as on Kaggle, once, and kept.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kit.competitions.competition import Competition
from kit.ensemble import Kind, Member
from kit.images.info import ImageInfo
from kit.inference.fusion import Fused, PassResult, fuse
from kit.local.competitions import scores
from kit.predictions import Prediction
from train_local.ensemble.processes import Helpers
from train_local.ensemble.scores import Assigned, Settings
from train_local.ensemble.trial import RecipeView, Selection

WEIGHTS = (1.0, 0.5, 2.0)
"""Weights a new recipe view is tried with, relative to the mean of those before it."""
SEARCHED_IMAGES = 1024
"""Images that the search asks for, at most."""
_KEPT = 64
"""Questions whose answers are kept."""

Tuner = Callable[[Settings, Callable[[Sequence[Settings]], list[float]]], Settings]
"""Takes the settings of the rung before and a function that scores settings; returns the best."""


@dataclass(frozen=True)
class HeldOut:
    """A held-out image with what was predicted for it.

    Attributes:
        truth: of the image.
        size: height and width.
        info: what is known of it.
        found: recipe view -> the member that held it out, and its stored result.
    """

    truth: Prediction
    size: tuple[int, int]
    info: ImageInfo
    found: Mapping[RecipeView, tuple[Member, Path]]


@dataclass(frozen=True)
class _Request:
    """One image to be fused in one way."""

    kind: Kind
    image_id: str
    image: HeldOut
    how: Assigned


def _answer(request: _Request) -> Fused | None:
    """Fuse an image; None if no recipe view of the selection held it out."""
    image, selection = request.image, request.how.selection
    results = [
        PassResult(file=image.found[recipe_view][1], weight=weight, member=image.found[recipe_view][0])
        for recipe_view, weight in zip(selection.recipe_views, selection.weights, strict=True)
        if recipe_view in image.found
    ]
    if not results:
        return None
    return fuse(
        results,
        request.how.settings,
        image.size,
        kind=request.kind,
        image_id=request.image_id,
        info=image.info,
    )


class FusedScores:
    """`train_local.ensemble.scores.Scores` of any kind.

    Args:
        competition: its metric is the score; of an error or loss the negative.
        images: by id.
        tuner: chooses the settings of the fusion.
        processes: that fuse; None takes one for each CPU.
        searched: images that the search asks for, at most.
    """

    def __init__(
        self,
        competition: Competition,
        images: Mapping[str, HeldOut],
        tuner: Tuner,
        *,
        processes: int | None = None,
        searched: int = SEARCHED_IMAGES,
    ) -> None:
        self.ids = tuple(sorted(images))
        self._competition, self._images, self._tuner = competition, images, tuner
        places = np.linspace(0, len(self.ids) - 1, min(searched, len(self.ids))).astype(int)
        self.searched = frozenset(self.ids[place] for place in places)
        self._helpers = Helpers(processes)
        self._known: OrderedDict[str, dict[str, Fused]] = OrderedDict()

    def images(self, recipe_view: RecipeView) -> frozenset[str]:
        """Return the images that some fold of the recipe held out."""
        return frozenset(key for key, image in self._images.items() if recipe_view in image.found)

    def relative_weights(self, selection: Selection, added: RecipeView) -> tuple[float, ...]:
        """Return the weights to try for a recipe view that is added."""
        del added
        mean = float(np.mean(selection.weights))
        return tuple(round(mean * weight, 4) for weight in WEIGHTS)

    def prepare(self, selections: Sequence[Selection], settings: Settings) -> None:
        """Fuse the searched images for some selections, in several processes if that is worth it."""
        self._ask((Assigned(selection, settings), self.searched) for selection in selections)

    def quick(self, selection: Selection, ids: Collection[str], settings: Settings) -> float:
        """Return the score with these settings, of those images that are searched."""
        how = Assigned(selection, settings)
        return self.score(dict.fromkeys(self.searched & frozenset(ids), how))

    def tune(self, selection: Selection, ids: Collection[str], settings: Settings) -> Settings:
        """Return the settings that score best on those images that are searched."""
        seen = self.searched & frozenset(ids)

        def scored(tried: Sequence[Settings]) -> list[float]:
            self._ask((Assigned(selection, one), seen) for one in tried)
            return [self.score(dict.fromkeys(seen, Assigned(selection, one))) for one in tried]

        return self._tuner(settings, scored)

    def score(self, assigned: Mapping[str, Assigned]) -> float:
        """Return the competition's metric, larger is better; NaN without any image."""
        found = {key: one.prediction for key, one in self._fused(assigned).items()}
        if not found:
            return float("nan")
        truth = {key: self._images[key].truth for key in found}
        return scores.score(self._competition, truth, found).gain

    def doubts(self, assigned: Mapping[str, Assigned]) -> dict[str, float]:
        """Return the doubts of some images' predictions, by image id."""
        return {key: one.doubt for key, one in self._fused(assigned).items()}

    def count(self, wanted: Sequence[Mapping[str, Assigned]]) -> None:
        """Do nothing: these scores are exact, and of the images that they are asked for."""

    def _fused(self, assigned: Mapping[str, Assigned]) -> dict[str, Fused]:
        by_key: dict[str, tuple[Assigned, list[str]]] = {}
        for image_id, how in assigned.items():
            by_key.setdefault(_key(how), (how, []))[1].append(image_id)
        self._ask(by_key.values())
        return {
            image_id: self._known[key][image_id]
            for key, (_, ids) in by_key.items()
            for image_id in ids
            if image_id in self._known[key]
        }

    def _ask(self, questions: Iterable[tuple[Assigned, Collection[str]]]) -> None:
        """Fuse what is not known yet."""
        asked: dict[str, None] = {}
        requests: list[tuple[str, _Request]] = []
        for how, ids in questions:
            key = _key(how)
            asked[key] = None
            known = self._known.setdefault(key, {})
            requests += [
                (key, _Request(self._competition.kind, image_id, self._images[image_id], how))
                for image_id in sorted(ids)
                if image_id not in known
            ]
        answers = self._helpers.map(_answer, [request for _, request in requests])
        for (key, request), answer in zip(requests, answers, strict=True):
            if answer is not None:
                self._known[key][request.image_id] = answer
        for key in asked:
            self._known.move_to_end(key)
        while len(self._known) > max(_KEPT, len(asked)):
            self._known.popitem(last=False)


def _key(how: Assigned) -> str:
    """Return what decides the result: recipe views, the ratios of their weights, and settings."""
    most = max(how.selection.weights)
    pairs = zip(how.selection.recipe_views, how.selection.weights, strict=True)
    views = sorted([item.recipe, item.view, round(weight / most, 9)] for item, weight in pairs)
    return json.dumps([views, how.settings], sort_keys=True)
