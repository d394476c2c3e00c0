"""A run is one training of a recipe on a fold: where it lies, what identifies it, whether it is finished."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import kit
from kit.artefacts import read_json, remove_leftovers, sha256_json, write_json
from kit.errors import KitError
from kit.local.console import console
from train_local.data.prepared import Prepared
from train_local.recipes import suits
from train_local.recipes.base import Recipe

WEIGHTS = "weights.safetensors"
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

    def config(self) -> dict[str, Any]:
        """Return what the run trains, as a plain JSON value."""
        return {"recipe": self.recipe.as_dict(), "fold": self.fold, "seed": self.seed}

    def record(self, name: str) -> dict[str, Any] | None:
        """Read a JSON file of this run; return None if it is absent or another run's."""
        path = self.folder / name
        if not path.is_file():
            return None
        value: dict[str, Any] = read_json(path)
        return value if value.get("identity") == self.identity else None

    def status(self) -> Status:
        """Return how far the run is."""
        done = self.record("done.json")
        if done is not None:
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
    seed: int | None = None,
    initial: str | None = None,
) -> Run:
    """Check that a recipe can be trained on a fold, and give the run its identity.

    Args:
        recipe: what to train.
        prepared: its data.
        fold: index.
        root: folder of all runs.
        seed: None takes the recipe's.
        initial: identity of its initial weights; None for random ones.

    Raises:
        KitError: the recipe does not suit the competition, or the fold does not exist or lacks images.
    """
    if not suits(recipe, prepared.competition, prepared.kind):
        raise KitError(
            f"recipe {recipe.name} is for {recipe.competition}, the data is of {prepared.competition}",
            where=prepared.root,
            fix=f"prepare {recipe.competition}, or take another recipe (`recipes` lists them)",
        )
    part = prepared.fold(fold)
    if not part.train or not part.valid:
        raise KitError(
            f"fold {fold} has no image to {'train on' if not part.train else 'validate on'}",
            where=prepared.root,
            fix="prepare with fewer --folds, or train another fold",
        )
    used = recipe.seed if seed is None else seed
    # Everything that decides the result goes into the identity, and nothing else does: not the device, not
    # the number of data loader workers, not where the folders lie. A run with the same identity is gone on
    # with, or is finished already; one with another identity is another run, even if it has the same name.
    identity = sha256_json(
        {
            "recipe": recipe.as_dict(),
            "fold": fold,
            "seed": used,
            "prepared": prepared.identity,
            "initial_weights": initial,
            "code": kit.__version__,
        }
    )
    return Run(recipe, fold, used, root, identity)


def claim_folder(run: Run) -> None:
    """Reserve the folder for this run; rename the folder first if it holds another run's results.

    Raises:
        KitError: the folder cannot be written.
    """
    path = run.folder / "run.json"
    if path.is_file() and run.record("run.json") is None:
        # Say the recipe's learning rate was changed after the run: "fold0" becomes "fold0.was-1a2b3c4d", the
        # new run gets an empty "fold0", and no result is lost.
        other = str(read_json(path).get("identity", "unknown"))[:8]
        aside = run.folder.with_name(f"{run.folder.name}.was-{other}")
        number = 1
        while aside.exists():
            number += 1
            aside = run.folder.with_name(f"{run.folder.name}.was-{other}-{number}")
        run.folder.rename(aside)
        console().print(
            f"{run.folder} held a run of another config, data or code version. It is kept as {aside.name}.",
            style="yellow",
            markup=False,
        )
    remove_leftovers(run.folder)
    write_json(path, {"identity": run.identity, **run.config()})
