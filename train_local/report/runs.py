"""Read what runs left in their folders, finished or not."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.artefacts import read_json
from kit.errors import KitError
from kit.local.sidecars import read_json_lines
from train_local.monitor.progress import Status, read_status


@dataclass(frozen=True)
class RunRecord:
    """One run, as far as it came.

    Attributes:
        recipe: its name.
        fold: index.
        folder: of the run.
        config: the resolved recipe, as JSON.
        lines: of `log.jsonl`.
        done: `done.json`; {} while the run has not ended.
        status: what its process said last.
    """

    recipe: str
    fold: int
    folder: Path
    config: dict[str, Any]
    lines: list[dict[str, Any]]
    done: dict[str, Any]
    status: Status | None

    @property
    def complete(self) -> bool:
        """Whether it has ended as its recipe says; one that was stopped goes on some day."""
        return bool(self.done.get("complete"))

    @property
    def state(self) -> str:
        """How far it is, for people."""
        if self.complete:
            return "finished"
        if self.status is None:
            return "stopped early" if self.done else "begun"
        ends = {"failed": "failed at", "out of time": "stopped early at"}
        words = ends.get(self.status.state, "not finished:")
        return f"{words} step {self.status.step} of {self.status.total}"

    @property
    def metric(self) -> float | None:
        """Of the weights it hands over: of the finished run, else the best one so far; None if unknown."""
        if self.complete:
            return self.done.get("metric")
        scores = [line["metric"] for line in self.lines if line.get("metric") is not None]
        return max(scores, default=None)

    @property
    def metric_name(self) -> str:
        """Name of the metric, "" if nothing was validated yet."""
        named = [str(line["metric_name"]) for line in self.lines if "metric_name" in line]
        return named[-1] if named else str(self.done.get("metric_name") or "")

    @property
    def seconds(self) -> float:
        """Of training so far."""
        return float(max((line.get("seconds", 0.0) for line in self.lines), default=0.0))


def read_runs(root: Path) -> list[RunRecord]:
    """Return all runs below a competition's folder, by recipe and fold; damaged files count as absent.

    Args:
        root: holds RECIPE/foldK.
    """
    found = []
    for folder in root.glob("*/fold*"):
        # "fold0.was-1a2b3c4d" is a run of another config that was kept aside.
        number = folder.name.removeprefix("fold")
        run = _read(folder / "run.json")
        if number.isdigit() and run:
            config = run.get("recipe")
            found.append(
                RunRecord(
                    folder.parent.name,
                    int(number),
                    folder,
                    config if isinstance(config, dict) else {},
                    [line for line in read_json_lines(folder / "log.jsonl") if isinstance(line, dict)],
                    _read(folder / "done.json"),
                    read_status(folder),
                )
            )
    return sorted(found, key=lambda record: (record.recipe, record.fold))


def _read(path: Path) -> dict[str, Any]:
    try:
        value = read_json(path)
    except KitError:
        return {}
    return value if isinstance(value, dict) else {}


@dataclass(frozen=True)
class RecipeScores:
    """The runs of one recipe.

    Attributes:
        recipe: its name.
        runs: by fold.
        mean: of the folds that have a score; None if none has.
        spread: standard deviation over these folds; None with fewer than two.
    """

    recipe: str
    runs: Sequence[RunRecord]
    mean: float | None
    spread: float | None

    @property
    def all_complete(self) -> bool:
        """Whether each run has ended as its recipe says."""
        return all(run.complete for run in self.runs)

    @property
    def finished(self) -> int:
        """Number of finished runs."""
        return sum(run.state == "finished" for run in self.runs)


def by_recipe(runs: Iterable[RunRecord]) -> list[RecipeScores]:
    """Return the runs of each recipe with mean and spread of their scores, in the order of the runs."""
    groups: dict[str, list[RunRecord]] = {}
    for run in runs:
        groups.setdefault(run.recipe, []).append(run)
    result = []
    for recipe, members in groups.items():
        scores = [run.metric for run in members if run.metric is not None]
        mean = statistics.mean(scores) if scores else None
        spread = statistics.stdev(scores) if len(scores) > 1 else None
        result.append(RecipeScores(recipe, members, mean, spread))
    return result
