"""What predictions are worth in a simulated world: the score of any passes over any image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Value = TypeVar("Value", float, Floats)

_EVEN = 0.25
"""Share of either part in a product that is largest where both are one half."""


@dataclass(frozen=True)
class Errors:
    """Variances of what the members' predictions have wrong, each member under some views.

    Attributes:
        common: shared by all.
        family: shared by the members of one recipe; one per family.
        families: family of each member.
        members: of each member alone, on each image.
        views: of each view of a member; views of one member share the rest.
    """

    common: float
    family: tuple[float, ...]
    families: tuple[int, ...]
    members: Floats
    views: Floats

    def variance_I(self, views: Mapping[int, int]) -> Floats:
        """Return the variance of the best weighted mean of members under some views each, on each image.

        Args:
            views: member -> number of its views.
        """
        precisions = (
            (member, 1.0 / (self.members[member] + self.views[member] / count))
            for member, count in views.items()
        )
        return np.asarray(self._together(precisions))

    def variance(self, views: Mapping[int, int]) -> float:
        """Return the same on the first image, in a fraction of the time."""
        members, per_view = self._first
        precisions = (
            (member, 1.0 / (members[member] + per_view[member] / count)) for member, count in views.items()
        )
        return self._together(precisions)

    @cached_property
    def _first(self) -> tuple[list[float], list[float]]:
        return self.members[:, 0].tolist(), self.views.tolist()

    def _together(self, members: Iterable[tuple[int, Value]]) -> Value:
        # Two members of one family with variances 1 and 1 have 0.5 together, and 0.5 + 0.3 with the 0.3 that
        # the family shares. A second family with 0.8 halves that: 0.4. What all share comes on top.
        families: dict[int, Value] = {}
        for member, precision in members:
            family = self.families[member]
            families[family] = families[family] + precision if family in families else precision
        shared = [1.0 / (self.family[family] + 1.0 / own) for family, own in families.items()]
        return self.common + 1.0 / sum(shared[1:], start=shared[0])


@dataclass(frozen=True)
class Truth:
    """The score of passes.

    Attributes:
        owners: member of each pass.
        errors: of the members, on the images of the hidden test set.
        mixes: each image has a score of its own, and the submission's is their mean (Dice); else all objects
            are judged together (AP).
        first: variance at which the score is 1 - `loss`.
        slope: part of `loss` that goes with each unit of variance less.
        loss: 1 - score of the cheapest rung on average.
        difficulty: factor on the loss of each image.
        penalty: what a file of AP loses at most where rows of two rungs are mixed half and half, whose scores
            have two scales.
        gains: factor on what an image gains by further passes; 0 of one that stays as it is.
    """

    owners: tuple[int, ...]
    errors: Errors
    mixes: bool
    first: float
    slope: float
    loss: float
    difficulty: Floats
    penalty: float
    gains: Floats
    _known: dict[tuple[int, ...], Floats] = field(default_factory=dict, init=False, repr=False, compare=False)

    def scores_I(self, passes: Iterable[int]) -> Floats:
        """Return the score that each image gets from some passes."""
        key = tuple(passes)
        if key not in self._known:
            variance_I = self.errors.variance_I(views_of(self.owners, key))
            if self.mixes:
                loss_I = self.loss * (1.0 - self.slope * self.gains * (self.first - variance_I))
                self._known[key] = np.clip(1.0 - self.difficulty * loss_I, 0.0, 1.0)
            else:  # all tiles together have one precision
                loss_I = self.loss * (1.0 - self.slope * (self.first - variance_I))
                self._known[key] = np.full(len(variance_I), max(0.0, 1.0 - float(loss_I.mean())))
        return self._known[key]

    def stopped_I(self, passes: Iterable[int], best: Iterable[int]) -> Floats:
        """Return what images count that stopped with rows of some passes, in a file of better rows.

        Args:
            passes: of their rows.
            best: passes of the rows of the images that went on.
        """
        # AP rises from 0.5 to 0.6 by the passes that a calm tile skipped, and the tile loses nothing by that:
        # it counts 0.6, and one that gains twice as much as the mean counts 0.6 - 2 x 0.1.
        own_I, best_I = self.scores_I(passes), self.scores_I(best)
        return own_I if self.mixes else np.asarray(best_I - self.gains * (best_I - own_I))

    @cached_property
    def images(self) -> int:
        """Number of images."""
        return len(self.difficulty)

    def of_file(
        self, rows: Mapping[int, Sequence[int]], stopped: Collection[int] = frozenset[int]()
    ) -> float:
        """Return the score of a submission.

        Args:
            rows: image -> the passes that its row was fused from; an image without a row scores nothing.
            stopped: images for which an early rung was enough.
        """
        if not rows:
            return 0.0
        going = {image: tuple(passes) for image, passes in rows.items() if image not in stopped}
        kinds = Counter(going.values()) if going else Counter(map(tuple, rows.values()))
        # Where all images stopped, those of the most frequent rows stand for the others.
        best, count = kinds.most_common(1)[0]
        total = sum(
            float((self.scores_I(passes) if image in going else self.stopped_I(passes, best))[image])
            for image, passes in rows.items()
        )
        mean = total / self.images
        if self.mixes:
            return mean
        # Limits are tuned with the real mixture: images that stopped have the scale that the others have.
        share = count / kinds.total()
        return mean * (1.0 - self.penalty * share * (1.0 - share) / _EVEN)


def views_of(owners: Sequence[int], passes: Iterable[int]) -> dict[int, int]:
    """Return the number of views of each member that some passes have."""
    counts: dict[int, int] = {}
    for index in passes:
        counts[owners[index]] = counts.get(owners[index], 0) + 1
    return counts
