"""Finished runs and the out-of-fold predictions they left: what an ensemble is made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from kit.artefacts import read_json
from kit.ensemble import Member
from kit.errors import KitError
from kit.inference.views import work
from kit.local.console import console
from kit.local.program import said
from kit.local.sidecars import read_sidecar, sidecar_path
from kit.typed_json import from_plain
from train_local.data.prepared import Prepared
from train_local.data.seen import differences, metric_differences
from train_local.runs import WEIGHTS

T = TypeVar("T")
_AGAIN = "run the `train` command of this run again; what is there and whole is not made again"
_ANEW = f"delete it and {_AGAIN}"


@dataclass(frozen=True, kw_only=True)
class _Weights:
    """What the JSON beside a run's weights says, as far as it matters here."""

    recipe: str
    sha256: str
    size: int
    network: dict[str, Any]
    inference: dict[str, Any]
    requires: list[str]
    inputs: dict[str, str]
    data: dict[str, Any] = field(default_factory=dict)
    kind_of_weights: str = ""


@dataclass(frozen=True, kw_only=True)
class _Done:
    """What `done.json` of a run says, as far as it matters here."""

    complete: bool = True
    step: int = 0
    total_steps: int = 0
    metric: float | None = None
    load_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class _Recipe:
    """The recipe in `run.json`, as far as it matters here."""

    views: list[str]


@dataclass(frozen=True, kw_only=True)
class _HeldOut:
    """What `oof.json` says: whose predictions lie where."""

    member: str
    weights: str
    views: list[str]
    files: dict[str, dict[str, str]]
    seconds_per_megapixel: dict[str, float] = field(default_factory=dict)


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
        load_seconds: of reading its weights where it was trained; None if that was not measured.
    """

    recipe: str
    member: Member
    weights: Path
    views: tuple[str, ...]
    files: dict[str, dict[str, Path]]
    seconds_per_megapixel: dict[str, float]
    speed: float = 1.0
    load_seconds: float | None = None

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
        weights = _typed(_Weights, read_sidecar(path, kind="weights"), sidecar_path(path))
        if (why := _other_data(weights, prepared)) is not None:
            _say(f"{folder}: this run is left out, because it was trained on other data: {why}.")
            continue
        if keys := _other_metric(weights, prepared):
            _say(
                f"{folder}: the best step of this run was chosen by another metric ({keys} differs); it is "
                "used. `train-all` would train it again."
            )
        done = _typed(_Done, read_json(folder / "done.json"), folder / "done.json")
        if not done.complete:
            _say(
                f"{folder}: this run was ended at step {done.step} of {done.total_steps}; what it had "
                "learned by then is used."
            )
        found.append(_read(folder, path, weights, done))
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
            fix=said(
                "run `nox -s train-all -- COMPETITION` or `nox -s add-model -- COMPETITION` first",
                "run `train-all` (or `train RECIPE`) with the same --prepared and --out first",
            ),
        )
    return found


def _say(text: str) -> None:
    console().print(text, style="yellow", markup=False)


def _other_data(weights: _Weights, prepared: Prepared) -> str | None:
    """Why a run is not of the prepared data; None if it is."""
    if prepared.is_known_as(weights.inputs.get("prepared")):
        return None
    # Runs of earlier versions do not say what they were trained on, only its hash.
    known = differences(weights.data, prepared.parts) if weights.data else []
    return "; ".join(known) or "images, truth, folds or the definition differ"


def _other_metric(weights: _Weights, prepared: Prepared) -> str:
    """The keys of the definition by which the best step was chosen otherwise than now; "" if by none."""
    if not weights.data or weights.kind_of_weights == "own":
        return ""
    return ", ".join(metric_differences(weights.data.get("metric"), prepared.parts["metric"]))


def _typed(cls: type[T], value: Any, where: Path) -> T:
    """Check what a file of a run says; keys that nothing here needs are left out."""
    if isinstance(value, dict):
        known = {item.name for item in fields(cls)}  # type: ignore[arg-type]  # all are dataclasses
        value = {key: item for key, item in value.items() if key in known}
    return from_plain(cls, value, where=where, fix=_ANEW)


def _read(folder: Path, path: Path, weights: _Weights, done: _Done) -> FinishedRun:
    oof = _held_out(folder, weights, done)
    # A training that went on after its predictions were stored has new weights and old predictions until its
    # process has predicted again.
    if oof.weights != weights.sha256:
        raise KitError(
            "out-of-fold predictions were made by other weights",
            where=folder / "oof",
            fix="delete this folder and run the `train` command of the run again; it predicts anew",
        )
    files = {
        view: {image_id: folder / "oof" / name for image_id, name in oof.files[view].items()}
        for view in oof.views
    }
    missing = [path for of_view in files.values() for path in of_view.values() if not path.is_file()]
    if missing:
        raise KitError(f"{len(missing)} out-of-fold predictions are missing", where=missing[0], fix=_AGAIN)
    member = Member(
        name=oof.member,
        weights=f"{oof.member}.safetensors",
        sha256=weights.sha256,
        size=weights.size,
        network=weights.network,
        inference=weights.inference,
        requires=weights.requires,
    )
    return FinishedRun(
        weights.recipe,
        member,
        path,
        tuple(oof.views),
        files,
        oof.seconds_per_megapixel,
        load_seconds=done.load_seconds,
    )


def _held_out(folder: Path, weights: _Weights, done: _Done) -> _HeldOut:
    """Return what a run says of its out-of-fold predictions; a run on all images has none."""
    path = folder / "oof" / "oof.json"
    own = folder / "run.json"
    if path.is_file():
        found = _typed(_HeldOut, read_json(path), path)
        # Without held-out images there are no views to list, and the recipe's own count.
        views = found.views or _views(own)
        return replace(found, views=views, files={view: found.files.get(view, {}) for view in views})
    if done.metric is not None:
        raise KitError("the out-of-fold predictions of a finished run are missing", where=path, fix=_AGAIN)
    views = _views(own)
    return _HeldOut(
        member=f"{weights.recipe}.{folder.name}",
        weights=weights.sha256,
        views=views,
        files={view: {} for view in views},
    )


def _views(path: Path) -> list[str]:
    """The views of the recipe that `run.json` holds."""
    value = read_json(path)
    recipe = value.get("recipe") if isinstance(value, dict) else None
    return _typed(_Recipe, recipe, path).views
