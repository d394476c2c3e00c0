"""What made-up ensembles have in common: prepared images in folds, and finished runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import kit
from kit.ensemble import Member
from train_local.data.folds import Fold
from train_local.data.prepared import Image, Prepared
from train_local.ensemble.finished_runs import FinishedRun


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A recipe of a made-up ensemble.

    Attributes:
        name: of the recipe.
        network: its name.
        seconds: per megapixel, under each view.
    """

    name: str
    network: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Images and the predictions of each fold for the images that it holds out.

    Attributes:
        folder: of the images and predictions.
        competition: their competition.
        kind: of its masks.
        ids: of the images; fold f holds out every image number f, f + folds, f + 2 folds, ...
        side: of each image, pixels.
        folds: number of folds.
        inference: settings of all networks.
    """

    folder: Path
    competition: str
    kind: Literal["semantic", "instance"]
    ids: Sequence[str]
    side: int
    folds: int
    inference: Mapping[str, Any]

    def prepared(self, *, split: str, suffix: str, **about: Any) -> Prepared:
        """Return the images as `prepare` describes them.

        Args:
            split: how they became folds.
            suffix: of their files.
            about: further facts of each image, e.g. its organ.
        """
        held = [tuple(self.ids[fold :: self.folds]) for fold in range(self.folds)]
        folds = [
            Fold(fold, tuple(image_id for image_id in self.ids if image_id not in set(out)), out)
            for fold, out in enumerate(held)
        ]
        images = {
            image_id: Image(
                id=image_id,
                path=f"train/{image_id}{suffix}",
                sha256="0" * 64,
                height=self.side,
                width=self.side,
                group=image_id,
                **about,
            )
            for image_id in self.ids
        }
        return Prepared(
            root=self.folder,
            competition=self.competition,
            kind=self.kind,
            data=self.folder,
            images=images,
            folds=folds,
            split=split,
            seed=0,
            reductions=[],
            inputs={},
            code_version=kit.__version__,
        )

    def runs(
        self, recipes: Sequence[Recipe], views: Sequence[str], path: Callable[[str, str, str], Path]
    ) -> list[FinishedRun]:
        """Return one finished run for each recipe and fold.

        Args:
            recipes: of the ensemble.
            views: under which each predicted.
            path: (recipe, view, image id) -> file of a prediction.
        """
        runs: list[FinishedRun] = []
        for recipe in recipes:
            for fold in range(self.folds):
                name = f"{recipe.name}.fold{fold}"
                member = Member(
                    name=name,
                    weights=f"{name}.safetensors",
                    sha256=f"{len(runs):064x}",
                    size=1,
                    network={"network": recipe.network},
                    inference=dict(self.inference),
                    requires=[],
                )
                files = {
                    view: {
                        image_id: path(recipe.name, view, image_id)
                        for image_id in self.ids[fold :: self.folds]
                    }
                    for view in views
                }
                costs = dict.fromkeys(views, recipe.seconds)
                weights = self.folder / member.weights
                runs.append(FinishedRun(recipe.name, member, weights, tuple(views), files, costs))
        return runs
