"""A run is one training of a recipe on a fold: where it lies, what identifies it, whether it is finished."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kit.errors import KitError
from train_local.claims import claim, lock_of, record

if TYPE_CHECKING:
    # Planning needs the names below, and no torch.
    from train_local.data.prepared import Prepared
    from train_local.recipes.base import Recipe

WEIGHTS = "weights.safetensors"
OOF = "oof/oof.json"
_WEIGHTS = (WEIGHTS, "best.safetensors", "last.safetensors")
PRODUCTS = (*_WEIGHTS, *(f"{name}.json" for name in _WEIGHTS), OOF)
"""Files that a finished run has left in its folder; `OOF` lists more."""
Status = Literal["to do", "interrupted", "stopped early", "finished"]


@dataclass(frozen=True)
class Run:
    """One training of a recipe on a fold.

    Attributes:
        recipe: what is trained.
        fold: index in the prepared data.
        seed: of this run.
        root: folder of all runs.
        identity: hash of resolved config, inputs and code version.
    """

    recipe: Recipe
    fold: int
    seed: int
    root: Path
    identity: str

    @property
    def name(self) -> str:
        """Short name, also the ensemble member's."""
        return run_name(self.recipe, self.fold)

    @property
    def folder(self) -> Path:
        """Where everything of this run lies."""
        return self.root / self.recipe.name / f"fold{self.fold}"

    @property
    def lock(self) -> Path:
        """The file that the process holds that works in this folder; beside it, since a folder may move."""
        return lock_of(self.folder)

    @property
    def weights(self) -> Path:
        """The exported weights."""
        return self.folder / WEIGHTS

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.folder / "checkpoints"

    @property
    def oof(self) -> Path:
        """Folder of the out-of-fold predictions."""
        return self.folder / "oof"

    @property
    def views(self) -> tuple[str, ...]:
        """Under which held-out images are predicted."""
        return self.recipe.views

    def config(self) -> dict[str, Any]:
        """Return what the run trains, as a plain JSON value."""
        return {"recipe": self.recipe.as_dict(), "fold": self.fold, "seed": self.seed}

    def record(self, name: str) -> dict[str, Any] | None:
        """Read a JSON file of this run; return None if it is absent or another run's."""
        return record(self.folder, self.identity, name)

    def lost(self) -> list[Path]:
        """Return the files of a finished run that are no longer there: weights, out-of-fold predictions."""
        names = [name for name in PRODUCTS if name != OOF]
        files = (self.record(OOF) or {}).get("files")
        if isinstance(files, dict):
            names += [f"oof/{name}" for of_view in files.values() for name in of_view.values()]
        lost = [self.folder / name for name in names if not (self.folder / name).is_file()]
        # A list that is damaged is as lost as one that is absent: it is written again.
        return lost if isinstance(files, dict) else [*lost, self.folder / OOF]

    def status(self) -> Status:
        """Return how far the run is."""
        done = self.record("done.json")
        if done is not None and not (done["complete"] and self.lost()):
            return "finished" if done["complete"] else "stopped early"
        return "interrupted" if self.record("run.json") is not None else "to do"


def run_name(recipe: Recipe, fold: int) -> str:
    """Return the name of a recipe's run on a fold: "unet-regnety16.fold0"."""
    return f"{recipe.name}.fold{fold}"


def make_run(
    recipe: Recipe,
    prepared: Prepared,
    fold: int,
    root: Path,
    *,
    identity: str,
) -> Run:
    """Check that a recipe can be trained on a fold, and return that run.

    Args:
        recipe: what to train.
        prepared: its data.
        fold: index.
        root: folder of all runs.
        identity: of the run, as `train_local.jobs.graph` plans it.

    Raises:
        KitError: the recipe predicts another kind of masks than the competition wants, or the fold does not
            exist or lacks images.
    """
    if recipe.kind != prepared.kind:
        raise KitError(
            f"recipe {recipe.name} is for {recipe.competition}, the data is of {prepared.competition}",
            where=prepared.root,
            fix=f"prepare {recipe.competition}, or take another recipe (`recipes` lists them)",
        )
    if prepared.source.format.classes:
        raise KitError(
            f"{prepared.competition} has several classes, and recipe {recipe.name} is for one",
            where=prepared.root,
            fix="train a model of your own and add it with `add-model` (docs/own-model.md)",
        )
    part = prepared.fold(fold)
    if not part.train or not part.valid:
        raise KitError(
            f"fold {fold} has no image to {'train on' if not part.train else 'validate on'}",
            where=prepared.root,
            fix="prepare with fewer --folds, or train another fold",
        )
    return Run(recipe, fold, recipe.seed, root, identity)


def claim_folder(run: Run) -> None:
    """Reserve the folder for this run; rename the folder first if it holds another run's results.

    Raises:
        KitError: the folder cannot be written.
    """
    claim(run.folder, run.identity, run.config())
