"""From out-of-fold predictions to `ensemble.json`: members, passes by cost, nested tuned rungs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kit import competitions
from kit.artefacts import read_json, read_sidecar, sidecar_path
from kit.competitions.instance import InstanceCompetition
from kit.ensemble import Ensemble, Member, Pass, Rung, save
from kit.errors import KitError
from kit.inference.settings import InstanceFusion
from kit.local.competitions.labelled import LabelledData
from kit.local.console import console, show_table, track
from kit.local.place_file import place_file
from kit.predictions import Instances, Prediction
from kit.typed_json import from_plain, to_plain
from train_local import calibrating, tuning
from train_local.data.prepared import Prepared
from train_local.evaluate import score
from train_local.runs import WEIGHTS


@dataclass(frozen=True)
class Trained:
    """A finished run as the ensemble sees it.

    Attributes:
        recipe: its name.
        fold: it was validated on.
        member: it makes.
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


@dataclass(frozen=True)
class Stage:
    """One recipe under one view, in all its folds: what is added to the ensemble at a time.

    A held-out image is seen by the fold that did not train on it only, so folds of a recipe cannot be weighed
    against each other; they share a weight.
    """

    recipe: str
    view: str


def find(prepared: Prepared, runs: Path) -> list[Trained]:
    """All runs of the prepared data that left out-of-fold predictions, by recipe and fold.

    Raises:
        KitError: there are none, or a file of one is missing or damaged.
    """
    found = []
    for path in sorted(runs.glob(f"*/fold*/{WEIGHTS}")):
        folder = path.parent
        if not folder.name.removeprefix("fold").isdigit() or not (folder / "done.json").is_file():
            continue
        record = read_sidecar(path, kind="weights")
        if record["inputs"]["prepared"] != prepared.identity:
            console().print(
                f"{folder}: trained on other data or folds, left out", style="yellow", markup=False
            )
            continue
        found.append(_trained(folder, path, record))
    if not found:
        raise KitError(
            "no finished run of this prepared data",
            where=runs,
            fix="run `train-all` (or `train RECIPE`) with the same --prepared and --out first",
        )
    return found


def _trained(folder: Path, weights: Path, record: dict[str, Any]) -> Trained:
    oof = read_json(folder / "oof" / "oof.json")
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
    return Trained(record["recipe"], record["fold"], member, weights, files, oof["seconds_per_megapixel"])


def order(trained: Sequence[Trained]) -> list[Stage]:
    """Stages in the order they are added: first views of all recipes, cheapest in front, then others."""
    cost: dict[Stage, tuple[int, float, str]] = {}
    for run in trained:
        for rank, view in enumerate(run.files):
            stage = Stage(run.recipe, view)
            seconds = [other.seconds_per_megapixel[view] for other in trained if other.recipe == run.recipe]
            cost[stage] = (rank, max(seconds), run.recipe)
    return sorted(cost, key=lambda stage: cost[stage])


def passes_of(stages: Sequence[Stage], trained: Sequence[Trained]) -> list[Pass]:
    """The passes of some stages: fold by fold inside a stage."""
    return [
        Pass(member=index, view=stage.view, seconds_per_megapixel=run.seconds_per_megapixel[stage.view])
        for stage in stages
        for index, run in enumerate(trained)
        if run.recipe == stage.recipe and stage.view in run.files
    ]


class Bench:
    """Where rungs are tried: drafts an ensemble of some stages and scores it on the held-out images.

    Args:
        prepared: what the runs were trained on.
        trained: the runs.
    """

    def __init__(self, prepared: Prepared, trained: Sequence[Trained]) -> None:
        self.prepared, self.trained = prepared, list(trained)
        ids = sorted({image_id for run in trained for of_view in run.files.values() for image_id in of_view})
        self.truth: dict[str, Prediction] = LabelledData(prepared.source, prepared.data).truth(ids)
        self.infos = {image_id: prepared.images[image_id].info for image_id in ids}

    def used(self, stages: Sequence[Stage]) -> list[Trained]:
        """The runs some stages need, in order."""
        return [run for run in self.trained if any(run.recipe == stage.recipe for stage in stages)]

    def draft(self, stages: Sequence[Stage], rungs: list[Rung]) -> Ensemble:
        """An ensemble of these stages."""
        used = self.used(stages)
        return Ensemble(
            competition=self.prepared.competition,
            kind=self.prepared.kind,
            members=[run.member for run in used],
            passes=passes_of(stages, used),
            rungs=rungs,
            inputs={
                "prepared": self.prepared.identity,
                **{run.member.name: run.member.sha256 for run in used},
            },
            definition=self.prepared.definition,
        )

    def files(self, stages: Sequence[Stage], count: int) -> dict[str, dict[int, Path]]:
        """Stored predictions of the first `count` passes, by image and pass, for the images they cover."""
        used, found = self.used(stages), dict[str, dict[int, Path]]()
        for index, item in enumerate(passes_of(stages, used)[:count]):
            for image_id, path in used[item.member].files[item.view].items():
                found.setdefault(image_id, {})[index] = path
        return found

    def _judged(self, stages: Sequence[Stage], count: int) -> list[calibrating.Judged]:
        """Detections of the members in the first `count` passes of some stages, held against the truth."""
        source = self.prepared.source
        assert isinstance(source, InstanceCompetition)
        truth = {key: value for key, value in self.truth.items() if isinstance(value, Instances)}
        used = self.used(stages)
        views: dict[int, list[str]] = {}
        for item in passes_of(stages, used)[:count]:
            views.setdefault(item.member, []).append(item.view)
        return [
            calibrating.judge(run.recipe, run.member, [run.files[view] for view in of_member], truth, source)
            for run, of_member in ((used[member], views[member]) for member in views)
        ]

    def rung(
        self, stages: Sequence[Stage], count: int, shares: Sequence[Sequence[float]], start: dict[str, Any]
    ) -> Rung:
        """The first `count` passes of some stages, tuned and scored as Kaggle would fuse them.

        Args:
            stages: in order.
            count: of passes.
            shares: weights to try, one a stage each.
            start: settings the search begins with.
        """
        used, files = self.used(stages), self.files(stages, count)
        of_pass = [
            stages.index(Stage(used[item.member].recipe, item.view))
            for item in passes_of(stages, used)[:count]
        ]
        candidates = [[share[stage] for stage in of_pass] for share in shares]

        def scored(weights: Sequence[float], settings: dict[str, Any]) -> float:
            rungs = [Rung(passes=count, weights=list(weights), settings=settings, cv=0.0)]
            total = len(passes_of(stages, used))
            if count < total:  # an ensemble ends with all its passes
                rungs.append(replace(rungs[0], passes=total, weights=[1.0] * total))
            return score(self.prepared, self.draft(stages, rungs), 0, files, self.truth)

        if self.prepared.kind == "semantic":
            weights, settings = tuning.tune_semantic(self.truth, files, candidates, self.infos)
        else:
            plain = replace(from_plain(InstanceFusion, start), calibration={})
            weights, settings = tuning.tune_instance(candidates, plain, scored)
            calibrations = calibrating.choices(self._judged(stages, count))
            settings = tuning.tune_calibration(calibrations, settings, lambda tried: scored(weights, tried))
        return Rung(passes=count, weights=weights, settings=settings, cv=scored(weights, settings))


def build(prepared: Prepared, trained: Sequence[Trained], *, keep_all: bool = False) -> Ensemble:
    """Tune every rung and keep those that gain.

    Stages are tried in order. One that does not raise the metric is dropped, unless `keep_all`. With several
    folds the very first pass is a rung of its own, so that something better than nothing exists as early as
    possible; its metric is of the images that fold held out only.

    Args:
        prepared: what the runs were trained on.
        trained: the runs.
        keep_all: keep stages that gain nothing as well.

    Raises:
        KitError: two runs have equal weights, a stored prediction is damaged.
    """
    bench = Bench(prepared, trained)
    stages = order(trained)
    kept: list[Stage] = []
    shares: list[float] = []
    rungs: list[Rung] = []
    for stage in track(stages, total=len(stages), description="tune rungs"):
        tried = [*kept, stage]
        count = len(passes_of(tried, bench.used(tried)))
        start = rungs[-1].settings if rungs else {}
        # Views of a member are merged without weights, so only a new recipe's weight matters there.
        matters = kept and (prepared.kind == "semantic" or stage.recipe not in {item.recipe for item in kept})
        choices = [[*shares, share] for share in (tuning.WEIGHTS if matters else (1.0,))]
        rung = bench.rung(tried, count, choices, start)
        if kept and not keep_all and rung.cv <= rungs[-1].cv:
            continue
        if not kept and count > 1:
            rungs.append(bench.rung(tried, 1, [[1.0]], start))
        kept, shares = tried, _shares(tried, rung, bench)
        rungs.append(rung)
    return bench.draft(kept, rungs)


def _shares(stages: Sequence[Stage], rung: Rung, bench: Bench) -> list[float]:
    """Weight of each stage of a rung."""
    used = bench.used(stages)
    passes = passes_of(stages, used)
    return [
        next(
            weight
            for item, weight in zip(passes, rung.weights, strict=True)
            if Stage(used[item.member].recipe, item.view) == stage
        )
        for stage in stages
    ]


def write(ensemble: Ensemble, trained: Sequence[Trained], out: Path) -> None:
    """Place the members' weights in `weights/` beside `out`, then write `out`.

    Raises:
        KitError: the disk is full.
    """
    by_name = {run.member.name: run for run in trained}
    for member in ensemble.members:
        source, target = by_name[member.name].weights, out.parent / "weights" / member.weights
        place_file(source, target)
        place_file(sidecar_path(source), sidecar_path(target))
    save(out, ensemble)


def show(ensemble: Ensemble) -> None:
    """Print the ladder."""
    metric = competitions.of(ensemble).metric
    usual: dict[str, Any] = {**to_plain(InstanceFusion()), "thresholds": {}}
    rows = []
    for number, rung in enumerate(ensemble.rungs):
        last = ensemble.passes[rung.passes - 1]
        cost = sum(item.seconds_per_megapixel for item in ensemble.passes[: rung.passes])
        rows.append(
            (
                str(number),
                str(rung.passes),
                f"{ensemble.members[last.member].name} {last.view}",
                f"{cost:.2f}",
                f"{rung.cv:.4f}",
                ", ".join(
                    f"{name} {_short(value)}"
                    for name, value in rung.settings.items()
                    if value != usual.get(name)
                ),
            )
        )
    show_table(
        f"{ensemble.competition}: {len(ensemble.members)} members, {len(ensemble.passes)} passes",
        ("rung", "passes", "last pass", "seconds per megapixel", f"{metric} (out of fold)", "tuned"),
        rows,
    )


def _short(value: Any) -> str:
    """A setting in a table: a calibration's curve is too long for it."""
    if isinstance(value, dict):
        return ", ".join(
            f"{key} {item['kind'] if isinstance(item, dict) else item}" for key, item in value.items()
        )
    return str(value)
