"""What the search of ladders asks: the scores of selections on some of the held-out images."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from train_local.ensemble.trial import RecipeView, Selection

Settings = dict[str, Any]
"""Of a rung, as `ensemble.json` has them."""


@dataclass(frozen=True)
class Assigned:
    """What an image is predicted with.

    Attributes:
        selection: recipe views and weights.
        settings: of the fusion.
    """

    selection: Selection
    settings: Settings


class Scores(Protocol):
    """Scores of one competition's kind. Both engines fill it: `SemanticScores` and `InstanceScores`.

    Attributes:
        ids: all images, sorted.
        searched: the images that a search asks for: all of them, or a sample.
    """

    ids: tuple[str, ...]
    searched: frozenset[str]

    def images(self, recipe_view: RecipeView) -> frozenset[str]:
        """Return the images that some fold of the recipe held out."""

    def relative_weights(self, selection: Selection, added: RecipeView) -> tuple[float, ...]:
        """Return the weights to try for a recipe view that is added."""

    def prepare(self, selections: Sequence[Selection], settings: Settings) -> None:
        """Compute what `quick` needs for these selections, in several processes if that is worth it."""

    def quick(self, selection: Selection, ids: Collection[str], settings: Settings) -> float:
        """Return about the score that `tune` would reach, to compare selections with each other.

        Args:
            selection: to score.
            ids: images that count; those that the selection does not cover are left out.
            settings: of the rung before, {} at the first one.
        """

    def tune(self, selection: Selection, ids: Collection[str], settings: Settings) -> Settings:
        """Return the best settings for these images, found from those of the rung before."""

    def score(self, assigned: Mapping[str, Assigned]) -> float:
        """Return the competition's metric over images that may each have their own selection and settings.

        Args:
            assigned: by image id; an image that its selection does not cover is left out.
        """

    def doubts(self, assigned: Mapping[str, Assigned]) -> dict[str, float]:
        """Return the doubts of some images' predictions (`kit.inference.*_doubt`), by image id."""

    def count(self, wanted: Sequence[Mapping[str, Assigned]]) -> None:
        """Make the scores of these exact, if `score` only estimates them."""
