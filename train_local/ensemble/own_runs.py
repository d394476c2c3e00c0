"""Runs of models of one's own: their sources are checked, and go beside `ensemble.json`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kit.ensemble import Ensemble
from kit.errors import KitError
from kit.local import own_sources
from kit.models.registry import OWN, sized
from train_local.ensemble.finished_runs import FinishedRun


def _folder(run: FinishedRun) -> Path:
    """Return where the source of a run's model lies: beside its folds."""
    return run.weights.parent.parent / own_sources.FOLDER


def _own(runs: Sequence[FinishedRun]) -> list[FinishedRun]:
    return [run for run in runs if run.member.network.get("network") == OWN]


def hold_nothing_out(runs: Sequence[FinishedRun]) -> bool:
    """Return whether all runs are of own models that were trained on all images: nobody knows a score."""
    return len(_own(runs)) == len(runs) and not any(of_view for run in runs for of_view in run.files.values())


def require_sources(runs: Sequence[FinishedRun]) -> None:
    """Make the models of runs importable.

    Raises:
        KitError: a source is missing or was changed, or two runs have different modules of one name: Kaggle's
            Python can import one of them only.
    """
    seen: dict[str, tuple[str, FinishedRun]] = {}
    for run in _own(runs):
        own = sized(run.member.network)[1]
        source, other = seen.setdefault(own.module, (own.source, run))
        if source != own.source:
            raise KitError(
                f"{other.member.name} and {run.member.name} have different modules called {own.module}",
                where=_folder(run),
                fix="add both with one file, or give one of the files another name and add it again",
            )
        own_sources.require([run.member], _folder(run))


def place_sources(ensemble: Ensemble, runs: Sequence[FinishedRun], out: Path) -> None:
    """Put the sources of an ensemble's own models into `models/` beside `out`.

    Args:
        ensemble: whose members count.
        runs: of all members.
        out: `ensemble.json`.

    Raises:
        KitError: the disk is full.
    """
    names = {member.name for member in own_sources.own_members(ensemble)}
    for run in _own(runs):
        if run.member.name in names:
            module = sized(run.member.network)[1].module
            files = own_sources.files_of(own_sources.module_path(_folder(run), module))
            own_sources.replace(files, out.parent / own_sources.FOLDER, module)
