"""Skipped windows: up to which doubt of a block the dearer passes may skip it, tuned on held-out images.

One rung of the ladder may be enough for blocks of an image (`kit.ensemble.WindowSkip`). Images are few, two
slides perhaps, but their blocks are thousands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kit.ensemble import Member
from kit.images.info import ImageInfo
from train_local.ensemble.block_counts import BlockCounts
from train_local.ensemble.costs import CostOf
from train_local.ensemble.nested import ScoredStep
from train_local.ensemble.parts import others
from train_local.ensemble.trial import RecipeView

LIMITS = (0.0, *(10 ** (step / 4) for step in range(-20, 9)))
"""Doubts of blocks that are tried as limits, the first for none: from 1e-5 to 100, four in each decade."""
Floats = NDArray[np.float64]
_SAME = 1e-9
"""Scores that differ by less differ by rounding."""


@dataclass(frozen=True)
class Seen:
    """How members see the held-out images, and what that costs.

    Attributes:
        sizes: (height, width) of each image.
        infos: what is known of each image.
        members: one for each recipe view; its folds see images alike.
        cost_of: the cost of one fold's pass of a recipe view, per megapixel.
    """

    sizes: Mapping[str, tuple[int, int]]
    infos: Mapping[str, ImageInfo]
    members: Mapping[RecipeView, Member]
    cost_of: CostOf


@dataclass(frozen=True)
class Unseen:
    """A ladder on images that its searches did not see.

    Attributes:
        counts: of each image, whose rungs are places among `measured`.
        measured: rungs with their scored steps, the cheapest first.
        path: those on the main path; windows are skipped after one of these.
        parts: of the images.
        stopped: image -> the rung that it stops at.
    """

    counts: Mapping[str, BlockCounts]
    measured: Mapping[int, ScoredStep]
    path: Sequence[int]
    parts: Sequence[Sequence[str]]
    stopped: Mapping[str, int]


@dataclass(frozen=True)
class Skipping:
    """Windows that are skipped after one rung.

    Attributes:
        rung: after which.
        below: limit of the doubts.
        share: of the dearer passes, weighted by their costs, that is skipped.
        gains: measured rung -> what that adds to its score of unseen images.
        costs: measured rung -> cost of all its passes that is left.
    """

    rung: int
    below: float
    share: float
    gains: Mapping[int, float]
    costs: Mapping[int, float]


def skipped_windows(unseen: Unseen, seen: Seen) -> Skipping | None:
    """Tune after which rung windows are skipped, so that the most is saved and no rung's unseen score falls.

    Each part of the images is judged with a limit that was found without it: the one that saves most and
    costs the other parts no score in any dearer rung. Where the score of all parts together falls with these
    limits, all of them are made smaller, by a quarter of a decade at a time, until it does not, or no limit
    is left. Two slides:

        part   limit found on the other   its Dice without   and with it     a quarter of a decade less
        1      0.032                      0.9312             0.9310          0.9312
        2      0.018                      0.9127             0.9128          0.9127
                                          0.92195            0.92190: falls  0.92195: taken

    The limit that goes into `ensemble.json` is found in the same way on all images, and is not above the
    largest of the parts.

    Args:
        unseen: the ladder.
        seen: how members see the images.

    Returns:
        What saves most; None if every limit costs score.
    """
    found = [_Base(base, unseen, seen).best() for base in unseen.path[:-1]]
    some = (one for one in found if one is not None)
    return min(some, key=lambda one: one.costs[unseen.path[-1]], default=None)


class _Base:
    """Looks for the limit of one rung.

    Of every image it knows Dice and cost under each of R measured rungs with each of K limits, (R, K); limit
    0 skips nothing. Images that stopped before have those of their last rung.
    """

    def __init__(self, base: int, unseen: Unseen, seen: Seen) -> None:
        self._base, self._measured, self._parts = base, unseen.measured, unseen.parts
        self._stopped, self._seen = unseen.stopped, seen
        self._rungs = list(unseen.measured)
        self._last = self._rungs.index(unseen.path[-1])
        self._dice: dict[str, Floats] = {}
        self._cost: dict[str, Floats] = {}
        for image_id, image in unseen.counts.items():
            self._dice[image_id], self._cost[image_id] = self._tables(image_id, image)

    def best(self) -> Skipping | None:
        """Return what can be saved after this rung; None if every limit costs score."""
        of_parts = [self._choice(others(self._parts, place)) for place in range(len(self._parts))]
        most = min(self._choice(list(self._dice)), max(of_parts))
        for less in range(most):
            limits = {
                image_id: max(limit - less, 0)
                for part, limit in zip(self._parts, of_parts, strict=True)
                for image_id in part
            }
            if self._loses_nothing(limits):
                return self._skipping(limits, LIMITS[most - less])
        return None

    def _tables(self, image_id: str, image: BlockCounts) -> tuple[Floats, Floats]:
        """Return the Dice and the cost of an image, (R, K) each."""
        lefts, own = self._lefts(image_id, image), self._rungs.index(self._base)
        dice, cost = [], []
        for rung in self._rungs:
            place = self._rungs.index(min(rung, self._stopped.get(image_id, rung)))
            skips = self._rungs[place] > self._base
            dice.append([image.dice(place, own if skips else None, below) for below in LIMITS])
            cost.append([self._cost_of(place, left if skips else {}) for left in lefts])
        return np.array(dice), np.array(cost)

    def _lefts(self, image_id: str, image: BlockCounts) -> list[dict[RecipeView, float]]:
        """Return for each limit the share of its windows that each recipe view looks at."""
        seen, own = self._seen, self._rungs.index(self._base)
        views = [view for view in seen.members if view not in self._views(own)]
        lefts = []
        for below in LIMITS:
            blocks, known = image.confident(own, below), dict[str, float]()
            for view in views:
                member = seen.members[view]
                if view.recipe not in known:
                    known[view.recipe] = blocks.left(member, seen.sizes[image_id], seen.infos[image_id])
            lefts.append({view: known[view.recipe] for view in views})
        return lefts

    def _views(self, place: int) -> tuple[RecipeView, ...]:
        return self._measured[self._rungs[place]].step.selection.recipe_views

    def _cost_of(self, place: int, left: Mapping[RecipeView, float]) -> float:
        return sum(self._seen.cost_of(view) * left.get(view, 1.0) for view in self._views(place))

    def _choice(self, ids: Sequence[str]) -> int:
        """Return the place of the limit that saves most and costs these images no score in any rung."""
        dice = np.nanmean([self._dice[image_id] for image_id in ids], axis=0)
        cost = sum(self._area(image_id) * self._cost[image_id][self._last] for image_id in ids)
        fine = (dice >= dice[:, :1] - _SAME).all(axis=0)
        return int(np.argmin(np.where(fine, cost, np.inf)))

    def _loses_nothing(self, limits: Mapping[str, int]) -> bool:
        return bool((self._score(limits) >= self._score(dict.fromkeys(limits, 0)) - _SAME).all())

    def _score(self, limits: Mapping[str, int]) -> Floats:
        """Return the mean Dice of every rung, (R,)."""
        mean: Floats = np.nanmean(
            [self._dice[image_id][:, limit] for image_id, limit in limits.items()], axis=0
        )
        return mean

    def _spent(self, limits: Mapping[str, int]) -> Floats:
        """Return the cost of every rung over all images, (R,)."""
        spent: Floats = np.sum(
            [self._area(image_id) * self._cost[image_id][:, limit] for image_id, limit in limits.items()],
            axis=0,
        )
        return spent

    def _area(self, image_id: str) -> int:
        height, width = self._seen.sizes[image_id]
        return height * width

    def _skipping(self, limits: Mapping[str, int], below: float) -> Skipping:
        whole = sum(self._area(image_id) for image_id in limits)
        full = np.array([self._cost_of(place, {}) for place in range(len(self._rungs))]) * whole
        none = dict.fromkeys(limits, 0)
        gains, spent = self._score(limits) - self._score(none), self._spent(limits)
        # Passes after this rung, over images that do not stop at it, without and with skipped windows.
        own = self._cost_of(self._rungs.index(self._base), {})
        further = [
            self._area(image_id) * (self._cost[image_id][self._last, [0, limit]] - own)
            for image_id, limit in limits.items()
            if self._stopped.get(image_id, self._base + 1) > self._base
        ]
        before, after = (float(cost) for cost in np.sum(further, axis=0))
        return Skipping(
            self._base,
            below,
            max(1 - after / before, 0.0),
            dict(zip(self._rungs, map(float, gains), strict=True)),
            dict(zip(self._rungs, map(float, spent / full), strict=True)),
        )
