"""Which runs there are to do, in the order in which their initial weights need each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kit.errors import KitError
from kit.local.console import show_table
from train_local.data.prepared import Prepared
from train_local.initial_weights import InitialWeights, find_initial_weights
from train_local.recipes import suits
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
        """Name of the run, which `--only` matches."""
        return run_name(self.recipe, self.fold)

    def ready(
        self, prepared: Prepared, root: Path, *, seed: int | None = None, published: Path | None = None
    ) -> tuple[Run, InitialWeights]:
        """Return the run and its initial weights; their hash is a part of the run's identity.

        Args:
            prepared: the data.
            root: folder of all runs.
            seed: None takes the recipe's.
            published: folder of downloaded checkpoints.

        Raises:
            KitError: the earlier stage is not trained yet, a checkpoint is missing, or the recipe does not
                suit the data.
        """
        initial = find_initial_weights(self.recipe, self.fold, root, published)
        run = make_run(self.recipe, prepared, self.fold, root, seed=seed, initial=initial.identity)
        return run, initial


def plan_runs(
    recipes: Iterable[Recipe], prepared: Prepared, folds: Sequence[int] | None = None
) -> list[PlannedRun]:
    """Plan the runs of some recipes and of all earlier stages they start from.

    "detectors-r50" on the folds 0 and 1, for example, gives detectors-r50-stage1.fold0 (that stage trains
    fold 0 only), detectors-r50.fold0, detectors-r50.fold1.

    Args:
        recipes: those that do not suit the prepared competition are left out.
        prepared: says which folds there are; a recipe's folds beyond them are left out.
        folds: None takes each recipe's own.

    Returns:
        The runs, each once, an earlier stage in front of the run that starts from it.
    """
    planned: dict[str, PlannedRun] = {}

    # Depth first: a stage is added before the recipe that starts from it. Two recipes may share a stage; the
    # name of its run is there already when the second one adds it.
    def add(recipe: Recipe) -> None:
        if recipe.earlier_stage is not None:
            add(recipe.earlier_stage)
        for fold in recipe.folds if folds is None else folds:
            if fold < len(prepared.folds):
                run = PlannedRun(recipe, fold)
                planned.setdefault(run.name, run)

    for recipe in recipes:
        if suits(recipe, prepared.competition, prepared.kind):
            add(recipe)
    return list(planned.values())


def show_plan(planned: Sequence[PlannedRun], prepared: Prepared, root: Path, published: Path | None) -> None:
    """Print each run with its status, its images and the weights it starts from."""
    rows = []
    for item in planned:
        stage, fold = item.recipe.earlier_stage, prepared.fold(item.fold)
        source = stage.name if stage is not None else item.recipe.pretrained or "random weights"
        # Before its earlier stage is trained a run has no identity: the hash of its initial weights is
        # missing.
        try:
            run, _ = item.ready(prepared, root, published=published)
        except KitError as error:
            status, identity = "waits", error.problem
        else:
            status, identity = run.status(), run.identity[:12]
        rows.append((item.name, status, f"{len(fold.train)} + {len(fold.valid)}", source, identity))
    headings = ("run", "status", "images", "starts from", "identity")
    show_table(f"{prepared.competition}: {len(planned)} runs", headings, rows)
