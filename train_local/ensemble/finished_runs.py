"""Finished runs and the out-of-fold predictions they left: what an ensemble is made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.artefacts import read_json
from kit.ensemble import Member
from kit.errors import KitError
from kit.inference.views import work
from kit.local.console import console
from kit.local.sidecars import read_sidecar
from train_local.data.prepared import Prepared
from train_local.runs import WEIGHTS


@dataclass(frozen=True)
class FinishedRun:
    """A run with its weights and its predictions of the images it did not train on.

    Attributes:
        recipe: its name.
        member: of an ensemble that its weights make.
        weights: the file.
        views: of the recipe, in its order.
        files: view -> held-out image id -> stored prediction; a run on all images has none.
        seconds_per_megapixel: by view, as far as measured.
        speed: seconds per megapixel of a view at scale 1, for views that were not measured
            (`train_local.ensemble.costs.with_estimates`).
    """

    recipe: str
    member: Member
    weights: Path
    views: tuple[str, ...]
    files: dict[str, dict[str, Path]]
    seconds_per_megapixel: dict[str, float]
    speed: float = 1.0

    def seconds(self, view: str) -> float:
        """Return what a pass costs per megapixel, measured or estimated."""
        return self.seconds_per_megapixel.get(view, self.speed * work(view))


def find_finished_runs(prepared: Prepared, runs: Path, members: Sequence[str] = ()) -> list[FinishedRun]:
    """Find all finished runs of the prepared data, by recipe and fold.

    Args:
        prepared: the data.
        runs: folder of all runs of this competition.
        members: names of the runs to take ("unet-regnety16.fold0"); () takes all.

    Raises:
        KitError: there are none, one of `members` is not finished, or a file of one is missing or damaged.
    """
    found = []
    for path in sorted(runs.glob(f"*/fold*/{WEIGHTS}")):
        folder = path.parent
        # "fold0.was-1a2b3c4d" is a replaced run that was kept, and a run without done.json is not finished.
        if "." in folder.name or not (folder / "done.json").is_file():
            continue
        if members and f"{folder.parent.name}.{folder.name}" not in members:
            continue
        record = read_sidecar(path, kind="weights")
        if record["inputs"]["prepared"] != prepared.identity:
            console().print(
                f"{folder}: this run was trained on other data or folds and is left out.",
                style="yellow",
                markup=False,
            )
            continue
        done = read_json(folder / "done.json")
        if not done.get("complete", True):
            console().print(
                f"{folder}: this run was ended at step {done['step']} of {done['total_steps']}; what it had "
                "learned by then is used.",
                style="yellow",
                markup=False,
            )
        found.append(_read(folder, path, record))
    missing = set(members) - {run.member.name for run in found}
    if missing:
        raise KitError(
            f"no finished run of this prepared data is called {', '.join(sorted(missing))}",
            where=runs,
            fix="train it first, or take it out of --members",
        )
    if not found:
        raise KitError(
            "no finished run of this prepared data",
            where=runs,
            fix="run `train-all` (or `train RECIPE`) with the same --prepared and --out first",
        )
    return found


def _read(folder: Path, weights: Path, record: dict[str, Any]) -> FinishedRun:
    oof = _held_out(folder, record)
    # A training that went on after its predictions were stored has new weights and old predictions until its
    # process has predicted again.
    if oof["weights"] != record["sha256"]:
        raise KitError(
            "out-of-fold predictions were made by other weights",
            where=folder / "oof",
            fix="run the same `train` command again; it predicts anew",
        )
    files = {
        view: {image_id: folder / "oof" / name for image_id, name in oof["files"][view].items()}
        for view in oof["views"]
    }
    missing = [path for of_view in files.values() for path in of_view.values() if not path.is_file()]
    if missing:
        raise KitError(
            f"{len(missing)} out-of-fold predictions are missing",
            where=missing[0],
            fix="run its `train` command again",
        )
    member = Member(
        name=oof["member"],
        weights=f"{oof['member']}.safetensors",
        sha256=record["sha256"],
        size=record["size"],
        network=record["network"],
        inference=record["inference"],
        requires=record["requires"],
    )
    return FinishedRun(
        record["recipe"], member, weights, tuple(oof["views"]), files, oof["seconds_per_megapixel"]
    )


def _held_out(folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Return what a run says of its out-of-fold predictions; a run on all images has none."""
    path, run = folder / "oof" / "oof.json", read_json(folder / "run.json")
    if path.is_file():
        found: dict[str, Any] = read_json(path)
        # Without held-out images there are no views to list, and the recipe's own count.
        views = found["views"] or run["recipe"]["views"]
        return {**found, "views": views, "files": {view: found["files"].get(view, {}) for view in views}}
    if read_json(folder / "done.json").get("metric") is not None:
        raise KitError(
            "the out-of-fold predictions of a finished run are missing",
            where=path,
            fix="run its `train` command again",
        )
    views = run["recipe"]["views"]
    return {
        "member": f"{record['recipe']}.{folder.name}",
        "weights": record["sha256"],
        "views": views,
        "files": {view: {} for view in views},
        "seconds_per_megapixel": {},
    }
