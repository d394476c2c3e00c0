"""One recipe on one fold as the graph of jobs knows it: for `train`, which trains one recipe by name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from kit.errors import KitError
from train_local.data.prepared import Prepared
from train_local.engine.initial_weights import InitialWeights, find_initial_weights
from train_local.jobs import forms, source_hash
from train_local.jobs.checkpoint_contents import CheckpointContents
from train_local.jobs.graph import Planner, choose
from train_local.jobs.job import CompetitionData, Form, Job, Setting
from train_local.jobs.status import state_of
from train_local.recipes.base import Recipe
from train_local.runs import Run, make_run, run_name


@dataclass(frozen=True)
class PlannedRun:
    """One recipe on one fold, while its initial weights may not exist yet.

    Attributes:
        recipe: what to train.
        fold: index.
    """

    recipe: Recipe
    fold: int

    @property
    def name(self) -> str:
        """Name of the run."""
        return run_name(self.recipe, self.fold)

    def job(
        self,
        prepared: Prepared,
        root: Path,
        *,
        budget: float | None = None,
        published: Path | None = None,
    ) -> Job:
        """Return the node of the graph that this run is.

        Args:
            prepared: the data.
            root: folder of all runs of this competition.
            budget: seconds that its length is fitted to.
            published: folder of published checkpoints, whose contents count.
        """
        return self.jobs(prepared, root, budget, published)[-1]

    def jobs(self, prepared: Prepared, root: Path, budget: float | None, published: Path | None) -> list[Job]:
        """Return the nodes that this run needs, directly or through others, and the run itself last.

        Arguments as of `job`.
        """
        teachers: list[Form] = []
        if any(images.labels is not None for stage in _stages(self.recipe) for images in stage.data.sets):
            tiny = self.recipe.name.endswith("-tiny")
            sources = source_hash.installed()
            teachers = forms.load(prepared.competition, prepared.kind, sources, tiny=tiny)
        setting = Setting(
            source=source_hash.installed().hash_of,
            checkpoint=CheckpointContents(published).of,
            budget=budget,
        )
        planner = Planner(data_of(prepared, root), teachers, setting)
        job = planner.train(forms.form_of(self.recipe), self.fold)
        return [*choose(planner.jobs, job.name).values()]

    def ready(
        self,
        prepared: Prepared,
        root: Path,
        *,
        seed: int | None = None,
        published: Path | None = None,
        budget: float | None = None,
    ) -> tuple[Run, InitialWeights]:
        """Return the run and its initial weights.

        Args:
            prepared: the data.
            root: folder of all runs of this competition.
            seed: None takes the recipe's.
            published: folder of downloaded checkpoints.
            budget: seconds that the length of the run is fitted to.

        Raises:
            KitError: the earlier stage or labels are not there or of other settings, a checkpoint is missing,
                or the recipe does not suit the data.
        """
        planned = self if seed is None else replace(self, recipe=replace(self.recipe, seed=seed))
        *needed, job = planned.jobs(prepared, root, budget, published)
        recipe = planned.recipe
        run = make_run(recipe, prepared, self.fold, root, identity=job.identity)
        initial = find_initial_weights(recipe, self.fold, root, published)
        # The identity says what this run starts from. Weights of an earlier stage that was trained with
        # another learning rate lie in the same place, and would give a result that is not what it says.
        undone = [other for other in needed if other.name in job.needs and state_of(other) != "done"]
        if undone:
            raise KitError(
                f"{job.short_name} starts from {undone[0].short_name}, which is not finished, or was made "
                "with other settings, sources or data",
                where=undone[0].folder,
                fix="do that one again with the same options, or run `train-all`, which knows the order",
            )
        return run, initial


def data_of(prepared: Prepared, root: Path) -> CompetitionData:
    """Return what planning needs to know of prepared data.

    Args:
        prepared: the data.
        root: folder of all runs of this competition.
    """
    return CompetitionData(
        competition=prepared.competition,
        folder=prepared.root,
        runs=root,
        ensemble=root / "ensemble" / "ensemble.json",
        identity=prepared.identity,
        folds=len(prepared.folds),
        definition=prepared.definition,
    )


def _stages(recipe: Recipe) -> list[Recipe]:
    """The recipe and all its earlier stages."""
    return [recipe, *(_stages(recipe.earlier_stage) if recipe.earlier_stage is not None else [])]
