"""Answers to the questions of an instance search: each asked once, many at a time, and kept."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from kit.competitions.competition import Competition
from kit.inference.instance_settings import InstanceFusion
from kit.typed_json import to_plain
from train_local.ensemble.image_answers import ImageRequest, answer
from train_local.ensemble.kept_images import HeldOut
from train_local.ensemble.processes import Helpers
from train_local.ensemble.ranking import JudgedImage, Ranking, average_precision, joined, of_images, ranked
from train_local.ensemble.scores import Assigned
from train_local.ensemble.trial import RecipeView

MOST_BYTES = 1 << 30
"""Of kept answers. One for 256 images with 150 detections each has 400 kB, and the searches of five detectors
under four views ask for thousands: with a quarter of this, near every second one is fused again."""

_PUBLISHED = to_plain(InstanceFusion())
_Key = tuple[tuple[tuple[RecipeView, float], ...], str]
Question = tuple[Assigned, Collection[str]]
"""How to fuse, and the ids of the images."""


class Answers:
    """Fuses and judges images, and keeps what was found.

    Args:
        competition: its metric judges.
        images: by id.
        helpers: that fuse.
        owner: of the images, unlike that of any other ones.
        most_bytes: of what is kept.

    Attributes:
        ids: of all images, sorted.
    """

    def __init__(
        self,
        competition: Competition,
        images: Mapping[str, HeldOut],
        helpers: Helpers,
        owner: str,
        *,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self.ids = tuple(sorted(images))
        self._competition, self._images, self._helpers = competition, images, helpers
        self._owner = owner
        self._most_bytes = most_bytes
        self._row = {image_id: row for row, image_id in enumerate(self.ids)}
        self._truths_N = np.array([len(images[key].truth.masks) for key in self.ids], np.int64)
        self._known: OrderedDict[_Key, Ranking] = OrderedDict()
        self._bytes = 0  # of all in it: thousands are kept, and a search asks thousands of times

    def ask(self, questions: Iterable[Question]) -> None:
        """Fuse and judge what is not known yet; each image's files are read once for all questions.

        Raises:
            KitError: stored detections are missing, damaged or of another size than their image.
        """
        by_image: dict[str, dict[_Key, Assigned]] = {}
        asked: dict[_Key, None] = {}
        for how, ids in questions:
            key = key_of(how)
            asked[key] = None
            known = self._known.get(key)
            for image_id in ids:
                if known is None or not known.rows_N[self._row[image_id]]:
                    by_image.setdefault(image_id, {})[key] = how
        requests = [
            ImageRequest(
                self._owner,
                self._competition,
                image_id,
                self._images[image_id],
                tuple(by_image[image_id].values()),
            )
            for image_id in sorted(by_image)
        ]
        found: dict[_Key, dict[int, list[JudgedImage]]] = {}
        for request, answers in zip(requests, self._helpers.map(answer, requests), strict=True):
            for key, judged in zip(by_image[request.image_id], answers, strict=True):
                found.setdefault(key, {})[self._row[request.image_id]] = judged
        for key, of_key in found.items():
            new = ranked(of_key, len(self.ids), len(self._competition.format.metric.iou))
            if (old := self._known.get(key)) is not None:
                new = joined([old, new])
                self._bytes -= old.nbytes
            self._known[key] = new
            self._bytes += new.nbytes
        self._forget(asked)

    def _forget(self, kept: Collection[_Key]) -> None:
        """Drop what was not asked for longest, beyond the limit, but none of `kept`, whatever their size."""
        for key in kept:
            if key in self._known:
                self._known.move_to_end(key)
        if self._bytes <= self._most_bytes:
            return
        for key in [key for key in self._known if key not in kept]:
            self._bytes -= self._known.pop(key).nbytes
            if self._bytes <= self._most_bytes:
                break

    def score(self, assigned: Mapping[str, Assigned]) -> float:
        """Return the metric of images that may each be fused in their own way; NaN without any image.

        Raises:
            KitError: as `ask`.
        """
        questions = {key_of(how): (how, ids) for how, ids in questions_of([assigned])}
        if not questions:
            return float("nan")
        self.ask(questions.values())
        parts = [of_images(self._known[key], self._chosen(ids)) for key, (_, ids) in questions.items()]
        return average_precision(joined(parts), self._truths_N)

    def _chosen(self, ids: Collection[str]) -> NDArray[np.bool_]:
        chosen_N = np.zeros(len(self.ids), bool)
        chosen_N[[self._row[image_id] for image_id in ids]] = True
        return chosen_N


def questions_of(wanted: Iterable[Mapping[str, Assigned]]) -> list[Question]:
    """Return the ways to fuse, each once with all images that it is asked for."""
    by_key: dict[_Key, tuple[Assigned, set[str]]] = {}
    # One object stands for hundreds of images, and making a key takes longer than looking at its address.
    keys: dict[int, _Key] = {}
    for assigned in wanted:
        for image_id, how in assigned.items():
            if id(how) not in keys:
                keys[id(how)] = key_of(how)
            by_key.setdefault(keys[id(how)], (how, set()))[1].add(image_id)
    return list(by_key.values())


def key_of(how: Assigned) -> _Key:
    """Return what decides the fused instances: recipe views, ratios of the members' weights, and settings.

    A member's weight is the mean of the weights of its views, so a with weight 1, a hflip with 3 and b with 4
    are the same as a and a hflip with 1 and b with 2: each is (a 0.5, a hflip 0.5, b 1).
    """
    selection = how.selection
    weights: dict[str, list[float]] = {}
    for recipe_view, weight in zip(selection.recipe_views, selection.weights, strict=True):
        weights.setdefault(recipe_view.recipe, []).append(weight)
    of_recipe = {recipe: sum(listed) / len(listed) for recipe, listed in weights.items()}
    most = max(of_recipe.values())
    members = tuple(
        sorted((item, round(of_recipe[item.recipe] / most, 9)) for item in selection.recipe_views)
    )
    settings = {**_PUBLISHED, **how.settings}
    return members, json.dumps(settings, sort_keys=True)
