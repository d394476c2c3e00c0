"""Finished runs and the out-of-fold predictions they left: what an ensemble is made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.artefacts import read_json
from kit.ensemble import Member
from kit.errors import KitError
from kit.local.console import console
from kit.local.sidecars import read_sidecar
from train_local.data.prepared import Prepared
from train_local.runs import WEIGHTS


@dataclass(frozen=True)
class FinishedRun:
    """A run with its weights and its predictions of the images it did not train on.

    Attributes:
        recipe: its name.
        fold: it was validated on.
        member: of an ensemble that its weights make.
        weights: the file.
        files: view -> held-out image id -> stored prediction; views in the recipe's order.
        seconds_per_megapixel: by view.
    """

    recipe: str
    fold: int
    member: Member
    weights: Path
    files: dict[str, dict[str, Path]]
    seconds_per_megapixel: dict[str, float]


def find_finished_runs(prepared: Prepared, runs: Path, members: Sequence[str] = ()) -> list[FinishedRun]:
    """Find all runs of the prepared data that left out-of-fold predictions, by recipe and fold.

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
        if not folder.name.removeprefix("fold").isdigit() or not (folder / "done.json").is_file():
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
    oof = read_json(folder / "oof" / "oof.json")
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
    return FinishedRun(record["recipe"], record["fold"], member, weights, files, oof["seconds_per_megapixel"])
